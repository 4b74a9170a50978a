//! How the defaults were chosen: `cargo test --release -p medfocus-method-medfocus -- --ignored sweep --nocapture`.

mod common;

use std::time::Instant;

use common::{TEST, displaced, phantom};
use medfocus_attribution::CONCEPTS;
use medfocus_method_medfocus::{Features, MedFocusParams, PUBLISHED, Pool, Reference, localise};
use medfocus_plugin_api::{BBox, Params, Sample, Working};
use serde_json::{Value, json};

fn iou(a: &BBox<Working>, b: &BBox<Working>) -> f64 {
    let both = a.intersection(b).map_or(0, |both| both.area());
    both as f64 / (a.area() + b.area() - both) as f64
}

/// Mean IoU of each concept's box.
fn measure(references: &[Sample], targets: &[Sample], settings: &Value) {
    let params = MedFocusParams::from_json(settings.as_object().unwrap().clone()).unwrap();
    let pool = references
        .iter()
        .map(|s| Reference::of(s, &params).unwrap());
    let pool = Pool::new(pool.collect(), &params).unwrap();
    let content = BBox::new(0, 0, 224, 224).unwrap();
    let mut sums = [0.0; CONCEPTS.len()];
    let mut counts = [0; CONCEPTS.len()];
    let mut iterations = 0;
    let start = Instant::now();
    for target in targets {
        let features = Features::of(&target.image, &params).unwrap();
        let anatomy = localise(&features, &content, &pool, None, &params).unwrap();
        iterations += anatomy
            .transports
            .first()
            .map_or(0, |t| t.convergence.iterations);
        for (c, concept) in CONCEPTS.iter().enumerate() {
            let Some(truth) = target.masks[*concept].tight_box() else {
                continue;
            };
            counts[c] += 1;
            sums[c] += anatomy.regions[c]
                .as_ref()
                .map_or(0.0, |found| iou(&found.bbox, &truth));
        }
    }
    let milliseconds = start.elapsed().as_secs_f64() * 1e3 / targets.len() as f64;
    let means: Vec<f64> = sums
        .iter()
        .zip(counts)
        .map(|(sum, n)| sum / f64::from(n))
        .collect();
    let each: Vec<_> = means.iter().map(|mean| format!("{mean:.2}")).collect();
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    println!(
        "{mean:.3} | {} | {milliseconds:6.1} ms {:3} it | {settings}",
        each.join(" "),
        iterations / targets.len() as u32
    );
}

#[test]
#[ignore = "takes minutes"]
fn sweep() {
    let references: Vec<_> = (0..16).map(|seed| phantom(seed, true)).collect();
    let targets: Vec<_> = (0..60).map(|i| phantom(TEST + i, false)).collect();
    let displaced: Vec<_> = targets
        .iter()
        .zip(0..)
        .map(|(t, i)| displaced(t, i))
        .collect();
    for (name, targets) in [("in place", &targets), ("displaced", &displaced)] {
        println!("{name}");
        let published: Value = serde_json::from_str(PUBLISHED).unwrap();
        measure(&references, targets, &published);
        let run = |transfer: &str, voters: u32, more: Value| {
            let mut settings = json!({"transfer": transfer, "references": voters});
            settings
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            measure(&references, targets, &settings);
        };
        for n in [1, 3, 5, 16] {
            run("copy", n, json!({}));
        }
        for eps in [0.003, 0.005, 0.01, 0.02, 0.05] {
            run("mass", 5, json!({"grid": 56, "eps": eps, "lambda": 0.1}));
            for lambda in [0.1, 1.0] {
                run("barycentric", 5, json!({"eps": eps, "lambda": lambda}));
                run("affine", 5, json!({"eps": eps, "lambda": lambda}));
            }
        }
        for n in [1, 3, 16] {
            run("mass", n, json!({"grid": 56, "eps": 0.005, "lambda": 0.1}));
            run("barycentric", n, json!({}));
            run("affine", n, json!({}));
        }
        run("barycentric", 5, json!({"debias": false}));
        run("affine", 5, json!({"debias": false}));
        run("affine", 5, json!({"grid": 56}));
        run("affine", 5, json!({"lambda": 0.3}));
        run("affine", 5, json!({"tolerance": 1e-6}));
    }
}
