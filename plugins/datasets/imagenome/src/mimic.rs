//! Where MIMIC-CXR-JPG keeps its images.

use std::fmt::Display;

/// The folder of images, below the one of all archives.
pub const IMAGES: &str = "mimic-cxr-jpg/2.1.0/files";

/// `pNN/pPATIENT/sSTUDY/FILE` below [`IMAGES`], where NN are the patient's first two digits.
pub fn place(patient: impl Display, study: impl Display, file: &str) -> String {
    let patient = patient.to_string();
    let group: String = patient.chars().take(2).collect();
    format!("p{group}/p{patient}/s{study}/{file}")
}
