//! Grad-CAM and Grad-CAM++ against models whose gradients are known in closed form.

use std::sync::{Arc, Mutex};

use medfocus_method_gradient::{GradCam, GradCamPlusPlus};
use medfocus_plugin_api::{
    AnswerSpan, Attribution, AttributionMethod, Capture, Component, ErrorKind, HeatMap, ModelInfo,
    Objective, Quantity, Result, Task, Tensor, Token, Trace, TraceRequest, VisionLanguageModel,
    Want, Wrt,
    testkit::{LocalHost, ToyModel, toy_task},
};
use ndarray::{Array2, Axis, Ix3, array};
use proptest::prelude::*;
use serde_json::{Value, json};

fn explain<M: Component + AttributionMethod>(
    model: impl VisionLanguageModel + 'static,
    params: Value,
    task: &Task,
) -> Result<Attribution> {
    let host = LocalHost::new().with_model(model);
    let found = host.create::<M>(params)?.attribute(task);
    assert_eq!(host.calls("model.trace"), 1, "one pass and no more");
    assert_eq!(host.calls("model.score") + host.calls("model.generate"), 0);
    found
}

/// Bright in one cell of 2 x 3: means 1 and 0, so the toy's features are (1, 0) there and (0, 1) elsewhere.
fn spot() -> Array2<u8> {
    Array2::from_shape_fn((224, 224), |(y, x)| {
        if y < 112 && (74..149).contains(&x) {
            255
        } else {
            0
        }
    })
}

#[test]
fn the_map_is_the_papers_formula() {
    // dL/dh is (1 - p) weight in the first channel alone, so w = ((1 - p) mean weight, 0) and the
    // heat of cell i is the relu of w_0 times its mean grey.
    let model = ToyModel {
        weights: array![[1.0, 3.0, -0.5], [0.25, 0.5, 2.0]],
        bias: -1.0,
    };
    let task = toy_task(spot()).unwrap();
    let slope = 1.0 - model.probability(&task.image);
    let weight = slope * model.weights.mean().unwrap();
    let expected = HeatMap::from_grid((model.means(&task.image) * weight).view()).unwrap();
    assert!(!expected.is_zero());
    for params in [json!({}), json!({"layer": 0})] {
        // One channel carries all gradients here, so Grad-CAM++ only scales its weight.
        for found in [
            explain::<GradCam>(model.clone(), params.clone(), &task).unwrap(),
            explain::<GradCamPlusPlus>(model.clone(), params, &task).unwrap(),
        ] {
            assert_near(&found.heat.unwrap(), &expected);
            assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        }
    }
}

fn assert_near(heat: &HeatMap, expected: &HeatMap) {
    let error = (&heat.view() - &expected.view()).mapv(f32::abs);
    assert!(error.iter().all(|&e| e < 1e-5));
}

/// A 1 x 3 grid whose first two tokens have a channel each; the channels sum to 1.
fn two_channels(gradients: Array2<f32>) -> Fixed {
    Fixed::new(
        array![[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]],
        gradients,
        (1, 3),
    )
}

#[test]
fn grad_cam_plus_plus_weighs_each_gradient_and_drops_the_negative() {
    // Channel 0: alpha 1 / (2 + 1) of g = 1. Channel 1: 4 / (8 + 8) of g = 2; -1 is cut off.
    let model = two_channels(array![[1.0, -1.0], [0.0, 2.0], [0.0, 0.0]]);
    let expected = HeatMap::from_grid(array![[1.0 / 3.0, 0.5, 0.0]].view()).unwrap();
    let found = explain::<GradCamPlusPlus>(model.clone(), json!({}), &task()).unwrap();
    assert_near(&found.heat.unwrap(), &expected);
    // Grad-CAM weighs both channels by 1 / 3.
    let expected = HeatMap::from_grid(array![[1.0, 1.0, 0.0]].view()).unwrap();
    let found = explain::<GradCam>(model, json!({}), &task()).unwrap();
    assert_near(&found.heat.unwrap(), &expected);
}

#[test]
fn the_1e_8_of_grad_cam_plus_plus_dampens_small_gradients() {
    // Alphas 1 / (2 + 1e-4 + 1) and 4 / (8 + 8e-4 + 1), in units of 1e-8.
    let model = two_channels(array![[1e-4, 0.0], [0.0, 2e-4], [0.0, 0.0]]);
    let weights = array![[1e-4 / 3.0001, 8e-4 / 9.0008, 0.0]];
    let expected = HeatMap::from_grid(weights.view()).unwrap();
    let found = explain::<GradCamPlusPlus>(model, json!({}), &task()).unwrap();
    assert_near(&found.heat.unwrap(), &expected);
}

