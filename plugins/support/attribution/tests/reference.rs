//! What is read of reference images: samples, masks in the working image, votes.

use std::{cell::Cell, collections::BTreeMap};

use medfocus_attribution::{Atlas, Once, WORKING_DIM, mask_to_working, parts, read_samples};
use medfocus_plugin_api::{
    BBox, DatasetInfo, DatasetReader, Error, ErrorKind, GrayImage, Letterbox, Mask, Native, Result,
    Sample, SampleKey, WORKING_SIDE, Working, testkit::LocalHost,
};
use ndarray::{Array2, array, s};
use proptest::prelude::*;

fn filled(width: u32, height: u32, bbox: [u32; 4]) -> Mask {
    let [x1, y1, x2, y2] = bbox.map(|c| c as usize);
    let mut inside = Array2::from_elem((height as usize, width as usize), false);
    inside.slice_mut(s![y1..y2, x1..x2]).fill(true);
    Mask::from_array(inside.view()).unwrap()
}

/// One sample a mask of a `heart`, or one that cannot be read.
struct Hearts(Vec<Option<Mask>>);

impl DatasetReader for Hearts {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(DatasetInfo::new("hearts", self.0.len() as u64, ""))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let mask = self.0[index as usize].clone();
        let mask = mask.ok_or_else(|| Error::invalid(format!("file {index} is broken")))?;
        let size = (mask.height() as usize, mask.width() as usize);
        let mut sample = Sample::new(
            SampleKey {
                dataset: "hearts".into(),
                index,
            },
            GrayImage::from_array(Array2::zeros(size))?,
            "",
            "",
        );
        sample.masks = BTreeMap::from([("heart".to_owned(), mask)]);
        Ok(sample)
    }
}

fn read(hearts: Vec<Option<Mask>>, limit: u64) -> Result<(Vec<u64>, u64, u64)> {
    let host = LocalHost::new().with_dataset(Hearts(hearts));
    let mut seen = Vec::new();
    let samples = read_samples(&host.context(), "dataset", limit, |sample| {
        seen.push(sample.key.index);
        Ok(())
    })?;
    assert_eq!(host.steps(), samples.read);
    Ok((seen, samples.read, samples.skipped))
}

#[test]
fn unreadable_samples_are_skipped_unless_all_are() {
    let good = || Some(filled(2, 2, [0, 0, 1, 1]));
    assert_eq!(
        read(vec![good(), None, good(), good()], 3).unwrap(),
        (vec![0, 2], 3, 1)
    );
    let error = read(vec![None, None], 9).unwrap_err();
    assert_eq!(error.to_string(), "slot `dataset`: file 1 is broken");
    let error = read(Vec::new(), 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "slot `dataset`: dataset `hearts` has no samples"
    );
    assert_eq!(error.kind, ErrorKind::Missing);
}

#[test]
fn reading_stops_when_asked_to() {
    let host = LocalHost::new().with_dataset(Hearts(vec![Some(filled(2, 2, [0, 0, 1, 1]))]));
    host.cancel();
    let error = read_samples(&host.context(), "dataset", 1, |_| Ok(())).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    let error = read_samples(&LocalHost::new().context(), "pool", 1, |_| Ok(())).unwrap_err();
    assert_eq!(
        (error.kind, error.to_string()),
        (ErrorKind::Missing, "slot `pool` is empty".into())
    );
}

#[test]
fn the_majority_of_references_decides() {
    let hearts = vec![
        Some(filled(224, 224, [10, 10, 30, 20])),
        None,
        Some(filled(448, 448, [40, 20, 80, 40])),
        Some(filled(224, 224, [20, 10, 40, 20])),
        Some(filled(224, 224, [0, 0, 224, 224])),
    ];
    let host = LocalHost::new().with_dataset(Hearts(hearts));
    let atlas = Atlas::read(&host.context(), "dataset", &["heart", "spleen"], 4).unwrap();
    assert_eq!((atlas.references.read, atlas.references.skipped), (4, 1));
    assert!(atlas.region("spleen").is_none());
    // Three voters: columns 10..20 have one vote, 20..30 three, 30..40 two.
    let region = atlas.region("heart").unwrap();
    assert_eq!(region.bbox.corners(), [20, 10, 40, 20]);
    assert_eq!(region.inside.iter().filter(|&&inside| inside).count(), 200);
    assert!((region.agreement - (100.0 * 3.0 + 100.0 * 2.0) / (200.0 * 3.0)).abs() < 1e-12);

    // Half is no majority.
    let halves = vec![
        Some(filled(224, 224, [0, 0, 9, 9])),
        Some(filled(224, 224, [50, 50, 59, 59])),
    ];
    let host = LocalHost::new().with_dataset(Hearts(halves));
    let atlas = Atlas::read(&host.context(), "dataset", &["heart"], 9).unwrap();
    assert!(atlas.region("heart").is_none());
}

