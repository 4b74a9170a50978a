//! The findings of the test set.

use std::{collections::BTreeMap, path::Path};

use medfocus_annotations::{Annotation, Collection, Corners, Oddities, Table, Unit};
use medfocus_annotations::{folder, note, of_cells};
use medfocus_plugin_api::{Component, Context, DatasetInfo, DatasetReader, Result, Sample, params};

params! {
    /// Parameters of [`VindrReader`].
    pub struct VindrParams {
        /// Folder that holds `vindr-cxr/1.0.0`.
        pub path: String = "";
    }
}

/// What the dataset is called in results.
const NAME: &str = "vindr_cxr";

const ANNOTATIONS: &str = "vindr-cxr/1.0.0/annotations/annotations_test.csv";
const IMAGES: &str = "vindr-cxr/1.0.0/test";

/// Columns that are read.
const COLUMNS: [&str; 6] = ["image_id", "class_name", "x_min", "y_min", "x_max", "y_max"];

/// The class of an image without any.
const NOTHING: &str = "No finding";

/// What a sample is made of: image and class, in the order of the samples.
type Key = (String, String);

/// The findings in the test images of VinDr-CXR; one sample an image and class.
///
/// Rows of any class but `No finding` are grouped by image and class, and the groups are numbered in the order of these,
/// by their code points. The boxes of a group are those of its rows, in their order, rounded to pixels (halves to the
/// even neighbour). Rows without image or class belong to no group. The archive has 2,108 groups.
///
/// Images are DICOM; one that is missing fails alone. The archive does not say which of them are of one patient, so each
/// counts as one. Not run on the real data yet.
pub struct VindrReader(Collection);

impl Component for VindrReader {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str =
        "VinDr-CXR, test set: findings with the boxes that radiologists agreed on; 2108 samples.";
    type Params = VindrParams;

    fn new(params: VindrParams, context: Context) -> Result<Self> {
        let root = folder(&params.path, ANNOTATIONS)?;
        let mut oddities = Oddities::default();
        let (groups, digest) = groups(&root.join(ANNOTATIONS), &mut oddities)?;
        let annotations = groups
            .into_iter()
            .map(|((image, finding), boxes)| Annotation {
                image: format!("{image}.dicom"),
                patient: image,
                finding,
                boxes,
            });
        Ok(Self(Collection {
            name: NAME,
            images: root.join(IMAGES),
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
    let mut table = Table::open(path, b',', COLUMNS)?;
    while let Some(row) = table.row(oddities)? {
        let [image, class, ..] = row.cells();
        if class == Some(NOTHING) {
            continue;
        }
        let place = || row.place();
        let (Some(image), Some(class)) = (image, class) else {
            oddities.note("rows without image or class", place);
            continue;
        };
        let corners = of_cells([2, 3, 4, 5].map(|column| row.number(column)));
        note(&corners, Unit::Pixel, oddities, place);
        let group = groups.entry((image.into(), class.into())).or_default();
        group.push(corners);
    }
    Ok((groups, table.digest()?))
}

impl DatasetReader for VindrReader {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(self.0.info())
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        self.0.sample(index)
    }
}
