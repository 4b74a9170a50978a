//! What a file says about the shape of its pixels and the side of the patient (DICOM PS3.3 C.7.6.1.1.1,
//! C.7.6.3.1.7 and 10.7.1): the image stays as it is stored, so what differs from usual is warned of.

use dicom_dictionary_std::tags;

use super::dataset::Dataset;

/// How far from 1 the ratio of a pixel's sides may be: rounding in the header's decimals.
const SQUARE: f64 = 0.01;

pub(super) fn warnings(dataset: &Dataset) -> Vec<String> {
    aspect(dataset).into_iter().chain(side(dataset)).collect()
}

/// All three elements give the size down the columns first. The first that is there counts.
fn aspect(dataset: &Dataset) -> Option<String> {
    let elements = [
        (tags::PIXEL_SPACING, "PixelSpacing"),
        (tags::IMAGER_PIXEL_SPACING, "ImagerPixelSpacing"),
        (tags::PIXEL_ASPECT_RATIO, "PixelAspectRatio"),
    ];
    let (name, ratio) =
        elements
            .into_iter()
            .find_map(|(tag, name)| match dataset.numbers(tag)[..] {
                [height, width] if height > 0.0 && width > 0.0 => Some((name, height / width)),
                _ => None,
            })?;
    ((ratio - 1.0).abs() > SQUARE).then(|| {
        format!(
            "{name} says that pixels are {ratio:.2} times as high as wide: the image is used as if they \
             were square, so shapes are distorted"
        )
    })
}

/// The directions of the patient along the rows and down the columns. Frontal films have the patient's
/// left on the right and the feet below; lateral films may show either side.
fn side(dataset: &Dataset) -> Option<String> {
    let directions = dataset.keywords(tags::PATIENT_ORIENTATION);
    let [row, column] = &directions[..] else {
        return None;
    };
    // Of an oblique direction the first letter is the main one.
    let found = match (row.bytes().next()?, column.bytes().next()?) {
        (b'R', b'H') => {
            "turned by 180 degrees: left and right are exchanged, and so are top and bottom"
        }
        (b'R', b'F') => "mirrored: what looks like the patient's left is the right",
        (b'L' | b'A' | b'P', b'H') => "upside down",
        (b'H' | b'F', b'L' | b'R' | b'A' | b'P') => "turned by a quarter",
        _ => return None,
    };
    Some(format!(
        "PatientOrientation says that the image is {found}; it is used as it is stored"
    ))
}
