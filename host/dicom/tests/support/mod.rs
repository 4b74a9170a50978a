//! A film as an archive holds it, of a patient who does not exist.

#![allow(dead_code)] // Each test binary uses its own part.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::C};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

pub const STUDY: &str = "1.2.826.0.1.3680043.10.1.1";
pub const SERIES: &str = "1.2.826.0.1.3680043.10.1.2";
pub const INSTANCE: &str = "1.2.826.0.1.3680043.10.1.3";

/// What no object without identity may hold.
pub const SECRETS: [&str; 7] = [
    "Mustermann",
    "PAT-4711",
    "19560229",
    "20240229",
    "ACC-0815",
    "Überweiser",
    "2.826.0.1.3680043.10.1",
];

/// A film in the making.
pub struct Film(pub InMemDicomObject);

impl Film {
    /// A computed radiograph of 12 bits whose pixels are 16 times the levels of an 8-bit image.
    pub fn new(rows: u16, columns: u16, levels: &[u8]) -> Self {
        let stored = levels.iter().map(|&level| u16::from(level) << 4);
        let mut set = InMemDicomObject::new_empty();
        for (tag, vr, value) in [
            (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100"),
            (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY"),
            (
                tags::SOP_CLASS_UID,
                VR::UI,
                uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
            ),
            (tags::SOP_INSTANCE_UID, VR::UI, INSTANCE),
            (tags::STUDY_DATE, VR::DA, "20240229"),
            (tags::STUDY_TIME, VR::TM, "101500"),
            (tags::ACCESSION_NUMBER, VR::SH, "ACC-0815"),
            (tags::MODALITY, VR::CS, "CR"),
            (tags::MANUFACTURER, VR::LO, "Nobody"),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Überweiser^Dr"),
            (tags::PATIENT_NAME, VR::PN, "Mustermann^Änne"),
            (tags::PATIENT_ID, VR::LO, "PAT-4711"),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19560229"),
            (tags::PATIENT_SEX, VR::CS, "F"),
            (tags::BODY_PART_EXAMINED, VR::CS, "CHEST"),
            (tags::VIEW_POSITION, VR::CS, "PA"),
            (tags::STUDY_INSTANCE_UID, VR::UI, STUDY),
            (tags::SERIES_INSTANCE_UID, VR::UI, SERIES),
            (tags::STUDY_ID, VR::SH, "17"),
            (tags::SERIES_NUMBER, VR::IS, "1"),
            (tags::INSTANCE_NUMBER, VR::IS, "1"),
            (tags::PATIENT_ORIENTATION, VR::CS, "L\\F"),
            (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
            (tags::PIXEL_SPACING, VR::DS, "0.4\\0.4"),
            (tags::RESCALE_INTERCEPT, VR::DS, "-5"),
            (tags::RESCALE_SLOPE, VR::DS, "2"),
            (tags::RESCALE_TYPE, VR::LO, "US"),
        ] {
            set.put(DataElement::new(tag, vr, PrimitiveValue::Str(value.into())));
        }
        for (tag, value) in [
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::ROWS, rows),
            (tags::COLUMNS, columns),
            (tags::BITS_ALLOCATED, 16),
            (tags::BITS_STORED, 12),
            (tags::HIGH_BIT, 11),
            (tags::PIXEL_REPRESENTATION, 0),
        ] {
            set.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
        }
        let pixels = PrimitiveValue::U16(C::from_iter(stored));
        set.put(DataElement::new(tags::PIXEL_DATA, VR::OW, pixels));
        Self(set)
    }

    pub fn with(mut self, tag: Tag, vr: VR, value: &str) -> Self {
        self.0.put(DataElement::new(tag, vr, value));
        self
    }

    pub fn without(mut self, tag: Tag) -> Self {
        self.0.remove_element(tag);
        self
    }

    /// The file in this transfer syntax.
    pub fn file(&self, transfer: &str) -> Vec<u8> {
        let meta = FileMetaTableBuilder::new().transfer_syntax(transfer);
        let mut bytes = Vec::new();
        let file = self.0.clone().with_meta(meta).unwrap();
        file.write_all(&mut bytes).unwrap();
        bytes
    }
}
