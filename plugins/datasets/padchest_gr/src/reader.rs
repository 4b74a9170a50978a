//! The findings of the first studies.

use std::path::Path;

use medfocus_annotations::{Annotation, Collection, Oddities, Source, Unit};
use medfocus_annotations::{folder, note, picture};
use medfocus_plugin_api::{
    Component, Context, DatasetInfo, DatasetReader, Error, Mode, Result, Sample, choices, params,
};

use crate::{
    check::Check,
    studies::{self, Study},
};

choices! {
    /// Which studies are asked about.
    pub enum Split {
        /// The first of the file: what methods are compared on.
        Test = "test",
        /// The last hundred of the file, backwards: what methods are tuned on.
        Train = "train",
    }
}

choices! {
    /// How a question is put, before the suffix of its mode.
    pub enum Prompt {
        /// As in the other data sets.
        Single = "single",
        /// With the suffix of the open mode in it, as the paper's first code put it; the mode's comes behind that.
        Doubled = "doubled",
    }
}

params! {
    /// Parameters of [`PadchestReader`].
    pub struct PadchestParams {
        /// Folder that holds `filtered_studies.json` and `PadChest_GR`.
        pub path: String = "";
        /// Which studies are asked about.
        pub split: Split = "test";
        /// Studies of the split `test`; `train` always has the last 100.
        pub studies: usize = 2000, in 1..=1000000;
        /// Whether the question holds the suffix of the open mode, as in the paper's first code.
        pub prompt: Prompt = "single";
        /// How it is found out which images can be read; `decode` takes as long as reading all of them.
        pub check: Check = "ends";
    }
}

/// What each split is called in results: a sample of one never shares a key with one of the other.
fn name(split: Split) -> &'static str {
    match split {
        Split::Test => "padchest_gr",
        Split::Train => "padchest_gr_train",
    }
}

const STUDIES: &str = "filtered_studies.json";
const IMAGES: &str = "PadChest_GR";

/// Studies of the split `train`.
const TUNING: usize = 100;

/// Abnormal findings with boxes in PadChest-GR; one sample a finding.
///
/// The studies come in the order of the file, their findings in that of the report; one that is not abnormal or has no
/// box is no sample. Several labels of a finding are joined by `or`. Boxes are `boxes` and then `extra_boxes`, shares of
/// the image's width and height, rounded to its pixels (halves to the even neighbour).
///
/// A study whose image cannot be read is left out, and the samples behind it move up: the numbers hold only for an archive
/// without gaps. With all images the first 2000 studies give 2,657 samples, and the split `train` 144.
///
/// Making the reader therefore looks at the image of each study that has such a finding. With `check = "ends"` that is
/// two short reads a file (20 ms for 2000 files that the system holds in memory): a file that is missing, empty or cut
/// short is found; one that is damaged inside is not, keeps its number and fails alone. With `check = "decode"` each image
/// is decoded (0.1 s for one of 3000 x 3000 pixels), and the studies of such files are left out too. Nothing is kept on the
/// disk. Not run on the real data yet.
pub struct PadchestReader {
    collection: Collection,
    prompt: Prompt,
}

impl Component for PadchestReader {
    const NAME: &'static str = "padchest_gr";
    const SUMMARY: &'static str =
        "PadChest-GR: abnormal findings of reports with their boxes; 2657 samples, 144 to tune on.";
    type Params = PadchestParams;

    fn new(params: PadchestParams, context: Context) -> Result<Self> {
        let root = folder(&params.path, STUDIES)?;
        let images = root.join(IMAGES);
        if !images.is_dir() {
            return Err(Error::missing(format!("{} is no folder", images.display()))
                .with_hint("put the images of PadChest-GR there"));
        }
        let (studies, digest) = studies::read(Source::open(&root.join(STUDIES))?)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(digest.as_bytes());
        hasher.update(&[params.split as u8, params.prompt as u8]);
        let mut oddities = Oddities::default();
        let mut annotations = Vec::new();
        let chosen = chosen(&studies, &params);
        let total = chosen.len() as u64;
        for (done, (number, study)) in (0..).zip(chosen) {
            context.step(done, total, "looking for images")?;
            let place = || format!("{STUDIES}, study {}", number + 1);
            let mut found = annotations_of(study).peekable();
            if found.peek().is_none() {
                continue;
            }
            if !readable(&context, &images, &study.image, params.check) {
                oddities.note("studies left out, as their image cannot be read", place);
                continue;
            }
            hasher.update(&(number as u64).to_le_bytes());
            for annotation in found {
                for corners in &annotation.boxes {
                    note(corners, Unit::Image, &mut oddities, place);
                }
                if annotation.finding.is_empty() {
                    oddities.note("findings without label", place);
                }
                annotations.push(annotation);
            }
        }
        Ok(Self {
            collection: Collection {
                name: name(params.split),
                images,
                annotations,
                unit: Unit::Image,
                digest: hasher.finalize(),
                oddities,
                context,
            },
            prompt: params.prompt,
        })
    }
}

/// The studies of a split in its order, with their numbers in the file.
fn chosen<'a>(studies: &'a [Study], params: &PadchestParams) -> Vec<(usize, &'a Study)> {
    let studies = studies.iter().enumerate();
    match params.split {
        Split::Test => studies.take(params.studies).collect(),
        Split::Train => studies.rev().take(TUNING).collect(),
    }
}

fn readable(context: &Context, images: &Path, name: &str, check: Check) -> bool {
    picture::below(images, name).is_some_and(|path| check.passes(context, &path))
}

fn annotations_of(study: &Study) -> impl Iterator<Item = Annotation> {
    study.findings.iter().filter_map(move |finding| {
        let boxes = finding.boxes();
        (finding.abnormal && !boxes.is_empty()).then(|| Annotation {
            image: study.image.clone(),
            patient: study.patient(),
            finding: finding.labels.join(" or "),
            boxes,
        })
    })
}

impl DatasetReader for PadchestReader {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(self.collection.info())
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let mut sample = self.collection.sample(index)?;
        if self.prompt == Prompt::Doubled {
            sample.question.push_str(Mode::Open.suffix());
        }
        Ok(sample)
    }
}
