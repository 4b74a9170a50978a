//! The findings of the gold annotations: what the paper asks of Chest ImaGenome.

use std::{collections::BTreeMap, path::Path};

use medfocus_annotations::{Annotation, Collection, Corners, Oddities, Table, Unit};
use medfocus_annotations::{folder, note, of_literal};
use medfocus_plugin_api::{Component, Context, DatasetInfo, DatasetReader, Result, Sample, params};

use crate::mimic;

params! {
    /// Parameters of [`ImagenomeReader`].
    pub struct ImagenomeParams {
        /// Folder that holds `chest-imagenome/1.0.0` and `mimic-cxr-jpg/2.1.0`.
        pub path: String = "";
    }
}

/// What the dataset is called in results.
const NAME: &str = "imagenome";

const GOLD: &str = "chest-imagenome/1.0.0/gold_dataset/gold_object_attribute_with_coordinates.txt";

/// Columns that are read.
const COLUMNS: [&str; 7] = [
    "patient_id",
    "study_id",
    "image_id",
    "label_name",
    "categoryID",
    "relation",
    "coord_original",
];

/// What a sample is made of: patient, study, image, finding and its category, in the order of the samples.
type Key = (i64, i64, String, String, String);

/// Findings and diseases that the gold annotations of Chest ImaGenome affirm; one sample an image and finding.
///
/// Rows that affirm (`relation` 1) an `anatomicalfinding` or a `disease` are grouped by patient, study, image, finding
/// and category, and the groups are numbered in the order of these: numbers as numbers, text by its code points. The
/// boxes of a group are those of its rows, in their order and in pixels of the original image. Rows without one of the
/// five belong to no group. The archive has 1,405 groups.
///
/// Images are those of MIMIC-CXR-JPG; one that is missing fails alone. Not run on the real data yet.
pub struct ImagenomeReader(Collection);

impl Component for ImagenomeReader {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "Chest ImaGenome, gold annotations: findings with the boxes of their regions; 1405 samples.";
    type Params = ImagenomeParams;

    fn new(params: ImagenomeParams, context: Context) -> Result<Self> {
        let root = folder(&params.path, GOLD)?;
        let mut oddities = Oddities::default();
        let (groups, digest) = groups(&root.join(GOLD), &mut oddities)?;
        let annotations = groups.into_iter().map(|(key, boxes)| {
            let (patient, study, image, finding, _) = key;
            Annotation {
                image: mimic::place(patient, study, &image.replace(".dcm", ".jpg")),
                patient: patient.to_string(),
                finding,
                boxes,
            }
        });
        Ok(Self(Collection {
            name: NAME,
            images: root.join(mimic::IMAGES),
            annotations: annotations.collect(),
            unit: Unit::Pixel,
            digest,
            oddities,
            context,
        }))
    }
}

fn groups(
    path: &Path,
    oddities: &mut Oddities,
) -> Result<(BTreeMap<Key, Vec<Corners>>, blake3::Hash)> {
    let mut groups: BTreeMap<Key, Vec<Corners>> = BTreeMap::new();
    let mut table = Table::open(path, b'\t', COLUMNS)?;
    while let Some(row) = table.row(oddities)? {
        let [_, _, image, finding, category, _, coordinates] = row.cells();
        if row.number(5) != Some(1.0) || !matches!(category, Some("anatomicalfinding" | "disease"))
        {
            continue;
        }
        let place = || row.place();
        let key = (row.whole(0)?, row.whole(1)?, image, finding, category);
        let (Some(patient), Some(study), Some(image), Some(finding), Some(category)) = key else {
            oddities.note("rows without patient, study, image or finding", place);
            continue;
        };
        let key = (
            patient,
            study,
            image.into(),
            finding.into(),
            category.into(),
        );
        let corners = coordinates.and_then(of_literal);
        note(&corners, Unit::Pixel, oddities, place);
        groups.entry(key).or_default().push(corners);
    }
    Ok((groups, table.digest()?))
}

impl DatasetReader for ImagenomeReader {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(self.0.info())
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        self.0.sample(index)
    }
}