#[test]
fn without_its_epsilon_grad_cam_plus_plus_reads_the_smallest_gradients() {
    let heat = |scale: f32, epsilon: f64| {
        let gradients = array![[1e-3, 0.0], [0.0, 5e-4], [0.0, 0.0]];
        let model = two_channels(gradients * scale);
        let params = json!({"epsilon": epsilon});
        explain::<GradCamPlusPlus>(model, params, &task())
            .unwrap()
            .heat
            .unwrap()
    };
    // Half of each gradient: 1 and 1 / 2 of the largest.
    let expected = HeatMap::from_grid(array![[1.0, 0.5, 0.0]].view()).unwrap();
    for scale in [1e-3, 1e-9, 1e-25] {
        assert_near(&heat(scale, 0.0), &expected);
    }
    // With it their cubes.
    let cubes = HeatMap::from_grid(array![[1.0, 0.125, 0.0]].view()).unwrap();
    assert_near(&heat(1e-4, 1e-8), &cubes);
}

#[test]
fn a_certain_answers_map_is_as_clear_as_a_doubtful_ones() {
    // The gradient of a log-probability is as small as what is left to be sure of.
    let doubtful = two_channels(array![[1.0, 0.0], [0.0, 0.5], [0.0, 0.0]]);
    let certain = two_channels(array![[1e-9, 0.0], [0.0, 0.5e-9], [0.0, 0.0]]);
    let heat = |model| explain::<GradCam>(model, json!({}), &task()).unwrap().heat;
    let (doubtful, certain) = (heat(doubtful).unwrap(), heat(certain).unwrap());
    assert_near(&certain, &doubtful);
    assert_eq!(certain.view()[(0, 0)], 1.0);
}

#[test]
fn evidence_against_the_answer_is_cut_off() {
    let model = ToyModel {
        weights: array![[-1.0, -3.0, -0.5], [-0.25, -0.5, -2.0]],
        bias: 1.0,
    };
    let task = toy_task(spot()).unwrap();
    for found in [
        explain::<GradCam>(model.clone(), json!({}), &task).unwrap(),
        explain::<GradCamPlusPlus>(model, json!({}), &task).unwrap(),
    ] {
        assert!(found.heat.unwrap().is_zero());
        assert_eq!(found.warnings.len(), 1);
        assert!(found.warnings[0].contains("no image token stands out"));
    }
}

/// Gives a fixed trace, and remembers what it was asked. Channel d reads token d of an answer of as many.
#[derive(Clone)]
struct Fixed {
    values: Array2<f32>,
    gradients: Array2<f32>,
    grid: (u32, u32),
    positions: Vec<usize>,
    asked: Arc<Mutex<Vec<TraceRequest>>>,
}

impl Fixed {
    fn new(values: Array2<f32>, gradients: Array2<f32>, grid: (u32, u32)) -> Self {
        let positions = (0..(grid.0 * grid.1) as usize).collect();
        Self {
            values,
            gradients,
            grid,
            positions,
            asked: Arc::default(),
        }
    }
}

impl VisionLanguageModel for Fixed {
    fn info(&self) -> Result<ModelInfo> {
        ToyModel::looking_at((1, 1), (0, 0), 1.0, 0.0).info()
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        self.asked.lock().unwrap().push(request.clone());
        let toy = ToyModel::looking_at((1, 1), (0, 0), 1.0, 0.0);
        let mut plain = request.clone().with_objective(Objective::default());
        plain.wants = vec![];
        let mut trace = toy.trace(&plain)?;
        trace.layout.grid = self.grid;
        trace.layout.image_positions = self.positions.clone();
        let token = Token {
            id: 0,
            text: "x".into(),
        };
        trace.layout.tokens = vec![token; self.values.ncols()];
        let mut gradients = self.gradients.clone();
        if let Some(tokens) = &request.objective.tokens {
            for (d, mut channel) in gradients.axis_iter_mut(Axis(1)).enumerate() {
                if !tokens.contains(&d) {
                    channel.fill(0.0);
                }
            }
        }
        let capture = |&want: &Want| {
            let values = match want {
                Want::Gradient(_) => &gradients,
                _ => &self.values,
            };
            let tensor = Tensor::from_array(values.clone());
            Capture { want, tensor }
        };
        trace.captures = request.wants.iter().map(capture).collect();
        Ok(trace)
    }
}

fn task() -> Task {
    toy_task(Array2::zeros((224, 224))).unwrap()
}

