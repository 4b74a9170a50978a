//! What is used of `filtered_studies.json`: a list of studies, each with its image and what its report says.

use std::io::BufReader;

use medfocus_annotations::{Corners, Source, of_cells};
use medfocus_plugin_api::{Error, Result};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::python::Nulls;

/// A study; all else is passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct Study {
    /// File of its image.
    #[serde(rename = "ImageID")]
    pub image: String,
    /// Name of the study, a pseudonym of PadChest.
    #[serde(rename = "StudyID", default)]
    study: Option<Value>,
    /// Name of the patient, likewise, where it was added to the file.
    #[serde(rename = "PatientID", default)]
    patient: Option<Value>,
    /// What its report says, sentence by sentence.
    pub findings: Vec<Finding>,
}

impl Study {
    /// What tells its patient from others: the patient's name where the file has it, or else the study's, as the archive
    /// has few patients with two, or else the image's. A name of more digits than a number keeps says nothing: two patients
    /// could share it.
    pub fn patient(&self) -> String {
        let names = [&self.patient, &self.study].into_iter().flatten();
        let name = names.into_iter().find(|name| !name.is_f64());
        name.map_or_else(|| self.image.clone(), Value::to_string)
    }
}

/// A sentence of a report. Those that find nothing often come without labels and boxes.
#[derive(Clone, Debug, Deserialize)]
pub struct Finding {
    /// Whether it is of something abnormal.
    pub abnormal: bool,
    /// What it finds.
    #[serde(default, deserialize_with = "or_none")]
    pub labels: Vec<String>,
    #[serde(default, deserialize_with = "or_none")]
    boxes: Vec<Vec<Option<f64>>>,
    #[serde(default, deserialize_with = "or_none")]
    extra_boxes: Vec<Vec<Option<f64>>>,
}

impl Finding {
    /// Where it is, in shares of the image's width and height: `boxes`, then `extra_boxes`.
    pub fn boxes(&self) -> Vec<Corners> {
        let corners = |numbers: &Vec<Option<f64>>| of_cells(numbers.as_slice().try_into().ok()?);
        let boxes = self.boxes.iter().chain(&self.extra_boxes);
        boxes.map(corners).collect()
    }
}

/// `null` as an empty list.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The studies of a file, and the digest of its text.
///
/// # Errors
///
/// [`Error::invalid`] naming file, line and column if it is no such list.
pub fn read(mut source: Source) -> Result<(Vec<Study>, blake3::Hash)> {
    let studies =
        serde_json::from_reader(Nulls::new(BufReader::new(&mut source))).map_err(|error| {
            Error::invalid(format!("{} is no list of studies: {error}", source.name())).with_hint(
                "it is a JSON list; each study has ImageID and findings, each finding `abnormal`",
            )
        })?;
    Ok((studies, source.digest()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_digits_of_a_number_merge_nobody() {
        let patient = |id: &str| {
            let text = format!(r#"{{"ImageID": "{id}.png", "StudyID": {id}, "findings": []}}"#);
            serde_json::from_str::<Study>(&text).unwrap().patient()
        };
        assert_eq!(patient("17"), "17");
        let long = "21684011136696401228339383415201200915209122";
        assert_ne!(patient(&format!("{long}1")), patient(&format!("{long}2")));
    }
}
