//! Items of a report's content tree (PS3.3 C.17.3 and C.18).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::{
    codes::{Code, NO_UNITS},
    elements::{Element, Set, decimal, double, floats, item, sequence, text},
    film::Film,
    modules,
};

/// How an item belongs to the one that holds it.
#[derive(Clone, Copy, Debug)]
pub enum Relation {
    /// It is a part of it.
    Contains,
    /// It says more of the concept.
    Modifies,
    /// It says who or what observes.
    Context,
    /// It is what a region was selected from.
    Selected,
}

impl Relation {
    const fn name(self) -> &'static str {
        match self {
            Self::Contains => "CONTAINS",
            Self::Modifies => "HAS CONCEPT MOD",
            Self::Context => "HAS OBS CONTEXT",
            Self::Selected => "SELECTED FROM",
        }
    }
}

/// A heading with what is below it; `template` is its number in PS3.16.
pub fn container(concept: Code, template: Option<&str>, children: Vec<Set>) -> Set {
    let mut set = named("CONTAINER", concept);
    set.put(text(tags::CONTINUITY_OF_CONTENT, "SEPARATE"));
    if let Some(template) = template {
        set.put(item(
            tags::CONTENT_TEMPLATE_SEQUENCE,
            [
                text(tags::MAPPING_RESOURCE, "DCMR"),
                text(tags::TEMPLATE_IDENTIFIER, template),
            ],
        ));
    }
    with(set, children)
}

/// The item below another.
pub fn below(relation: Relation, mut set: Set) -> Set {
    set.put(text(tags::RELATIONSHIP_TYPE, relation.name()));
    set
}

/// Words.
pub fn words(relation: Relation, concept: Code, value: &str) -> Set {
    // An item without text is none.
    let value = if value.is_empty() { "-" } else { value };
    valued("TEXT", relation, concept, text(tags::TEXT_VALUE, value))
}

/// An identifier.
pub fn identifier(relation: Relation, concept: Code, value: &str) -> Set {
    valued("UIDREF", relation, concept, text(tags::UID, value))
}

/// A coded value, and what says more of it.
pub fn code(relation: Relation, concept: Code, value: Code, children: Vec<Set>) -> Set {
    let value = value.sequence(tags::CONCEPT_CODE_SEQUENCE);
    with(valued("CODE", relation, concept, value), children)
}

/// A number without unit, and what says more of it.
pub fn number(concept: Code, value: f64, children: Vec<Set>) -> Set {
    let measured = item(
        tags::MEASURED_VALUE_SEQUENCE,
        [
            text(tags::NUMERIC_VALUE, decimal(value)),
            double(tags::FLOATING_POINT_VALUE, value),
            NO_UNITS.sequence(tags::MEASUREMENT_UNITS_CODE_SEQUENCE),
        ],
    );
    with(
        valued("NUM", Relation::Contains, concept, measured),
        children,
    )
}

/// The edges of a box on the film: 0\0 is the outer corner of its first pixel (PS3.3 C.18.6.1.1).
pub fn rectangle(concept: Code, edges: [u32; 4], film: &Film) -> Set {
    let [x1, y1, x2, y2] = edges.map(|edge| edge as f32);
    let mut set = named("SCOORD", concept);
    set.put(text(tags::GRAPHIC_TYPE, "POLYLINE"));
    set.put(floats(
        tags::GRAPHIC_DATA,
        &[x1, y1, x2, y1, x2, y2, x1, y2, x1, y1],
    ));
    let image = below(Relation::Selected, image(film));
    below(Relation::Contains, with(set, vec![image]))
}

/// The film.
pub fn image(film: &Film) -> Set {
    Set::from_element_iter([
        text(tags::VALUE_TYPE, "IMAGE"),
        sequence(
            tags::REFERENCED_SOP_SEQUENCE,
            vec![modules::reference(film)],
        ),
    ])
}

fn valued(kind: &str, relation: Relation, concept: Code, value: Element) -> Set {
    let mut set = named(kind, concept);
    set.put(value);
    below(relation, set)
}

/// The beginning of every item.
pub fn named(kind: &str, concept: Code) -> Set {
    Set::from_element_iter([text(tags::VALUE_TYPE, kind), concept.sequence(NAME)])
}

const NAME: Tag = tags::CONCEPT_NAME_CODE_SEQUENCE;

fn with(mut set: Set, children: Vec<Set>) -> Set {
    if !children.is_empty() {
        set.put(sequence(tags::CONTENT_SEQUENCE, children));
    }
    set
}
