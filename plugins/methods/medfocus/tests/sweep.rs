//! How the defaults were chosen: `cargo test --release -p medfocus-method-medfocus -- --ignored sweep --nocapture`.
//!
//! `MEDFOCUS_REAL=FOLDER` adds real chests: `FOLDER/images/NAME.png` and `FOLDER/masks/NAME/left_lung.png` and its kin.

mod common;
mod published;

use std::{path::Path, time::Instant};

use common::{TEST, displaced, phantom};
use medfocus_attribution::{letterbox, mask_to_working};
use medfocus_imaging::{decode, working};
use medfocus_method_medfocus::{Features, MedFocusParams, Pool, Reference, Region, localise};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{BBox, GrayImage, Mask, Params, Sample, SampleKey, Working};
use ndarray::Array2;
use published::published;
use serde_json::{Value, json};

/// Targets and the references they are compared with.
struct Group {
    name: &'static str,
    targets: Vec<Sample>,
    pool: Vec<Sample>,
    /// References of a target: so many of the pool, those after its own number.
    size: usize,
}

fn box_iou(a: &BBox<Working>, b: &BBox<Working>) -> f64 {
    let both = a.intersection(b).map_or(0, |both| both.area());
    both as f64 / (a.area() + b.area() - both) as f64
}

fn dice(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    let count = |mask: &Array2<bool>| mask.iter().filter(|&&inside| inside).count();
    let both = a.iter().zip(b).filter(|&(&a, &b)| a && b).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}

/// Mean box IoU and Dice of each concept.
fn measure(group: &Group, settings: &Value) {
    let params = MedFocusParams::from_json(settings.as_object().unwrap().clone()).unwrap();
    let (looks, how) = (params.looks(), params.localisation());
    let pool = group.pool.iter();
    let pool: Vec<_> = pool.map(|s| Reference::of(s, &looks).unwrap()).collect();
    let mut scores = vec![Vec::new(); CONCEPTS.len()];
    let start = Instant::now();
    for (i, target) in group.targets.iter().enumerate() {
        let references = pool.iter().cycle().skip(i + 1).take(group.size);
        let pool = Pool {
            references: references.cloned().collect(),
        };
        let frame = letterbox(target).unwrap();
        let content = frame.content();
        let image = GrayImage::from_array(working::letterbox(target.image.view(), 224)).unwrap();
        let features = Features::of(&image, &content, &looks).unwrap();
        let own = Some(&target.key);
        let anatomy = localise(&features, &content, &pool, own, &how).unwrap();
        for (c, concept) in CONCEPTS.iter().enumerate() {
            let truth = target.masks.get(*concept);
            let truth = truth.map(|mask| mask_to_working(mask, &frame).unwrap());
            let shown = pool.references.iter().any(|r| r.cells[c].is_some());
            if let Some(truth) = truth.and_then(|t| Region::within(t, &content))
                && shown
            {
                scores[c].push(anatomy.regions[c].as_ref().map_or((0.0, 0.0), |found| {
                    (
                        box_iou(&found.bbox, &truth.bbox),
                        dice(&found.inside, &truth.inside),
                    )
                }));
            }
        }
    }
    let milliseconds = start.elapsed().as_secs_f64() * 1e3 / group.targets.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let means = scores
            .iter()
            .map(|all| all.iter().map(of).sum::<f64>() / all.len() as f64);
        let means: Vec<f64> = means.collect();
        let known = means.iter().filter(|mean| mean.is_finite());
        let all = known.clone().sum::<f64>() / known.count() as f64;
        let each: Vec<_> = means.iter().map(|mean| format!("{mean:.2}")).collect();
        format!("{all:.3} | {}", each.join(" "))
    };
    println!("{settings} {milliseconds:.1} ms");
    println!("    box IoU {}", mean(&|score| score.0));
    println!("    Dice    {}", mean(&|score| score.1));
}

/// The images of a folder, in the order of their names.
fn real(folder: &Path) -> Vec<Sample> {
    let read = |path: &Path| {
        let image = decode::read(std::fs::File::open(path).ok()?).ok()?;
        Some(image.pixels)
    };
    let entries = folder.join("images").read_dir().unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let samples = (0..).zip(paths).map(|(index, path)| {
        let masks = folder.join("masks").join(path.file_stem().unwrap());
        let mask = |concept: &&str| {
            let pixels = read(&masks.join(concept.replace(' ', "_") + ".png"))?;
            let mask = Mask::from_array(pixels.mapv(|pixel| pixel != 0).view()).unwrap();
            Some(((*concept).to_owned(), mask))
        };
        let mut sample = phantom(0, true);
        sample.key = SampleKey {
            dataset: "real".into(),
            index,
        };
        sample.image = GrayImage::from_array(read(&path).unwrap()).unwrap();
        sample.masks = CONCEPTS.iter().filter_map(mask).collect();
        sample
    });
    samples.filter(|sample| !sample.masks.is_empty()).collect()
}

fn groups() -> Vec<Group> {
    let pool: Vec<_> = (0..16).map(|seed| phantom(seed, true)).collect();
    let targets: Vec<_> = (0..60).map(|i| phantom(TEST + i, false)).collect();
    let moved = (0..).zip(&targets).map(|(i, t)| displaced(t, i)).collect();
    let group = |name, targets, pool: &[Sample], size| Group {
        name,
        targets,
        pool: pool.to_vec(),
        size,
    };
    let mut groups = vec![
        group("phantoms displaced", moved, &pool, 16),
        group("phantoms in place", targets, &pool, 16),
    ];
    if let Some(folder) = std::env::var_os("MEDFOCUS_REAL") {
        let real = real(Path::new(&folder));
        groups.push(group(
            "real, phantoms as references",
            real.clone(),
            &pool,
            16,
        ));
        groups.push(group(
            "real, ten others as references",
            real.clone(),
            &real,
            10,
        ));
    }
    groups
}

#[test]
#[ignore = "takes minutes"]
fn sweep() {
    // Its cells filled: of single pixels there is no Dice to speak of.
    let mut filled = published();
    filled["transfer"] = json!("mass");
    let mut settings = vec![
        filled,
        json!({"transfer": "copy"}),
        json!({}),
        json!({"intensity": "range"}),
        json!({"transfer": "mass", "grid": 56, "eps": 0.005, "lambda": 0.1}),
    ];
    for voters in [1, 3, 7] {
        settings.push(json!({"references": voters}));
    }
    for transfer in ["affine", "barycentric"] {
        for intensity in ["range", "equalised"] {
            for (eps, lambda) in [(0.005, 0.1), (0.05, 0.1), (0.05, 1.0)] {
                settings.push(json!({
                    "transfer": transfer, "intensity": intensity, "eps": eps, "lambda": lambda,
                }));
            }
        }
    }
    for group in groups() {
        println!("\n{} ({})", group.name, group.targets.len());
        for settings in &settings {
            measure(&group, settings);
        }
    }
}
