//! Building a pool and finding what is wrong with one, on readers that are plain structs.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use medfocus::{
    plugin::Session,
    pool::{
        build::{Record, Source, build},
        check::{Review, check},
    },
    workbench::Provenance,
};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    DatasetInfo, DatasetReader, Error, GrayImage, Mask, Native, Result, Sample, SampleKey, Segment,
    SegmentRequest, Segmenter,
};
use ndarray::{Array2, s};

/// Samples, some of which cannot be read.
struct Cohort(Vec<Option<Sample>>);

impl DatasetReader for Cohort {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(DatasetInfo::new("cohort", self.0.len() as u64, "d1"))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let sample = self.0[index as usize].clone();
        sample.ok_or_else(|| Error::invalid("damaged"))
    }
}

/// A normal image with boxes in which sides are as they should be.
fn normal(index: u64) -> Sample {
    let pixels = Array2::from_shape_fn((60, 50), |(y, x)| (y + x) as u8 + index as u8);
    let key = SampleKey {
        dataset: "cohort".into(),
        index,
    };
    let mut sample = Sample::normal(key, GrayImage::from_array(pixels).unwrap());
    for (row, name) in CONCEPTS.into_iter().enumerate() {
        let left = if name.starts_with("left") { 30 } else { 10 };
        sample
            .masks
            .insert(name.into(), rectangle(4 * row + 2, left));
    }
    sample
}

/// 8 x 6 pixels of 50 x 60.
fn rectangle(top: usize, left: usize) -> Mask {
    let mut inside = Array2::from_elem((60, 50), false);
    inside
        .slice_mut(s![top..top + 6, left..left + 8])
        .fill(true);
    Mask::from_array(inside.view()).unwrap()
}

fn provenance() -> Provenance {
    serde_json::from_value(serde_json::json!({
        "component": "cohort", "params": {},
        "plugin": {"name": "cohort", "version": "1", "digest": "d2"},
    }))
    .unwrap()
}

fn built(
    cohort: &Cohort,
    count: u64,
    out: &Path,
    segmenter: Option<&dyn Segmenter>,
) -> Result<Record> {
    let source = Source {
        reader: cohort,
        provenance: provenance(),
        segmenter: segmenter.map(|segmenter| (segmenter, provenance())),
    };
    build(&source, count, out, &Session::default())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn normal_samples_with_every_concept_become_references() {
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("deep/pool");
    let mut finding = normal(0);
    finding.finding = "cardiomegaly".into();
    let mut incomplete = normal(2);
    incomplete.masks.remove("left clavicle");
    let mut empty = normal(3);
    let nothing = Mask::from_array(Array2::from_elem((60, 50), false).view()).unwrap();
    empty.masks.insert("mediastinum".into(), nothing);
    let mut more = normal(4);
    more.masks.insert("heart".into(), rectangle(0, 0));
    let mut samples = vec![
        Some(finding),
        None,
        Some(incomplete),
        Some(empty),
        Some(more),
    ];
    samples.extend((5..20).map(|index| Some(normal(index))));

    let record = built(&Cohort(samples), 3, &out, None).unwrap();
    let indices: Vec<_> = record
        .references
        .iter()
        .map(|origin| origin.index)
        .collect();
    assert_eq!(indices, [4, 5, 6]);
    assert_eq!((record.read, record.unreadable), (7, 1));
    assert_eq!(names(&out), ["images", "masks", "pool.json"]);
    assert_eq!(names(&out.join("images")), ["04.png", "05.png", "06.png"]);
    let mut files = CONCEPTS.map(|name| format!("{}.png", name.replace(' ', "_")));
    files.sort();
    assert_eq!(names(&out.join("masks/04")), files);
    assert_eq!(
        names(out.parent().unwrap()),
        ["pool"],
        "nothing is left beside it"
    );

    let image = image::open(out.join("images/05.png")).unwrap();
    assert_eq!(image.as_luma8().unwrap().as_raw(), normal(5).image.bytes());
    let mask = image::open(out.join("masks/05/left_lung.png")).unwrap();
    let left_lung = &normal(5).masks["left lung"];
    assert_eq!(mask.as_luma8().unwrap().as_raw(), left_lung.image().bytes());
    let written: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("pool.json")).unwrap()).unwrap();
    assert_eq!(written["digest"], "d1");
    assert_eq!(written["reader"]["component"], "cohort");
    assert_eq!(
        written["references"][0],
        serde_json::json!({"name": "04", "index": 4})
    );
    assert!(written["tool"].as_str().unwrap().starts_with("medfocus "));
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("pool");
    let mut finding = normal(0);
    finding.finding = "cardiomegaly".into();
    let error = built(&Cohort(vec![Some(finding), None]), 2, &out, None).unwrap_err();
    let sentence = error.to_string();
    assert!(
        sentence.contains("none of 2 samples of `cohort` is normal"),
        "{sentence}"
    );

    let cohort = Cohort((0..3).map(|index| Some(normal(index))).collect());
    let wrong = Answers(|_: &SegmentRequest| Vec::new());
    let error = built(&cohort, 2, &out, Some(&wrong)).unwrap_err();
    assert!(
        error.to_string().contains("answered 0 times to 11 boxes"),
        "{error}"
    );

    // An interrupt after the first reference.
    struct Stops(Cohort, Session, AtomicUsize);
    impl DatasetReader for Stops {
        fn info(&self) -> Result<DatasetInfo> {
            self.0.info()
        }
        fn sample(&self, index: u64) -> Result<Sample> {
            self.2.fetch_add(1, Ordering::Relaxed);
            self.1.cancel();
            self.0.sample(index)
        }
    }
    let session = Session::default();
    let reader = Stops(cohort, session.clone(), AtomicUsize::new(0));
    let source = Source {
        reader: &reader,
        provenance: provenance(),
        segmenter: None,
    };
    let error = build(&source, 2, &out, &session).unwrap_err();
    assert_eq!(error.to_string(), "cancelled");
    assert_eq!(reader.2.load(Ordering::Relaxed), 1);
    assert_eq!(names(parent.path()), [""; 0]);
}