#[test]
fn exactly_two_captures_are_asked_for() {
    let model = Fixed::new(Array2::ones((6, 2)), Array2::ones((6, 2)), (2, 3));
    let asked = model.asked.clone();
    explain::<GradCam>(model.clone(), json!({}), &task()).unwrap();
    let params = json!({
        "layer": -2, "target": "mean_probability", "answer_span": "turn", "tokens": "0..1",
    });
    explain::<GradCamPlusPlus>(model.clone(), params, &task()).unwrap();
    explain::<GradCam>(model, json!({"target": "margin"}), &task()).unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(
        asked[0].wants,
        [Want::Features, Want::Gradient(Wrt::Features)]
    );
    assert_eq!(asked[0].objective, Objective::default());
    let layer = -2;
    assert_eq!(
        asked[1].wants,
        [
            Want::Hidden { layer },
            Want::Gradient(Wrt::Hidden { layer })
        ]
    );
    assert_eq!(asked[1].objective.quantity, Quantity::MeanProbability);
    assert_eq!(asked[1].objective.tokens, Some(0..1));
    assert_eq!(asked[1].span, AnswerSpan::Turn);
    let margin = Quantity::Margin("Yes".into(), "No".into());
    assert_eq!(asked[2].objective.quantity, margin);
}

#[test]
fn each_token_has_a_map_of_its_own() {
    let identity = Array2::from_diag(&array![1.0, 1.0, 1.0, 1.0]);
    let model = Fixed::new(identity, Array2::ones((4, 4)), (2, 2));
    let host = LocalHost::new().with_model(model);
    let params = json!({"per_token": true, "tokens": "1..3"});
    let found = [
        host.create::<GradCam>(params.clone())
            .unwrap()
            .attribute(&task())
            .unwrap(),
        host.create::<GradCamPlusPlus>(params)
            .unwrap()
            .attribute(&task())
            .unwrap(),
    ];
    assert_eq!(host.calls("model.trace"), 2 * (1 + 4));
    for found in found {
        let expected = HeatMap::from_grid(array![[0.0, 1.0], [1.0, 0.0]].view()).unwrap();
        assert_near(&found.heat.unwrap(), &expected);
        let maps = found.token_heat.unwrap();
        let maps = maps.view_nd::<f32, Ix3>().unwrap();
        assert_eq!(
            maps.dim(),
            (4, 224, 224),
            "all tokens, whichever are explained"
        );
        for (t, map) in maps.outer_iter().enumerate() {
            let mut alone = Array2::zeros((2, 2));
            alone[(t / 2, t % 2)] = 1.0;
            let expected = HeatMap::from_grid(alone.view()).unwrap();
            assert_near(&HeatMap::from_array(map.to_owned()).unwrap(), &expected);
        }
    }
}

#[test]
fn only_image_rows_count_in_a_hidden_state() {
    // Rows 0 and 3 are text with huge values; the image is rows 4, 2, 1, 5 of a 1 x 4 grid.
    let values = array![[9e9], [3.0], [2.0], [9e9], [1.0], [4.0]];
    let gradients = array![[-9e9], [1.0], [1.0], [-9e9], [1.0], [1.0]];
    let mut model = Fixed::new(values, gradients, (1, 4));
    model.positions = vec![4, 2, 1, 5];
    let heat = explain::<GradCam>(model, json!({"layer": 1}), &task())
        .unwrap()
        .heat;
    let expected = HeatMap::from_grid(array![[1.0, 2.0, 3.0, 4.0]].view()).unwrap();
    assert_eq!(heat.unwrap().view(), expected.view());
}

#[test]
fn a_zero_gradient_is_named_as_the_degenerate_case() {
    let model = Fixed::new(Array2::ones((4, 3)), Array2::zeros((4, 3)), (2, 2));
    let params = json!({"layer": -1});
    for found in [
        explain::<GradCam>(model.clone(), params.clone(), &task()).unwrap(),
        explain::<GradCamPlusPlus>(model, params, &task()).unwrap(),
    ] {
        assert!(found.heat.unwrap().is_zero());
        assert!(found.warnings[0].contains("gradient is zero at every image token"));
    }
}

