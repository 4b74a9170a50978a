//! Occlusion against a model whose score of every image is known in closed form.

mod common;

use common::{TwoTokens, YesNo};
use medfocus_method_perturbation::{Cells, Occlusion};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, BBox, ErrorKind, GrayImage, Letterbox, ModelInfo, Result,
    ScoreRequest, Scores, Task, Tensor, VisionLanguageModel, WORKING_SIDE, Working,
    testkit::{LocalHost, ToyModel, toy_task},
};
use ndarray::{Array2, Axis, Ix3, s};
use proptest::prelude::*;
use serde_json::{Value, json};

const SIDE: usize = WORKING_SIDE as usize;

fn explain(model: impl VisionLanguageModel + 'static, params: Value, task: &Task) -> Attribution {
    let host = LocalHost::new().with_model(model);
    host.create::<Occlusion>(params)
        .unwrap()
        .attribute(task)
        .unwrap()
}

/// A model that looks at cell (2, 5) of 8 x 8.
fn looking() -> ToyModel {
    ToyModel::looking_at((8, 8), (2, 5), 4.0, -1.0)
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[test]
fn the_cell_the_model_looks_at_holds_all_heat() {
    // All cells are grey, and only hiding (2, 5) changes z: from 4 g - 1 to -1.
    let task = toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap();
    let found = explain(looking(), json!({}), &task);
    let drop = sigmoid(4.0 * 0.6 - 1.0) - sigmoid(-1.0);
    for (r, row) in found.evidence["drops"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        for (c, value) in row.as_array().unwrap().iter().enumerate() {
            let expected = if (r, c) == (2, 5) { drop } else { 0.0 };
            assert!((value.as_f64().unwrap() - expected).abs() < 1e-6);
        }
    }
    assert!((found.evidence["s0"].as_f64().unwrap() - sigmoid(1.4)).abs() < 1e-6);
    assert_eq!(found.evidence["images_scored"], 65);
    let heat = found.heat.unwrap();
    for ((y, x), &value) in heat.view().indexed_iter() {
        let inside = (56..84).contains(&y) && (140..168).contains(&x);
        assert!((value - if inside { 1.0 } else { 0.0 }).abs() < 1e-6);
    }
    assert!(found.warnings.is_empty());
}

#[test]
fn bilinear_peaks_at_the_centre_of_the_cell() {
    let task = toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap();
    let heat = explain(looking(), json!({"upsample": "bilinear"}), &task)
        .heat
        .unwrap();
    let view = heat.view();
    // The centre lies between columns 153 and 154; a cell of 28 pixels further the heat is gone.
    assert!((view[(70, 153)] - 1.0).abs() < 1e-6);
    assert_eq!(view[(70, 154 + 28)], 0.0);
    let between = (28.0 - 13.5) / (28.0 - 0.5);
    assert!((view[(70, 154 + 13)] - between).abs() < 1e-6);
}

#[test]
fn the_log_probability_is_another_target() {
    let task = toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap();
    let found = explain(looking(), json!({"target": "log_prob"}), &task);
    let expected = sigmoid(1.4).ln() - sigmoid(-1.0).ln();
    let drop = found.evidence["drops"][2][5].as_f64().unwrap();
    assert!((drop - expected).abs() < 1e-6);
}

#[test]
fn the_margin_is_read_of_two_words() {
    // log p / (1 - p) is z, of which hiding (2, 5) takes its weight times its grey.
    let host = LocalHost::new().with_model(YesNo(looking()));
    let task = toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap();
    let method = host
        .create::<Occlusion>(json!({"target": "margin"}))
        .unwrap();
    let found = method.attribute(&task).unwrap();
    assert!((found.evidence["s0"].as_f64().unwrap() - 1.4).abs() < 1e-5);
    let drop = found.evidence["drops"][2][5].as_f64().unwrap();
    assert!((drop - 4.0 * 0.6).abs() < 1e-5);
    assert_eq!(found.evidence["drops"][2][4], 0.0);
    assert_eq!(
        host.calls("model.score"),
        2 * 65u64.div_ceil(16),
        "once for each word"
    );
}

#[test]
fn each_token_has_a_map_of_its_own() {
    let task = toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap();
    let params = json!({"per_token": true, "tokens": "1..2"});
    let found = explain(TwoTokens(looking()), params, &task);
    assert!(
        found.heat.unwrap().is_zero(),
        "the second token sees nothing"
    );
    assert!((found.evidence["s0"].as_f64().unwrap() - (-1.0f64).exp()).abs() < 1e-6);
    let maps = found.token_heat.unwrap();
    let maps = maps.view_nd::<f32, Ix3>().unwrap();
    assert_eq!(maps.dim(), (2, SIDE, SIDE));
    let alone = explain(looking(), json!({}), &task).heat.unwrap();
    assert_eq!(maps.index_axis(Axis(0), 0), alone.view());
    assert!(maps.index_axis(Axis(0), 1).iter().all(|&v| v == 0.0));
}

#[test]
fn what_hiding_makes_more_likely_is_no_evidence() {
    let task = toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap();
    let found = explain(
        ToyModel::looking_at((8, 8), (2, 5), -4.0, 1.0),
        json!({}),
        &task,
    );
    assert!(found.heat.unwrap().is_zero());
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn images_equal_to_the_original_are_not_scored() {
    // Black but for one cell and a pixel: of 64 hidden cells only two change the image.
    let mut pixels = Array2::zeros((SIDE, SIDE));
    pixels.slice_mut(s![56..84, 140..168]).fill(200);
    pixels[(0, 0)] = 1;
    let found = explain(looking(), json!({}), &toy_task(pixels).unwrap());
    assert_eq!(found.evidence["images_scored"], 3);
    assert!(!found.heat.unwrap().is_zero());

    // A constant image is its own mean and blur: nothing to hide, and so nothing found.
    for baseline in ["mean", "blur"] {
        let task = toy_task(Array2::from_elem((SIDE, SIDE), 90)).unwrap();
        let found = explain(looking(), json!({"baseline": baseline}), &task);
        assert_eq!(found.evidence["images_scored"], 1);
        assert!(found.heat.unwrap().is_zero());
    }
}

#[test]
fn padding_is_never_hidden() {
    // A portrait: 56 columns of padding on each side, two of eight cells.
    let mut pixels = Array2::zeros((SIDE, SIDE));
    pixels.slice_mut(s![.., 56..168]).fill(100);
    let mut task = toy_task(pixels).unwrap();
    task.letterbox = Letterbox::new(500, 1000, WORKING_SIDE).unwrap();
    for baseline in ["zero", "mean", "blur"] {
        let padding = ToyModel::looking_at((8, 8), (3, 0), 4.0, 0.0);
        let found = explain(padding, json!({"baseline": baseline}), &task);
        let scored = found.evidence["images_scored"].as_u64().unwrap();
        assert_eq!(scored, if baseline == "zero" { 1 + 32 } else { 1 });
        assert!(found.heat.unwrap().is_zero(), "{baseline}");
    }
}

#[test]
fn the_batch_size_changes_nothing_but_the_calls() {
    let pixels = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| ((y * 7 + x * 3) % 251) as u8);
    let task = toy_task(pixels).unwrap();
    let model = ToyModel {
        weights: Array2::from_shape_fn((8, 8), |(r, c)| (r as f32 - c as f32) / 8.0),
        bias: -0.5,
    };
    let run = |batch: usize| {
        let host = LocalHost::new().with_model(model.clone());
        let method = host.create::<Occlusion>(json!({"batch": batch})).unwrap();
        let found = method.attribute(&task).unwrap();
        let calls = 65u64.div_ceil(batch as u64);
        assert_eq!((host.calls("model.score"), host.steps()), (calls, calls));
        (found.heat.unwrap(), found.evidence)
    };
    let (heat, evidence) = run(1);
    for batch in [7, 64, 65, 4096] {
        let (other, also) = run(batch);
        assert_eq!(heat.view(), other.view());
        assert_eq!(evidence, also);
    }
}

/// Cancels the run in its second call.
struct Impatient(LocalHost);

impl VisionLanguageModel for Impatient {
    fn info(&self) -> Result<ModelInfo> {
        looking().info()
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        if self.0.calls("model.score") == 2 {
            self.0.cancel();
        }
        looking().score(request)
    }
}

#[test]
fn it_stops_between_batches() {
    let host = LocalHost::new();
    let host = host.clone().with_model(Impatient(host));
    let method = host.create::<Occlusion>(json!({"batch": 4})).unwrap();
    let task = toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap();
    let error = method.attribute(&task).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert_eq!(host.calls("model.score"), 2);
}

/// Answers every request with these log-probabilities for each image.
struct Fixed(Vec<f32>, Option<usize>);

impl VisionLanguageModel for Fixed {
    fn info(&self) -> Result<ModelInfo> {
        looking().info()
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        let rows = self.1.unwrap_or(request.images.len());
        let shape = (rows, self.0.len());
        let log_probs = Array2::from_shape_fn(shape, |(_, t)| self.0[t]);
        let tokens = looking().score(request)?.tokens;
        let log_probs = Tensor::from_array(log_probs);
        Ok(Scores::new(tokens, log_probs))
    }
}

#[test]
fn the_mean_is_over_tokens() {
    let host = LocalHost::new().with_model(Fixed(
        vec![0.5f32.ln(), f32::NEG_INFINITY, 0.25f32.ln()],
        None,
    ));
    let method = host.create::<Occlusion>(json!({})).unwrap();
    let task = toy_task(Array2::ones((SIDE, SIDE))).unwrap();
    let s0 = method.attribute(&task).unwrap().evidence["s0"]
        .as_f64()
        .unwrap();
    assert!((s0 - 0.25).abs() < 1e-7);
}

#[test]
fn scores_that_cannot_be_read_are_refused() {
    let task = toy_task(Array2::ones((SIDE, SIDE))).unwrap();
    for (model, params) in [
        (Fixed(vec![], None), json!({})),
        (Fixed(vec![-1.0], Some(3)), json!({})),
        (Fixed(vec![f32::NAN], None), json!({})),
        (
            Fixed(vec![f32::NEG_INFINITY], None),
            json!({"target": "log_prob"}),
        ),
    ] {
        let host = LocalHost::new().with_model(model);
        let error = host
            .create::<Occlusion>(params)
            .unwrap()
            .attribute(&task)
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    }
}

#[test]
fn wrong_inputs_are_refused() {
    let host = LocalHost::new().with_model(looking());
    for params in [
        json!({"cells": 0}),
        json!({"cells": 225}),
        json!({"batch": 0}),
        json!({"baseline": "white"}),
        json!({"tokens": "1..1"}),
        json!({"target": "margin", "per_token": true}),
    ] {
        assert_eq!(
            host.create::<Occlusion>(params).err().unwrap().kind,
            ErrorKind::Invalid
        );
    }
    let mut task = toy_task(Array2::zeros((SIDE, SIDE))).unwrap();
    task.image = GrayImage::from_array(Array2::zeros((30, 40))).unwrap();
    let error = host
        .create::<Occlusion>(json!({}))
        .unwrap()
        .attribute(&task)
        .unwrap_err();
    assert!(error.to_string().contains("got 40 x 30"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cells_tile_the_working_image(side in 1u32..=224) {
        let mut seen = Array2::<u8>::zeros((SIDE, SIDE));
        for cell in Cells::new(side).boxes().unwrap() {
            let [x1, y1, x2, y2] = cell.corners().map(|c| c as usize);
            seen.slice_mut(s![y1..y2, x1..x2]).mapv_inplace(|n| n + 1);
        }
        prop_assert!(seen.iter().all(|&n| n == 1));
    }

    #[test]
    fn the_painted_map_is_the_drop_of_the_pixels_cell(side in 1usize..=40, y in 0u32..224, x in 0u32..224) {
        let values = Array2::from_shape_fn((side, side), |(r, c)| (r * side + c) as f32);
        let cells = Cells::new(side as u32);
        let number = cells.boxes().unwrap().iter().position(|cell| cell.contains(x, y));
        prop_assert_eq!(number, Some(cells.paint(values.view())[(y as usize, x as usize)] as usize));
    }

    #[test]
    fn the_map_is_what_the_model_says(
        side in 1usize..=9,
        weights in prop::collection::vec(-3.0f32..3.0, 16),
        grey in prop::collection::vec(any::<u8>(), 49),
        baseline in prop::sample::select(vec!["zero", "mean", "blur"]),
        upsample in prop::sample::select(vec!["cells", "bilinear"]),
        width in 100u32..=400,
    ) {
        let letterbox = Letterbox::new(width, 200, WORKING_SIDE).unwrap();
        let content: BBox<Working> = letterbox.content();
        let pixels = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| {
            let shown = content.contains(x as u32, y as u32);
            if shown { grey[(y / 32) * 7 + x / 32] } else { 0 }
        });
        let mut task = toy_task(pixels).unwrap();
        task.letterbox = letterbox;
        let model = ToyModel {
            weights: Array2::from_shape_vec((4, 4), weights).unwrap(),
            bias: 0.0,
        };
        let params = json!({"cells": side, "baseline": baseline, "upsample": upsample});
        let found = explain(model.clone(), params, &task);
        let heat = found.heat.unwrap();
        prop_assert_eq!(heat.view().dim(), (SIDE, SIDE));
        prop_assert!(heat.view().iter().all(|v| (0.0..=1.0).contains(v)));
        prop_assert_eq!(heat.is_zero(), !found.warnings.is_empty());
        prop_assert!(found.evidence["images_scored"].as_u64().unwrap() <= 1 + (side * side) as u64);

        // With zero as the baseline, each drop by the definition itself.
        if baseline == "zero" {
            let s0 = f64::from(model.probability(&task.image));
            for (number, cell) in Cells::new(side as u32).boxes().unwrap().iter().enumerate() {
                let without = task.image.with_filled(cell, 0);
                let expected = (s0 - f64::from(model.probability(&without))).max(0.0);
                let drop = found.evidence["drops"][number / side][number % side].as_f64().unwrap();
                prop_assert!((drop - expected).abs() < 1e-6);
            }
        }
    }
}
