//! What a checkpoint makes of boxes, measured on patients it has never seen and through the code that runs it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use medfocus_imaging::working::letterbox;
use medfocus_phantom::{CaseOptions, Finding, Mask, PixelBox, Renderer, sample_case, tight_box};
use medfocus_plugin_api::{BBox, GrayImage, Working};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_vision_medsam::processor::Processor;
use medfocus_vision_medsam::{Backend, Sam};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::prompt::Jitter;
use super::sample::regions;
use crate::feed::FIRST_TEST_SEED;
use crate::film::{self, WORKING_SIDE};

/// How far the boxes are off that are not tight.
const OFF: f64 = 0.6;

/// The checkpoint of this folder, in f32 on the CPU.
pub fn open(folder: &Path) -> Result<Backend> {
    let sam = Sam::from_folder(folder, Device::Cpu, Kind::Float)
        .with_context(|| format!("{} is not a checkpoint", folder.display()))?;
    let processor = Processor::from_folder(folder, WORKING_SIDE as i64)?;
    Ok(Backend::new(sam, processor))
}

/// Sums of what was measured of a region.
#[derive(Default)]
struct Sums {
    count: usize,
    values: [f64; 5],
}

/// Measures a checkpoint on every region of `count` patients, once with its tight box and once with a box that is off.
pub fn evaluate(backend: &Backend, count: u64) -> Result<Value> {
    let mut sums = BTreeMap::<&str, Sums>::new();
    let mut renderer = Renderer::default();
    for seed in FIRST_TEST_SEED..FIRST_TEST_SEED + count {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let case = sample_case(seed, &CaseOptions::default());
        let (height, width) = film::size(&mut rng);
        let rendered = renderer.render(&case.patient, &case.findings, height, width);
        let image = GrayImage::from_array(letterbox(rendered.image.view(), WORKING_SIDE as u32))?;
        let embedding = backend.encode(&image, &|_| Ok(()))?;
        let kinds: Vec<Finding> = case.findings.iter().map(|found| found.finding).collect();
        for region in regions(&rendered, &kinds) {
            let Some(tight) = tight_box(&region.mask) else {
                continue;
            };
            let off = Jitter(OFF).apply(tight, &mut rng);
            let exact = refine(backend, &embedding, tight)?;
            let moved = refine(backend, &embedding, off)?;
            let sums = sums.entry(region.name).or_default();
            sums.count += 1;
            let values = [
                dice(&exact, &region.mask),
                found_overlap(&exact, tight),
                overlap(off, tight),
                dice(&moved, &region.mask),
                found_overlap(&moved, tight),
            ];
            for (sum, value) in sums.values.iter_mut().zip(values) {
                *sum += value;
            }
        }
    }
    let mut report = Map::new();
    for (name, Sums { count, values }) in sums {
        let [exact, exact_box, off, moved, moved_box] = values.map(|sum| round(sum / count as f64));
        let row = json!({
            "count": count,
            "tight_box": {"dice": exact, "box_iou": exact_box},
            "box_off": {"prompt_iou": off, "dice": moved, "box_iou": moved_box},
        });
        println!("{name}: {row}");
        report.insert(name.to_owned(), row);
    }
    Ok(Value::Object(report))
}

/// The region that the checkpoint finds for a box.
pub fn refine(backend: &Backend, embedding: &Tensor, prompt: PixelBox) -> Result<Mask> {
    let corners = corners(backend.processor(), prompt)?;
    let (mask, _) = backend.refine(embedding, corners, WORKING_SIDE, WORKING_SIDE)?;
    Ok(mask)
}

/// A box of the working image as the network takes it.
pub fn corners(processor: &Processor, prompt: PixelBox) -> Result<[f64; 4]> {
    let PixelBox { x1, y1, x2, y2 } = prompt;
    let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(|corner| corner as u32);
    let bbox = BBox::<Working>::new(x1, y1, x2, y2)?;
    processor
        .corners(&bbox, WORKING_SIDE, WORKING_SIDE)
        .ok_or_else(|| anyhow!("a box outside the image"))
}

/// The overlap of the tight box of what was found with a box; 0 if nothing was.
fn found_overlap(found: &Mask, with: PixelBox) -> f64 {
    tight_box(found).map_or(0.0, |found| overlap(found, with))
}

/// Intersection over union of boxes.
pub fn overlap(a: PixelBox, b: PixelBox) -> f64 {
    let area = |b: PixelBox| (b.x2 - b.x1) * (b.y2 - b.y1);
    let common = a.x2.min(b.x2).saturating_sub(a.x1.max(b.x1))
        * a.y2.min(b.y2).saturating_sub(a.y1.max(b.y1));
    common as f64 / (area(a) + area(b) - common) as f64
}

/// Dice coefficient; 1 for two empty masks.
pub fn dice(a: &Mask, b: &Mask) -> f64 {
    let count = |mask: &Mask| mask.iter().filter(|&&inside| inside).count();
    let common = a.iter().zip(b).filter(|&(&a, &b)| a && b).count();
    match count(a) + count(b) {
        0 => 1.0,
        both => 2.0 * common as f64 / both as f64,
    }
}

/// Three digits.
pub fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
