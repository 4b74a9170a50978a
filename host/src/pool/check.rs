//! What may be wrong with a pool that can be read.

use std::collections::BTreeMap;

use medfocus_attribution::COMPOSITES;
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{DatasetReader, GrayImage, Mask, Result, Sample};
use serde::Serialize;

use super::{name_of, step};
use crate::plugin::Session;

/// A mask of a smaller share of the image is suspicious: a phantom's costophrenic angle has seven times as much.
const TINY: f64 = 0.0005;
/// And so is one of a larger share: two lungs have less.
const HUGE: f64 = 0.6;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    /// Digest of the pool's content.
    pub digest: String,
    /// A row a reference.
    pub references: Vec<Row>,
}

/// One reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Columns of its image.
    pub width: u32,
    /// Rows of its image.
    pub height: u32,
    /// Concepts with a mask.
    pub concepts: usize,
    /// Share of the image that any mask covers.
    pub covered: f64,
    /// What may be wrong, one sentence each.
    pub findings: Vec<String>,
}

impl Review {
    /// Findings of all references.
    pub fn findings(&self) -> usize {
        self.references.iter().map(|row| row.findings.len()).sum()
    }
}

/// Reads the whole pool.
///
/// # Errors
///
/// A reference cannot be read, or the user stopped it.
pub fn check(reader: &dyn DatasetReader, session: &Session) -> Result<Review> {
    let info = reader.info()?;
    let mut seen = BTreeMap::new();
    let references = (0..info.len).map(|index| {
        let sample = reader.sample(index)?;
        let mut row = row(&sample);
        if let Some(first) = seen.get(&pixels(&sample.image)) {
            row.findings
                .push(format!("has the same image as `{first}`"));
        } else {
            seen.insert(pixels(&sample.image), row.name.clone());
        }
        step(session, index + 1, info.len, "checking references")?;
        Ok(row)
    });
    Ok(Review {
        references: references.collect::<Result<_>>()?,
        digest: info.digest,
    })
}

/// A digest of size and pixels.
fn pixels(image: &GrayImage) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&image.width().to_le_bytes());
    hasher.update(image.bytes());
    hasher.finalize().into()
}

/// Looks at one reference.
pub fn row(sample: &Sample) -> Row {
    let (marked, missing): (Vec<&str>, Vec<&str>) = CONCEPTS
        .into_iter()
        .partition(|name| sample.masks.contains_key(*name));
    let mut findings = Vec::new();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|name| format!("`{name}`")).collect();
        findings.push(format!("has no mask of {}", names.join(", ")));
    }
    let image = &sample.image;
    if image.bytes().iter().all(|level| *level == image.bytes()[0]) {
        findings.push("is an image of one grey level".to_owned());
    }
    for (name, mask) in &sample.masks {
        let share = mask.area() as f64 / image.bytes().len() as f64;
        if share < TINY {
            findings.push(format!(
                "`{name}` has only {} of {} pixels",
                mask.area(),
                image.bytes().len()
            ));
        } else if share > HUGE {
            findings.push(format!(
                "`{name}` covers {:.0} % of the image",
                100.0 * share
            ));
        }
    }
    for (_, [left, right]) in COMPOSITES {
        let (left, right) = (CONCEPTS[left], CONCEPTS[right]);
        let column = |name| sample.masks.get(name).and_then(middle);
        if let Some((l, r)) = column(left).zip(column(right))
            && l <= r
        {
            findings.push(format!(
                "`{left}` does not lie on the image's right of `{right}`: are the sides swapped?"
            ));
        }
    }
    Row {
        name: name_of(sample),
        width: image.width(),
        height: image.height(),
        concepts: marked.len(),
        covered: covered(sample),
        findings,
    }
}

/// The mean column of a region; nothing if it is empty.
fn middle(mask: &Mask) -> Option<f64> {
    let columns = mask
        .view()
        .indexed_iter()
        .filter_map(|((_, x), &pixel)| (pixel != 0).then_some(x as f64))
        .fold((0.0, 0.0), |(sum, n), x| (sum + x, n + 1.0));
    (columns.1 > 0.0).then(|| columns.0 / columns.1)
}

fn covered(sample: &Sample) -> f64 {
    let mut inside = vec![false; sample.image.bytes().len()];
    for mask in sample.masks.values() {
        for (inside, &pixel) in inside.iter_mut().zip(mask.view()) {
            *inside |= pixel != 0;
        }
    }
    inside.iter().filter(|&&inside| inside).count() as f64 / inside.len() as f64
}