#[test]
fn traces_that_contradict_themselves_are_refused() {
    let ones = || Array2::<f32>::ones((4, 2));
    let not_a_number = Fixed::new(ones() * f32::NAN, ones(), (2, 2));
    let mut outside = Fixed::new(ones(), ones(), (2, 2));
    outside.positions[3] = 4;
    let cases = [
        (
            Fixed::new(ones(), ones(), (2, 3)),
            json!({}),
            "grid of 2 x 3",
        ),
        (
            Fixed::new(ones(), Array2::ones((4, 3)), (2, 2)),
            json!({}),
            "with gradients of shape",
        ),
        (
            outside,
            json!({"layer": 0}),
            "image token at 4 of a sequence of 4",
        ),
        (not_a_number, json!({}), "are not numbers"),
    ];
    for (model, params, sentence) in cases {
        for error in [
            explain::<GradCam>(model.clone(), params.clone(), &task()).unwrap_err(),
            explain::<GradCamPlusPlus>(model, params, &task()).unwrap_err(),
        ] {
            assert!(error.to_string().contains(sentence), "{error}");
        }
    }
}

#[test]
fn wrong_parameters_are_refused() {
    let host = LocalHost::new();
    for params in [
        json!({"layer": "top"}),
        json!({"target": "loss"}),
        json!({"cells": 8}),
        json!({"tokens": "3..1"}),
        json!({"target": "margin", "tokens": "0..1"}),
        json!({"target": "margin", "per_token": true}),
    ] {
        for error in [
            host.create::<GradCam>(params.clone()).err().unwrap(),
            host.create::<GradCamPlusPlus>(params).err().unwrap(),
        ] {
            assert_eq!(error.kind, ErrorKind::Invalid);
        }
    }
}

/// Powers of two, so that the means are exact and no rounding residue is mistaken for a map.
fn sides() -> impl Strategy<Value = (usize, usize)> {
    let side = || prop::sample::select(vec![1usize, 2, 4]);
    (side(), side())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_map_is_finite_normalised_and_blind_to_the_gradients_scale(
        (rows, columns, values, gradients) in sides().prop_flat_map(|(r, c)| {
            let numbers = || prop::collection::vec(-3i8..=3, r * c * 3);
            (Just(r), Just(c), numbers(), numbers())
        }),
    ) {
        let array = |v: &[i8]| Array2::from_shape_fn((rows * columns, 3), |(i, d)| f32::from(v[i * 3 + d]));
        let heat = |scale: f32| {
            let grid = (rows as u32, columns as u32);
            let model = Fixed::new(array(&values), array(&gradients) * scale, grid);
            explain::<GradCam>(model, json!({}), &task()).unwrap()
        };
        let (found, scaled) = (heat(1.0), heat(4.0));
        let (map, scaled) = (found.heat.unwrap(), scaled.heat.unwrap());
        prop_assert_eq!(map.view().dim(), (224, 224));
        prop_assert!(map.view().iter().all(|v| (0.0..=1.0).contains(v)));
        prop_assert_eq!(map.is_zero(), !found.warnings.is_empty());
        for (a, b) in map.view().iter().zip(scaled.view()) {
            prop_assert!((a - b).abs() < 1e-5);
        }
    }
    #[test]
    fn grad_cam_plus_plus_is_its_formula(
        (rows, columns, values, gradients) in sides().prop_flat_map(|(r, c)| {
            let numbers = || prop::collection::vec(0i8..=3, r * c * 3);
            (Just(r), Just(c), numbers(), numbers())
        }),
    ) {
        let array = |v: &[i8]| Array2::from_shape_fn((rows * columns, 3), |(i, d)| f32::from(v[i * 3 + d]));
        let (h, g) = (array(&values), array(&gradients));
        let weight = |d: usize| -> f32 {
            let sum = h.column(d).sum();
            let share = |g: f32| g.powi(2) / (2.0 * g.powi(2) + sum * g.powi(3) + 1e-8) * g.max(0.0);
            g.column(d).iter().map(|&g| share(g)).sum()
        };
        let cell = |i: usize| (0..3).map(|d| weight(d) * h[(i, d)]).sum::<f32>().max(0.0);
        let grid = Array2::from_shape_fn((rows, columns), |(r, c)| cell(r * columns + c));
        // Of a grid that is constant but for its rounding nothing is to be seen.
        let spread = grid.fold(0.0f32, |m, &v| m.max(v)) - grid.fold(f32::MAX, |m, &v| m.min(v));
        prop_assume!(spread == 0.0 || spread > 1e-2);
        let model = Fixed::new(h, g, (rows as u32, columns as u32));
        let found = explain::<GradCamPlusPlus>(model, json!({}), &task()).unwrap().heat.unwrap();
        let expected = HeatMap::from_grid(grid.view()).unwrap();
        for (a, b) in found.view().iter().zip(expected.view()) {
            prop_assert!((a - b).abs() < 1e-3);
        }
    }
}