#[test]
fn what_is_there_is_not_overwritten() {
    let parent = tempfile::tempdir().unwrap();
    let cohort = Cohort(vec![Some(normal(0))]);
    let out = parent.path().join("pool");
    fs::create_dir(&out).unwrap();
    assert!(
        built(&cohort, 1, &out, None).is_ok(),
        "an empty folder is taken"
    );
    let before = fs::read(out.join("pool.json")).unwrap();
    let error = built(&cohort, 1, &out, None).unwrap_err().to_string();
    assert!(error.contains("is there and is no empty folder"), "{error}");
    assert_eq!(fs::read(out.join("pool.json")).unwrap(), before);
    let file = parent.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert!(built(&cohort, 1, &file, None).is_err());
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(names(parent.path()), ["file", "pool"]);
}

/// A segmenter that answers so.
struct Answers<F>(F);

impl<F: Fn(&SegmentRequest) -> Vec<Array2<bool>> + Send + Sync> Segmenter for Answers<F> {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let masks = (self.0)(request)
            .into_iter()
            .map(|inside| Ok(Segment::new(Mask::from_array(inside.view())?, 1.0)));
        masks.collect()
    }
}

#[test]
fn a_segmenter_refines_the_boxes() {
    let parent = tempfile::tempdir().unwrap();
    // The image of 50 x 60 is enlarged to 187 x 224 and lies at column 18. The first box is answered with its upper
    // half, the second with nothing, the others with themselves.
    let segmenter = Answers(|request: &SegmentRequest| {
        assert_eq!((request.image.width(), request.image.height()), (224, 224));
        let answer = |(i, bbox): (usize, &medfocus_plugin_api::BBox<_>)| {
            let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
            let mut inside = Array2::from_elem((224, 224), false);
            let bottom = match i {
                0 => y1.midpoint(y2),
                1 => y1,
                _ => y2,
            };
            inside.slice_mut(s![y1..bottom, x1..x2]).fill(true);
            inside
        };
        request.boxes.iter().enumerate().map(answer).collect()
    });
    let out = parent.path().join("pool");
    let record = built(&Cohort(vec![Some(normal(0))]), 1, &out, Some(&segmenter)).unwrap();
    assert_eq!(record.segmenter.unwrap().component, "cohort");
    let before = normal(0).masks;
    for (i, name) in CONCEPTS.into_iter().enumerate() {
        let file = format!("masks/0/{}.png", name.replace(' ', "_"));
        let mask = image::open(out.join(file)).unwrap().into_luma8();
        let inside = Array2::from_shape_fn((60, 50), |(y, x)| {
            mask.get_pixel(x as u32, y as u32).0[0] > 0
        });
        let found = Mask::from_array(inside.view()).unwrap();
        let [x1, y1, x2, y2] = before[name].tight_box::<Native>().unwrap().corners();
        let expected = if i == 0 {
            [x1, y1, x2, y1 + 3]
        } else {
            [x1, y1, x2, y2]
        };
        assert_eq!(
            found.tight_box::<Native>().unwrap().corners(),
            expected,
            "{name}"
        );
    }
}

