//! The checkpoint that comes with the demo.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use medfocus_phantom::{CaseOptions, Concept, Mask, Rendered, render, sample_case, tight_box};
use medfocus_plugin_api::{
    BBox, Component, Context, Error, GrayImage, Message, Result, Segment, SegmentRequest,
    Segmenter, Services, Working,
};
use medfocus_vision_medsam::plugin::{MedSam, Settings};

/// The first patient that no checkpoint has been trained on.
const TEST: u64 = 1 << 40;

/// Counts how often a layer of the image encoder begins.
#[derive(Clone, Default)]
struct Layers(Arc<AtomicUsize>);

impl Services for Layers {
    fn progress(&self, _: u64, _: u64, note: &str) {
        let encoding = note == "encoding the image";
        self.0.fetch_add(usize::from(encoding), Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn filled(&self, _: &str) -> bool {
        false
    }

    fn call(&self, slot: &str, _: &str, _: Message) -> Result<Message> {
        Err(Error::missing(format!("nothing fills `{slot}`")))
    }
}

fn open(layers: Layers) -> MedSam {
    let folder: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "../../../configs/checkpoints/phantom-medsam",
    ]
    .iter()
    .collect();
    let settings = Settings {
        path: folder.display().to_string(),
        device: "cpu".to_owned(),
        ..Settings::default()
    };
    MedSam::new(settings, Context::new(layers)).unwrap()
}

/// A patient, and all concepts.
fn exam(seed: u64) -> (Rendered, Vec<Mask>) {
    let case = sample_case(seed, &CaseOptions::default());
    let rendered = render(&case.patient, &case.findings, 224, 224);
    let masks = Concept::ALL.map(|concept| rendered.concept_mask(concept));
    (rendered, masks.into())
}

/// The tight box of a region, its corners moved by so many pixels.
fn around(mask: &Mask, by: [i64; 4]) -> BBox<Working> {
    let tight = tight_box(mask).unwrap();
    let corners = [tight.x1, tight.y1, tight.x2, tight.y2];
    let [x1, y1, x2, y2] =
        std::array::from_fn(|i| (corners[i] as i64 + by[i]).clamp(0, 224) as u32);
    BBox::new(x1, y1, x2, y2).unwrap()
}

fn segment(plugin: &MedSam, exam: &Rendered, boxes: Vec<BBox<Working>>) -> Vec<Segment> {
    let image = GrayImage::from_array(exam.image.clone()).unwrap();
    plugin.segment(&SegmentRequest::new(image, boxes)).unwrap()
}

fn dice(found: &Segment, truth: &Mask) -> f64 {
    let found = found.mask.view();
    let both = found.iter().zip(truth).filter(|&(&a, &b)| a != 0 && b);
    let area = truth.iter().filter(|&&inside| inside).count() as u64 + found_area(found.iter());
    2.0 * both.count() as f64 / area as f64
}

fn found_area<'p>(pixels: impl Iterator<Item = &'p u8>) -> u64 {
    pixels.map(|&pixel| u64::from(pixel != 0)).sum()
}

#[test]
fn every_concept_is_found_from_its_box_in_one_pass() {
    let layers = Layers::default();
    let plugin = open(layers.clone());
    let count = 8;
    let mut sums = [0.0; Concept::ALL.len()];
    for seed in TEST..TEST + count {
        let (exam, masks) = exam(seed);
        let boxes = masks.iter().map(|mask| around(mask, [0; 4])).collect();
        let segments = segment(&plugin, &exam, boxes);
        for ((sum, segment), mask) in sums.iter_mut().zip(&segments).zip(&masks) {
            *sum += dice(segment, mask) / count as f64;
        }
    }
    for (concept, dice) in Concept::ALL.iter().zip(sums) {
        assert!(dice > 0.7, "{}: {dice}", concept.name());
    }
    let mean = sums.iter().sum::<f64>() / sums.len() as f64;
    assert!(mean > 0.85, "{mean}");
    // Four layers an image, however many boxes.
    assert_eq!(layers.0.load(Ordering::Relaxed), 4 * count as usize);
}

#[test]
fn a_box_that_is_off_still_means_its_organ() {
    let plugin = open(Layers::default());
    let (exam, masks) = exam(TEST + 100);
    let [heart, left, right] = [0, 1, 2].map(|concept| &masks[concept]);
    let boxes = [heart, left, right].map(|mask| around(mask, [6, -5, 5, 6]));
    let segments = segment(&plugin, &exam, boxes.into());
    for (number, segment) in segments.iter().enumerate() {
        let overlaps = [heart, left, right].map(|mask| dice(segment, mask));
        for (other, &overlap) in overlaps.iter().enumerate() {
            assert!(
                if other == number {
                    overlap > 0.9
                } else {
                    overlap < 0.3
                },
                "box {number}: {overlaps:?}"
            );
        }
    }
}
