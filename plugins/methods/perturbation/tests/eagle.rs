//! EAGLE against a model whose score of every image is known in closed form.

mod common;

use common::{TwoTokens, YesNo};
use medfocus_method_perturbation::Eagle;
use medfocus_plugin_api::{
    Attribution, AttributionMethod, ErrorKind, Letterbox, Result, Task, VisionLanguageModel,
    WORKING_SIDE,
    testkit::{LocalHost, ToyModel, toy_task},
};
use ndarray::{Array2, s};
use serde_json::{Value, json};

const SIDE: usize = WORKING_SIDE as usize;

fn explain(
    model: impl VisionLanguageModel + 'static,
    params: Value,
    task: &Task,
) -> Result<Attribution> {
    let host = LocalHost::new().with_model(model);
    host.create::<Eagle>(params)?.attribute(task)
}

/// Grey 0.6 throughout.
fn grey() -> Task {
    toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap()
}

/// Weights of 4 x 4 cells, all different.
fn sixteen() -> ToyModel {
    let weights = Array2::from_shape_fn((4, 4), |(r, c)| ((r * 4 + c) * 7 % 16) as f32 / 8.0 - 0.9);
    ToyModel { weights, bias: 0.2 }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[test]
fn the_cell_the_model_looks_at_is_hottest() {
    let model = ToyModel::looking_at((8, 8), (2, 5), 4.0, -1.0);
    let found = explain(model, json!({}), &grey()).unwrap();
    let heat = found.heat.unwrap();
    let inside = s![56..84, 140..168];
    assert!(heat.view().slice(inside).iter().all(|&v| v == 1.0));
    let sum = heat.view().sum();
    assert!((sum - 784.0).abs() < 1e-3, "nothing else counts: {sum}");
    assert!(found.warnings.is_empty());
    assert_eq!(found.evidence["settled"], 64);
    // With the one cell shown the answer is that of the whole image, and without it that of none.
    let [none, all] = [-1.0, 4.0 * 0.6 - 1.0].map(sigmoid);
    let curve =
        |key: &str| -> Vec<f64> { serde_json::from_value(found.evidence[key].clone()).unwrap() };
    for (key, first, rest) in [("insertion", none, all), ("deletion", all, none)] {
        let curve = curve(key);
        assert_eq!(curve.len(), 65);
        assert!((curve[0] - first).abs() < 1e-6, "{key}");
        assert!(
            curve[1..].iter().all(|value| (value - rest).abs() < 1e-6),
            "{key}"
        );
    }
}

#[test]
fn cells_are_as_hot_as_the_definition_says() {
    // z adds up, so the order is that of the weights, and the curves follow.
    let model = sixteen();
    let weights: Vec<f64> = model.weights.iter().map(|&w| 0.6 * f64::from(w)).collect();
    let mut order: Vec<usize> = (0..16).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    let prefix = |size: usize| order[..size].iter().map(|&cell| weights[cell]).sum::<f64>();
    for (target, score) in [
        ("mean_probability", sigmoid as fn(f64) -> f64),
        ("log_prob", |z| sigmoid(z).ln()),
        ("margin", |z| z),
    ] {
        let fitness = |size| score(0.2 + prefix(size)) - score(0.2 + prefix(16) - prefix(size));
        let mut heat = [0.0; 16];
        let mut rest = 0.0;
        for size in (1..=16).rev() {
            rest += f64::abs(fitness(size) - fitness(size - 1));
            heat[order[size - 1]] = rest;
        }
        let [top, bottom] = [heat[order[0]], heat[order[15]]];
        for search in [
            json!({"update_step": 1, "pending": 0}),
            json!({"update_step": 4, "search_scope": 3, "pending": 2}),
        ] {
            let mut params = search;
            params["cells"] = json!(4);
            params["target"] = json!(target);
            let found = explain(YesNo(sixteen()), params, &grey()).unwrap();
            let map = found.heat.unwrap();
            for (cell, heat) in heat.iter().enumerate() {
                let found = map.view()[(cell / 4 * 56 + 20, cell % 4 * 56 + 50)];
                let expected = (heat - bottom) / (top - bottom);
                assert!(
                    (f64::from(found) - expected).abs() < 1e-5,
                    "{target}, cell {cell}"
                );
            }
        }
    }
}

#[test]
fn the_published_heat_leaves_out_what_decides_alone() {
    let model = ToyModel::looking_at((8, 8), (2, 5), 4.0, -1.0);
    let found = explain(model, json!({"heat": "published"}), &grey()).unwrap();
    assert!(found.heat.unwrap().is_zero());
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn padding_and_what_is_already_hidden_are_no_regions() {
    // A portrait: 56 columns of padding on each side, two of eight cells; and one cell that is black.
    let mut pixels = Array2::zeros((SIDE, SIDE));
    pixels.slice_mut(s![.., 56..168]).fill(100);
    pixels.slice_mut(s![28..56, 56..84]).fill(0);
    let mut task = toy_task(pixels).unwrap();
    task.letterbox = Letterbox::new(500, 1000, WORKING_SIDE).unwrap();
    let model = || ToyModel::looking_at((8, 8), (3, 4), 4.0, 0.0);
    for (baseline, regions) in [("zero", 31), ("mean", 32)] {
        let found = explain(model(), json!({"baseline": baseline}), &task).unwrap();
        assert_eq!(found.evidence["regions"], regions, "{baseline}");
        let heat = found.heat.unwrap();
        assert!(heat.view().slice(s![.., ..56]).iter().all(|&v| v == 0.0));
    }
    // Nothing is left to hide: one image, no region, no evidence.
    let black = toy_task(Array2::zeros((SIDE, SIDE))).unwrap();
    let found = explain(model(), json!({}), &black).unwrap();
    assert!(found.heat.unwrap().is_zero());
    assert_eq!(
        (&found.evidence["regions"], &found.evidence["images_scored"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn a_budget_that_does_not_last_is_said() {
    let explain =
        |budget: usize| explain(sixteen(), json!({"cells": 4, "budget": budget}), &grey());
    let error = explain(33).unwrap_err();
    assert!(error.to_string().contains("`budget`"), "{error}");
    let found = explain(60).unwrap();
    let settled = found.evidence["settled"].as_u64().unwrap();
    assert!((2..16).contains(&settled));
    assert!(found.evidence["images_scored"].as_u64().unwrap() <= 60);
    assert!(
        found.warnings[0].contains(&format!("settled {settled} of 16")),
        "{:?}",
        found.warnings
    );
    let all = explain(1500).unwrap();
    assert_eq!(all.evidence["settled"], 16);
    assert!(all.warnings.is_empty());
    // What came first without the limit still does.
    let first = |found: &Attribution| found.heat.as_ref().unwrap().view().mapv(|v| v == 1.0);
    assert_eq!(first(&found), first(&all));
}

#[test]
fn tokens_that_see_nothing_give_no_evidence() {
    let explain = |tokens: &str| {
        let params = json!({"cells": 4, "tokens": tokens});
        explain(TwoTokens(sixteen()), params, &grey()).unwrap()
    };
    let found = explain("1..2");
    assert!(found.heat.unwrap().is_zero());
    assert_eq!(found.warnings.len(), 1);
    let first = explain("0..1").heat.unwrap();
    let alone = self::explain(sixteen(), json!({"cells": 4}), &grey()).unwrap();
    assert_eq!(first.view(), alone.heat.unwrap().view());
}

#[test]
fn the_batch_size_changes_nothing_and_it_stops_when_told() {
    let run = |batch: usize| {
        let found = explain(sixteen(), json!({"cells": 4, "batch": batch}), &grey()).unwrap();
        (found.heat.unwrap().view().to_owned(), found.evidence)
    };
    assert_eq!(run(1), run(64));
    let host = LocalHost::new().with_model(sixteen());
    let method = host
        .create::<Eagle>(json!({"cells": 4, "batch": 4}))
        .unwrap();
    host.cancel_after(7);
    let error = method.attribute(&grey()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert!(host.calls("model.score") < 7);
}
