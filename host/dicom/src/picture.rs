//! The picture as a secondary capture (PS3.3 A.8.1): what every viewer shows.

use dicom_dictionary_std::{tags, uids};
use medfocus_plugin_api::{Error, Result};

use crate::{
    codes::Code,
    elements::{bytes, decimal, empty, paragraph, sequence, text, words},
    explanation::Explanation,
    film::Film,
    modules::{self, Kind},
    object::{self, Moment, Object},
};

const KIND: Kind = Kind {
    class: uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    modality: "OT",
    series: "9101",
};

/// Writes the picture.
///
/// # Errors
///
/// The picture does not have the pixels that its size says.
pub(crate) fn write(film: &Film, explanation: &Explanation<'_>, now: &Moment) -> Result<Object> {
    let picture = &explanation.picture;
    let pixels = usize::from(picture.width) * usize::from(picture.height);
    if picture.rgb.len() != 3 * pixels {
        return Err(Error::internal(
            "the picture for DICOM has another size than it says",
        ));
    }
    let mut set = modules::common(&KIND, film, explanation);
    for element in modules::moment(now) {
        set.put(element);
    }
    let derivation = format!(
        "MedFocus {}: what the answer \"{}\" of {} to \"{}\" rests on, according to {}",
        explanation.version,
        explanation.answer.trim(),
        explanation.model.name,
        explanation.question.trim(),
        explanation.method.name,
    );
    let mut source = modules::reference(film);
    source.put(
        Code::dcm("121322", "Source image for image processing operation")
            .sequence(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE),
    );
    for element in [
        text(tags::CONVERSION_TYPE, "WSD"),
        text(tags::IMAGE_TYPE, "DERIVED\\SECONDARY"),
        empty(tags::LATERALITY),
        text(tags::PATIENT_ORIENTATION, film.orientation.as_str()),
        text(tags::DERIVATION_DESCRIPTION, paragraph(&derivation, 1024)),
        sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![source]),
        words(tags::SAMPLES_PER_PIXEL, &[3]),
        text(tags::PHOTOMETRIC_INTERPRETATION, "RGB"),
        words(tags::PLANAR_CONFIGURATION, &[0]),
        words(tags::ROWS, &[picture.height]),
        words(tags::COLUMNS, &[picture.width]),
        words(tags::BITS_ALLOCATED, &[8]),
        words(tags::BITS_STORED, &[8]),
        words(tags::HIGH_BIT, &[7]),
        words(tags::PIXEL_REPRESENTATION, &[0]),
        bytes(tags::PIXEL_DATA, picture.rgb),
    ] {
        set.put(element);
    }
    if !film.burned_in.is_empty() {
        set.put(text(tags::BURNED_IN_ANNOTATION, film.burned_in.as_str()));
    }
    if let Some([height, width]) = film.spacing {
        let (x, y) = picture.scale;
        let spacing = format!("{}\\{}", decimal(height / y), decimal(width / x));
        set.put(text(tags::PIXEL_SPACING, spacing));
    }
    for element in &film.lossy {
        set.put(element.clone());
    }
    object::finish("explanation.sc.dcm", set)
}
