//! Rows of one image and finding are one sample.

use std::{collections::HashMap, path::Path};

use medfocus_annotations::{Corners, Oddities, note, of_cells, of_literal, picture};
use medfocus_plugin_api::{Error, NO_FINDING, Result};

use crate::{
    params::{BoxForm, TableParams},
    rows::{self, Row},
};

/// What the table says of a finding in an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where its first row is.
    place: String,
    /// The image's file, below the folder of images.
    pub image: String,
    /// What is asked about.
    pub finding: String,
    /// The question, where the table has one.
    pub question: Option<String>,
    /// Whether the finding is there, where known.
    pub present: Option<bool>,
    /// The patient, as the table names it.
    pub patient: Option<String>,
    /// Where the finding is.
    pub boxes: Vec<Corners>,
}

/// Reads a table into samples, in the order in which they are met first, and the digest of its text.
///
/// # Errors
///
/// Those of [`rows::read`]; [`Error::invalid`] naming the row if an image is not below the folder of images or the
/// finding is neither there nor not there.
pub fn read(params: &TableParams, oddities: &mut Oddities) -> Result<(Vec<Entry>, blake3::Hash)> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    let one = !params.boxes.contains(',');
    let names = params.columns()?;
    let digest = rows::read(&params.path, names, oddities, |row, oddities| {
        let Some(new) = Entry::of(&row)? else {
            oddities.note("rows without image or finding", || row.place);
            return Ok(());
        };
        let key = (new.image.clone(), new.finding.clone());
        let at = *known.entry(key).or_insert(entries.len());
        if at == entries.len() {
            entries.push(new);
        } else if !entries[at].agrees(new) {
            let place = || row.place.clone();
            oddities.note("rows that contradict an earlier one of their sample", place);
        }
        let [.., x1, y1, x2, y2] = row.cells;
        let cells = [x1, y1, x2, y2];
        if cells.iter().any(Option::is_some) {
            let corners = corners(cells, one, params.form);
            note(&corners, params.unit.unit(), oddities, || row.place);
            entries[at].boxes.push(corners);
        }
        Ok(())
    })?;
    for entry in &mut entries {
        entry.settle(oddities);
    }
    Ok((entries, digest))
}

impl Entry {
    /// A row as a sample of its own, but for its box; nothing if it lacks image or finding.
    fn of(row: &Row<'_, 9>) -> Result<Option<Self>> {
        let [image, finding, question, present, patient, ..] = row.cells;
        let (Some(image), Some(finding)) = (image, finding) else {
            return Ok(None);
        };
        let invalid = |what: &str| Error::invalid(format!("{}: {what}", row.place));
        if picture::below(Path::new(""), image).is_none() {
            return Err(invalid("its image is not below the folder of images")
                .with_hint("name it relative to that folder, without `..`; the parameter `images` is the folder"));
        }
        let is_normal = finding.eq_ignore_ascii_case(NO_FINDING);
        let present = present.map(|cell| {
            said(cell).ok_or_else(|| {
                invalid("whether the finding is there is neither yes nor no")
                    .with_hint("write yes or no, true or false, 1 or 0")
            })
        });
        Ok(Some(Self {
            place: row.place.clone(),
            image: image.to_owned(),
            finding: if is_normal { NO_FINDING } else { finding }.to_owned(),
            question: question.map(str::to_owned),
            present: present.transpose()?,
            patient: patient.map(str::to_owned),
            boxes: Vec::new(),
        }))
    }

    /// Takes what another row of this sample says besides; false if it contradicts what is known, which stays.
    fn agrees(&mut self, other: Self) -> bool {
        fn same<T: PartialEq>(known: &mut Option<T>, new: Option<T>) -> bool {
            if known.is_none() {
                *known = new;
                return true;
            }
            new.is_none() || *known == new
        }
        let question = same(&mut self.question, other.question);
        let present = same(&mut self.present, other.present);
        let patient = same(&mut self.patient, other.patient);
        question && present && patient
    }

    /// Decides whether the finding is there, now that all rows are known.
    fn settle(&mut self, oddities: &mut Oddities) {
        if self.finding == NO_FINDING {
            self.present.get_or_insert(false);
        } else if !self.boxes.is_empty() {
            self.present.get_or_insert(true);
        }
        if self.present == Some(false) && !self.boxes.is_empty() {
            let place = || self.place.clone();
            oddities.note("samples with boxes of what is not there", place);
            self.boxes.clear();
        }
    }
}

/// Yes or no.
fn said(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" | "1.0" => Some(true),
        "no" | "false" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

/// The box in these cells; `one` if the first holds all numbers.
fn corners(cells: [Option<&str>; 4], one: bool, form: BoxForm) -> Corners {
    let [x1, y1, a, b] = match cells {
        [Some(list), ..] if one => of_literal(list),
        cells => of_cells(cells.map(|cell| cell?.parse().ok())),
    }?;
    of_cells(
        match form {
            BoxForm::Corners => [x1, y1, a, b],
            BoxForm::Size => [x1, y1, x1 + a, y1 + b],
        }
        .map(Some),
    )
}
