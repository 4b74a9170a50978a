//! The boxes as a presentation state (PS3.3 A.33.1), which a viewer lays over the film and takes off again.
//!
//! It holds no window: that stays the reader's.

use dicom_dictionary_std::{tags, uids};
use medfocus_plugin_api::Result;

use crate::{
    BANNER,
    elements::{
        Element, Set, decimal, empty, floats, item, long, paragraph, sequence, text, words,
    },
    explanation::{Explanation, Region},
    film::Film,
    modules::{self, Kind},
    object::{self, Moment, Object},
};

const KIND: Kind = Kind {
    class: uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    modality: "PR",
    series: "9103",
};

/// The layer that a viewer toggles.
const LAYER: &str = "MEDFOCUS";

/// Writes the boxes.
pub(crate) fn write(film: &Film, explanation: &Explanation<'_>, now: &Moment) -> Result<Object> {
    let mut set = modules::common(&KIND, film, explanation);
    let film_only = || {
        sequence(
            tags::REFERENCED_IMAGE_SEQUENCE,
            vec![modules::reference(film)],
        )
    };
    for element in [
        text(tags::PRESENTATION_CREATION_DATE, now.date.as_str()),
        text(tags::PRESENTATION_CREATION_TIME, now.time.as_str()),
        text(tags::CONTENT_LABEL, LAYER),
        text(tags::CONTENT_DESCRIPTION, "What a model's answer rests on"),
        empty(tags::CONTENT_CREATOR_NAME),
        empty(tags::LATERALITY),
        item(
            tags::REFERENCED_SERIES_SEQUENCE,
            [
                text(tags::SERIES_INSTANCE_UID, film.series.as_str()),
                film_only(),
            ],
        ),
        item(
            tags::DISPLAYED_AREA_SELECTION_SEQUENCE,
            [
                film_only(),
                long(tags::DISPLAYED_AREA_TOP_LEFT_HAND_CORNER, &[1, 1]),
                long(
                    tags::DISPLAYED_AREA_BOTTOM_RIGHT_HAND_CORNER,
                    &[film.columns.into(), film.rows.into()],
                ),
                text(tags::PRESENTATION_SIZE_MODE, "SCALE TO FIT"),
                pixel_shape(film),
            ],
        ),
        sequence(
            tags::GRAPHIC_ANNOTATION_SEQUENCE,
            vec![annotation(film_only(), explanation)],
        ),
        item(
            tags::GRAPHIC_LAYER_SEQUENCE,
            [
                text(tags::GRAPHIC_LAYER, LAYER),
                text(tags::GRAPHIC_LAYER_ORDER, "1"),
                words(
                    tags::GRAPHIC_LAYER_RECOMMENDED_DISPLAY_GRAYSCALE_VALUE,
                    &[u16::MAX],
                ),
                words(
                    tags::GRAPHIC_LAYER_RECOMMENDED_DISPLAY_CIE_LAB_VALUE,
                    &ORANGE,
                ),
            ],
        ),
        // A state takes the place of the film's own transformations: what the film has is said again.
        text(tags::PRESENTATION_LUT_SHAPE, shape(film)),
    ] {
        set.put(element);
    }
    for element in &film.modality {
        set.put(element.clone());
    }
    object::finish("explanation.gsps.dcm", set)
}

/// L* 70, a* 40, b* 70 as PS3.3 C.10.7.1.1 writes them.
const ORANGE: [u16; 3] = [45875, 43176, 50886];

fn shape(film: &Film) -> &'static str {
    if film.photometric == "MONOCHROME1" {
        "INVERSE"
    } else {
        "IDENTITY"
    }
}

/// The size of a pixel, or its shape where no size is known.
fn pixel_shape(film: &Film) -> Element {
    match film.spacing.or(film.detector_spacing) {
        Some([height, width]) => text(
            tags::PRESENTATION_PIXEL_SPACING,
            format!("{}\\{}", decimal(height), decimal(width)),
        ),
        None => {
            let [height, width] = film.aspect.unwrap_or([1.0, 1.0]);
            text(
                tags::PRESENTATION_PIXEL_ASPECT_RATIO,
                format!("{}\\{}", height.round().max(1.0), width.round().max(1.0)),
            )
        }
    }
}

fn annotation(film: Element, explanation: &Explanation<'_>) -> Set {
    let mut texts = vec![notice()];
    let mut lines = Vec::new();
    for (at, region) in explanation.regions.iter().enumerate() {
        lines.push(outline(region));
        texts.push(label(at + 1, region));
    }
    let mut set = Set::from_element_iter([
        film,
        text(tags::GRAPHIC_LAYER, LAYER),
        sequence(tags::TEXT_OBJECT_SEQUENCE, texts),
    ]);
    if !lines.is_empty() {
        set.put(sequence(tags::GRAPHIC_OBJECT_SEQUENCE, lines));
    }
    set
}

/// Along the edges of the box: 0\0 is the outer corner of the film's first pixel (PS3.3 C.10.5.1.2).
fn outline(region: &Region<'_>) -> Set {
    let [x1, y1, x2, y2] = region.edges.map(|edge| edge as f32);
    Set::from_element_iter([
        text(tags::GRAPHIC_ANNOTATION_UNITS, "PIXEL"),
        words(tags::GRAPHIC_DIMENSIONS, &[2]),
        words(tags::NUMBER_OF_GRAPHIC_POINTS, &[5]),
        floats(
            tags::GRAPHIC_DATA,
            &[x1, y1, x2, y1, x2, y2, x1, y2, x1, y1],
        ),
        text(tags::GRAPHIC_TYPE, "POLYLINE"),
        text(tags::GRAPHIC_FILLED, "N"),
    ])
}

fn label(rank: usize, region: &Region<'_>) -> Set {
    let name = region
        .label
        .map_or_else(String::new, |label| format!(" {label}"));
    let words = format!("{rank}{name} {:.3}", region.score);
    let [x, y, ..] = region.edges.map(|edge| edge as f32);
    Set::from_element_iter([
        text(tags::ANCHOR_POINT_ANNOTATION_UNITS, "PIXEL"),
        text(tags::UNFORMATTED_TEXT_VALUE, paragraph(&words, 1024)),
        floats(tags::ANCHOR_POINT, &[x, y]),
        text(tags::ANCHOR_POINT_VISIBILITY, "N"),
    ])
}

/// At the top of the displayed area, whatever part of the film it shows.
fn notice() -> Set {
    Set::from_element_iter([
        text(tags::BOUNDING_BOX_ANNOTATION_UNITS, "DISPLAY"),
        text(tags::UNFORMATTED_TEXT_VALUE, BANNER),
        floats(tags::BOUNDING_BOX_TOP_LEFT_HAND_CORNER, &[0.02, 0.01]),
        floats(tags::BOUNDING_BOX_BOTTOM_RIGHT_HAND_CORNER, &[0.98, 0.05]),
        text(tags::BOUNDING_BOX_TEXT_HORIZONTAL_JUSTIFICATION, "LEFT"),
    ])
}