fn reviewed(samples: Vec<Sample>) -> Review {
    let cohort = Cohort(samples.into_iter().map(Some).collect());
    check(&cohort, &Session::default()).unwrap()
}

/// The findings of a reference that was changed so.
fn findings(change: impl FnOnce(&mut Sample)) -> Vec<String> {
    let mut sample = normal(0);
    change(&mut sample);
    reviewed(vec![sample]).references.remove(0).findings
}

#[test]
fn a_sound_pool_has_no_findings() {
    let review = reviewed((0..3).map(normal).collect());
    assert_eq!(review.findings(), 0, "{review:?}");
    assert_eq!(review.digest, "d1");
    let row = &review.references[2];
    assert_eq!((row.name.as_str(), row.concepts), ("2", 11));
    assert_eq!((row.width, row.height), (50, 60));
    let covered = (0..60)
        .flat_map(|y| (0..50).map(move |x| (y, x)))
        .filter(|&at| normal(0).masks.values().any(|mask| mask.view()[at] != 0))
        .count();
    assert_eq!(row.covered, covered as f64 / 3000.0);
}

#[test]
fn each_fault_is_found() {
    let missing = findings(|sample| {
        sample.masks.remove("mediastinum");
        sample.masks.remove("right clavicle");
    });
    assert_eq!(missing, ["has no mask of `mediastinum`, `right clavicle`"]);

    let swapped = findings(|sample| {
        let left = sample.masks.insert("left lung".into(), rectangle(6, 10));
        sample.masks.insert("right lung".into(), left.unwrap());
    });
    assert_eq!(
        swapped,
        ["`left lung` does not lie on the image's right of `right lung`: are the sides swapped?"]
    );

    let copied = findings(|sample| {
        let left = sample.masks["left hilar structures"].clone();
        sample.masks.insert("right hilar structures".into(), left);
    });
    assert_eq!(copied.len(), 1, "one region for both sides: {copied:?}");

    let tiny = findings(|sample| {
        let mut inside = Array2::from_elem((60, 50), false);
        inside[(30, 20)] = true;
        let mask = Mask::from_array(inside.view()).unwrap();
        sample.masks.insert("mediastinum".into(), mask);
    });
    assert_eq!(tiny, ["`mediastinum` has only 1 of 3000 pixels"]);

    let huge = findings(|sample| {
        let inside = Array2::from_elem((60, 50), true);
        let mask = Mask::from_array(inside.view()).unwrap();
        sample.masks.insert("mediastinum".into(), mask);
    });
    assert_eq!(huge, ["`mediastinum` covers 100 % of the image"]);

    let blank = findings(|sample| {
        sample.image = GrayImage::from_array(Array2::from_elem((60, 50), 9)).unwrap();
    });
    assert_eq!(blank, ["is an image of one grey level"]);
}

#[test]
fn an_image_that_is_there_twice_is_named() {
    let mut again = normal(0);
    again.key.index = 2;
    let review = reviewed(vec![normal(0), normal(1), again]);
    assert_eq!(review.findings(), 1);
    assert_eq!(review.references[2].findings, ["has the same image as `0`"]);
}
