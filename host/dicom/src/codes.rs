//! Concepts with their codes: standard ones where they exist, those of `99MEDFOCUS` otherwise.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::elements::{self, Element, Set};

/// A coded concept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code, 16 characters at most.
    pub value: &'static str,
    /// Who defines it.
    pub scheme: &'static str,
    /// What it means, 64 characters at most.
    pub meaning: &'static str,
}

/// The scheme of what no standard names.
pub const PRIVATE: &str = "99MEDFOCUS";

impl Code {
    /// A code of the DICOM controlled terminology (PS3.16 D).
    pub const fn dcm(value: &'static str, meaning: &'static str) -> Self {
        Self::new(value, "DCM", meaning)
    }

    /// A code of SNOMED CT.
    pub const fn sct(value: &'static str, meaning: &'static str) -> Self {
        Self::new(value, "SCT", meaning)
    }

    /// A code of MedFocus.
    pub const fn own(value: &'static str, meaning: &'static str) -> Self {
        Self::new(value, PRIVATE, meaning)
    }

    const fn new(value: &'static str, scheme: &'static str, meaning: &'static str) -> Self {
        Self {
            value,
            scheme,
            meaning,
        }
    }

    /// A sequence of this code.
    pub(crate) fn sequence(self, tag: Tag) -> Element {
        elements::sequence(tag, vec![self.item()])
    }

    pub(crate) fn item(self) -> Set {
        Set::from_element_iter([
            elements::text(tags::CODE_VALUE, self.value),
            elements::text(tags::CODING_SCHEME_DESIGNATOR, self.scheme),
            elements::text(tags::CODE_MEANING, self.meaning),
        ])
    }
}

/// No unit.
pub const NO_UNITS: Code = Code {
    value: "1",
    scheme: "UCUM",
    meaning: "no units",
};
/// What a region is found to be.
pub const EVIDENCE: Code = Code::own("EVIDENCE", "Image region that a model's answer rests on");
/// What a concept's weight is about.
pub const CONCEPT: Code = Code::own("CONCEPT", "Anatomical concept weighed for a model's answer");
/// Delta.
pub const DELTA: Code = Code::own("DELTA", "Log-probability that the answer loses without it");
/// A score that only the method can compare.
pub const SCORE: Code = Code::own("SCORE", "Attribution score on the method's own scale");
/// The question.
pub const QUESTION: Code = Code::own("QUESTION", "Question to the model");
/// An answer of the model.
pub const ANSWER: Code = Code::own("ANSWER", "Answer of the model");
/// An answer that the user wants explained.
pub const GIVEN: Code = Code::own("GIVEN-ANSWER", "Answer given for explanation");
/// The finding that the question is about.
pub const ASKED: Code = Code::own("ASKED", "Finding that the question is about");
/// A warning.
pub const WARNING: Code = Code::own("WARNING", "To know before trusting this result");
/// The notice that the result is for research.
pub const NOTICE: Code = Code::own("NOTICE", "Notice");
/// Model or method, with their digests.
pub const MADE_BY: Code = Code::own("MADE-BY", "What computed the result");
/// What the method calls a region that no code names.
pub const LABEL: Code = Code::own("LABEL", "Name of the region");

/// A place in the body, with its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The structure.
    pub structure: Code,
    /// Left or right of the patient.
    pub side: Option<Code>,
}

const LEFT: Code = Code::sct("7771000", "Left");
const RIGHT: Code = Code::sct("24028007", "Right");

/// The place that a concept of [`medfocus_plugin_api::CONCEPTS`] names.
pub fn site(concept: &str) -> Option<Site> {
    let (side, rest) = if let Some(rest) = concept.strip_prefix("left ") {
        (Some(LEFT), rest)
    } else if let Some(rest) = concept.strip_prefix("right ") {
        (Some(RIGHT), rest)
    } else {
        (None, concept)
    };
    let structure = match rest {
        "cardiac silhouette" => Code::sct("80891009", "Heart"),
        "lung" => Code::sct("39607008", "Lung"),
        "mediastinum" => Code::sct("72410000", "Mediastinum"),
        "clavicle" => Code::sct("51299004", "Clavicle"),
        "hilar structures" => Code::sct("46750007", "Hilum of lung"),
        "upper mediastinum" => Code::own("UPPER-MEDIASTIN", "Upper mediastinum"),
        "costophrenic angle" => Code::own("COSTOPHRENIC", "Costophrenic angle"),
        _ => return None,
    };
    Some(Site { structure, side })
}

/// The code of a finding by its usual English name.
pub fn finding(name: &str) -> Option<Code> {
    let name = name.trim().to_lowercase().replace(['_', '-'], " ");
    Some(match name.as_str() {
        "atelectasis" => Code::sct("46621007", "Atelectasis"),
        "cardiomegaly" => Code::sct("8186001", "Cardiomegaly"),
        "consolidation" => Code::sct("95436008", "Lung consolidation"),
        "edema" | "pulmonary edema" => Code::sct("19242006", "Pulmonary edema"),
        "pleural effusion" => Code::sct("60046008", "Pleural effusion"),
        "pneumonia" => Code::sct("233604007", "Pneumonia"),
        "pneumothorax" => Code::sct("36118008", "Pneumothorax"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use medfocus_plugin_api::CONCEPTS;

    use super::*;

    #[test]
    fn every_concept_has_a_place() {
        for concept in CONCEPTS {
            let site = site(concept).unwrap_or_else(|| panic!("no code for {concept}"));
            assert_eq!(
                site.side.is_some(),
                concept.contains("left") || concept.contains("right")
            );
            assert!(site.structure.value.len() <= 16 && site.structure.meaning.len() <= 64);
        }
    }

    #[test]
    fn findings_are_found_by_any_spelling() {
        assert_eq!(finding("Pleural_Effusion").unwrap().value, "60046008");
        assert_eq!(finding("a shadow"), None);
    }
}
