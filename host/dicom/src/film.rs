//! What the header of the explained image says: of whom and what it is, and how its pixels lie.

use std::panic::catch_unwind;

use dicom_core::{Tag, header::HasLength as _};
use dicom_dictionary_std::tags;
use dicom_object::OpenFileOptions;
use medfocus_plugin_api::{Error, Result};

use crate::{
    elements::{Element, Set},
    uid,
};

/// A film, as far as an object about it must know it.
#[derive(Clone, Debug)]
pub struct Film {
    /// Whose it is and of which examination.
    pub patient: Patient,
    /// SOP class UID.
    pub class: String,
    /// SOP instance UID.
    pub instance: String,
    /// Series instance UID.
    pub series: String,
    /// Study instance UID.
    pub study: String,
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
    /// Frames.
    pub frames: u32,
    /// Photometric interpretation.
    pub photometric: String,
    /// Directions of the patient along rows and columns, with `\` between; empty if not said.
    pub orientation: String,
    /// Height and width of a pixel in the patient, in mm.
    pub spacing: Option<[f64; 2]>,
    /// Height and width of a pixel on the detector, in mm.
    pub detector_spacing: Option<[f64; 2]>,
    /// Height and width of a pixel relative to each other.
    pub aspect: Option<[f64; 2]>,
    /// Whether the pixels show who the patient is: `YES`, `NO`, or empty if not said.
    pub burned_in: String,
    /// Whether the identity is replaced.
    pub replaced: bool,
    /// Elements that say how the pixels lost detail, if they did.
    pub(crate) lossy: Vec<Element>,
    /// Elements that turn stored values into the modality's.
    pub(crate) modality: Vec<Element>,
}

/// Whose a film is and of which examination; what the header does not say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patient {
    /// Name, as DICOM writes it.
    pub name: String,
    /// Number.
    pub id: String,
    /// Who gave the number.
    pub issuer: String,
    /// YYYYMMDD.
    pub birth_date: String,
    /// M, F or O.
    pub sex: String,
    /// YYYYMMDD.
    pub study_date: String,
    /// HHMMSS.
    pub study_time: String,
    /// Number of the examination.
    pub study_id: String,
    /// Number of the request.
    pub accession: String,
    /// Who asked for it.
    pub referring: String,
}

impl Film {
    /// Reads the header in the bytes of a DICOM file; its pixels are not touched.
    ///
    /// # Errors
    ///
    /// One sentence, which holds nothing of the content, if the bytes are no DICOM file or do not say what the film is.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let header = catch_unwind(|| {
            OpenFileOptions::new()
                .read_until(tags::PIXEL_DATA)
                .from_reader(bytes)
        });
        let Ok(Ok(header)) = header else {
            return Err(Error::invalid(
                "the image is no DICOM file whose header can be read, so no DICOM objects can be about it",
            )
            .with_hint("leave out `--dicom` and `--send`, or give the film as it comes from the archive"));
        };
        Self::of(&header)
    }

    /// Whether a presentation state can be about it.
    pub fn is_grey(&self) -> bool {
        self.photometric.starts_with("MONOCHROME")
    }

    fn of(header: &Set) -> Result<Self> {
        let identifier = |tag, name: &str| {
            let text = text(header, tag);
            if uid::is_valid(&text) {
                Ok(text)
            } else {
                Err(Error::invalid(format!(
                    "the film's header has no valid {name}, so no DICOM objects can be about it"
                )))
            }
        };
        let size = |tag| header.get(tag).and_then(|found| found.to_int::<u16>().ok());
        let (Some(columns), Some(rows)) = (size(tags::COLUMNS), size(tags::ROWS)) else {
            return Err(Error::invalid(
                "the film's header does not say how large it is",
            ));
        };
        let lossy = text(header, tags::LOSSY_IMAGE_COMPRESSION) == "01";
        Ok(Self {
            patient: Patient::of(header),
            class: identifier(tags::SOP_CLASS_UID, "SOPClassUID")?,
            instance: identifier(tags::SOP_INSTANCE_UID, "SOPInstanceUID")?,
            series: identifier(tags::SERIES_INSTANCE_UID, "SeriesInstanceUID")?,
            study: identifier(tags::STUDY_INSTANCE_UID, "StudyInstanceUID")?,
            columns,
            rows,
            frames: text(header, tags::NUMBER_OF_FRAMES).parse().unwrap_or(1),
            photometric: text(header, tags::PHOTOMETRIC_INTERPRETATION),
            orientation: text(header, tags::PATIENT_ORIENTATION),
            spacing: pair(header, tags::PIXEL_SPACING),
            detector_spacing: pair(header, tags::IMAGER_PIXEL_SPACING),
            aspect: pair(header, tags::PIXEL_ASPECT_RATIO),
            burned_in: text(header, tags::BURNED_IN_ANNOTATION),
            replaced: false,
            lossy: if lossy {
                these(header, &LOSSY)
            } else {
                Vec::new()
            },
            modality: these(header, &MODALITY),
        })
    }
}

const LOSSY: [Tag; 3] = [
    tags::LOSSY_IMAGE_COMPRESSION,
    tags::LOSSY_IMAGE_COMPRESSION_RATIO,
    tags::LOSSY_IMAGE_COMPRESSION_METHOD,
];
const MODALITY: [Tag; 4] = [
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::RESCALE_TYPE,
    tags::MODALITY_LUT_SEQUENCE,
];

impl Patient {
    fn of(header: &Set) -> Self {
        Self {
            name: text(header, tags::PATIENT_NAME),
            id: text(header, tags::PATIENT_ID),
            issuer: text(header, tags::ISSUER_OF_PATIENT_ID),
            birth_date: text(header, tags::PATIENT_BIRTH_DATE),
            sex: text(header, tags::PATIENT_SEX),
            study_date: text(header, tags::STUDY_DATE),
            study_time: text(header, tags::STUDY_TIME),
            study_id: text(header, tags::STUDY_ID),
            accession: text(header, tags::ACCESSION_NUMBER),
            referring: text(header, tags::REFERRING_PHYSICIAN_NAME),
        }
    }
}

/// The text of an element without its padding; empty if there is none.
fn text(header: &Set, tag: Tag) -> String {
    let text = header.get(tag).and_then(|found| found.to_str().ok());
    let padding = |c: char| c == '\0' || c.is_whitespace();
    text.map_or_else(String::new, |text| text.trim_matches(padding).to_owned())
}

/// Two numbers above zero.
fn pair(header: &Set, tag: Tag) -> Option<[f64; 2]> {
    let numbers = header.get(tag)?.to_multi_float64().ok()?;
    let pair: [f64; 2] = numbers.try_into().ok()?;
    pair.iter()
        .all(|number| *number > 0.0 && number.is_finite())
        .then_some(pair)
}

/// Those of these elements that are there and say something.
fn these(header: &Set, wanted: &[Tag]) -> Vec<Element> {
    let found = wanted.iter().filter_map(|tag| header.get(*tag));
    found
        .filter(|element| !element.is_empty())
        .cloned()
        .collect()
}