#[test]
fn a_value_is_built_once_and_a_failure_not_kept() {
    let (once, built) = (Once::default(), Cell::new(0));
    let build = |result: Result<u32>| {
        once.get(|| {
            built.set(built.get() + 1);
            result
        })
        .copied()
    };
    assert!(build(Err(Error::cancelled())).is_err());
    assert_eq!(build(Ok(7)).unwrap(), 7);
    assert_eq!(build(Ok(8)).unwrap(), 7);
    assert_eq!(built.get(), 2);
}

#[test]
fn parts_touch_at_corners_and_no_further() {
    let region = array![
        [true, false, false, true],
        [false, true, false, false],
        [false, false, false, true],
        [true, false, true, false],
    ];
    let found: Vec<_> = parts(region.view())
        .iter()
        .map(|part| (part.pixels.len(), part.bbox().unwrap().corners()))
        .collect();
    assert_eq!(
        found,
        [
            (2, [0, 0, 2, 2]),
            (1, [3, 0, 4, 1]),
            (2, [2, 2, 4, 4]),
            (1, [0, 3, 1, 4])
        ]
    );
    assert!(parts(Array2::from_elem((3, 3), false).view()).is_empty());
}

#[test]
fn a_mask_of_another_size_is_refused() {
    let letterbox = Letterbox::new(20, 10, WORKING_SIDE).unwrap();
    let error = mask_to_working(&filled(10, 20, [0, 0, 1, 1]), &letterbox).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a mask of 10 x 20 pixels does not fit an image of 20 x 10"
    );
}

proptest! {
    #[test]
    fn parts_divide_the_region(bits in proptest::collection::vec(any::<bool>(), 48)) {
        let region = Array2::from_shape_vec((6, 8), bits).unwrap();
        let mut owner = Array2::from_elem((6, 8), None);
        let found = parts(region.view());
        for (number, part) in found.iter().enumerate() {
            for &at in &part.pixels {
                prop_assert!(region[at] && owner[at].replace(number).is_none());
            }
        }
        for ((y, x), &inside) in region.indexed_iter() {
            prop_assert_eq!(owner[(y, x)].is_some(), inside);
            // Neighbours belong to one part.
            for (dy, dx) in [(0, 1), (1, 0), (1, 1)] {
                if let (Some(a), Some(Some(b))) = (owner[(y, x)], owner.get((y + dy, x + dx))) {
                    prop_assert_eq!(a, *b);
                }
            }
        }
    }

    #[test]
    fn masks_lie_where_boxes_do(
        width in 1u32..900, height in 1u32..900, a in 0.0f64..1.0, b in 0.0f64..1.0, c in 0.0f64..1.0, d in 0.0f64..1.0,
    ) {
        let letterbox = Letterbox::new(width, height, WORKING_SIDE).unwrap();
        let span = |size: u32, a: f64, b: f64| {
            let last = f64::from(size - 1);
            ((last * a.min(b)) as u32, (last * a.max(b)) as u32 + 1)
        };
        let ((x1, x2), (y1, y2)) = (span(width, a, b), span(height, c, d));
        let mask = mask_to_working(&filled(width, height, [x1, y1, x2, y2]), &letterbox).unwrap();
        // A working pixel is inside if its centre is, to the exact edge.
        let exact = |at: usize, pad: u32, native: u32, scaled: u32| {
            (at as f64 + 0.5 - f64::from(pad)) * f64::from(native) / f64::from(scaled)
        };
        for y in 0..WORKING_DIM.0 {
            for x in 0..WORKING_DIM.1 {
                let column = exact(x, letterbox.left, width, letterbox.scaled.0);
                let row = exact(y, letterbox.top, height, letterbox.scaled.1);
                let within = |at: f64, low: u32, high: u32| f64::from(low) + 1e-9 < at && at < f64::from(high) - 1e-9;
                let without = |at: f64, low: u32, high: u32| at < f64::from(low) - 1e-9 || f64::from(high) + 1e-9 < at;
                if within(column, x1, x2) && within(row, y1, y2) {
                    prop_assert!(mask[(y, x)]);
                }
                if without(column, x1, x2) || without(row, y1, y2) {
                    prop_assert!(!mask[(y, x)]);
                }
            }
        }
        // So its edges are those of the box, to the pixel that rounding decides.
        if let Some(tight) = Mask::from_array(mask.view()).unwrap().tight_box::<Working>() {
            let boxed = letterbox.to_working(&BBox::<Native>::new(x1, y1, x2, y2).unwrap()).unwrap();
            for (mask, boxed) in tight.corners().into_iter().zip(boxed.corners()) {
                prop_assert!(mask.abs_diff(boxed) <= 1);
            }
        }
    }
}
