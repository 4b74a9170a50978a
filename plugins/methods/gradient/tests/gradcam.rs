//! Grad-CAM against models whose gradients are known in closed form.

use std::sync::{Arc, Mutex};

use medfocus_method_gradient::GradCam;
use medfocus_plugin_api::{
    AnswerSpan, Attribution, AttributionMethod, Capture, ErrorKind, HeatMap, ModelInfo, Objective,
    Quantity, Result, Task, Tensor, Trace, TraceRequest, VisionLanguageModel, Want, Wrt,
    testkit::{LocalHost, ToyModel, toy_task},
};
use ndarray::{Array2, array};
use proptest::prelude::*;
use serde_json::{Value, json};

fn explain(
    model: impl VisionLanguageModel + 'static,
    params: Value,
    task: &Task,
) -> Result<Attribution> {
    let host = LocalHost::new().with_model(model);
    let found = host.create::<GradCam>(params)?.attribute(task);
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
        let found = explain(model.clone(), params, &task).unwrap();
        let heat = found.heat.unwrap();
        let error = (&heat.view() - &expected.view()).mapv(f32::abs);
        assert!(error.iter().all(|&e| e < 1e-5));
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    }
}

#[test]
fn evidence_against_the_answer_is_cut_off() {
    let model = ToyModel {
        weights: array![[-1.0, -3.0, -0.5], [-0.25, -0.5, -2.0]],
        bias: 1.0,
    };
    let found = explain(model, json!({}), &toy_task(spot()).unwrap()).unwrap();
    assert!(found.heat.unwrap().is_zero());
    assert_eq!(found.warnings.len(), 1);
    assert!(found.warnings[0].contains("no image token stands out"));
}

/// Gives a fixed trace, and remembers what it was asked.
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
        let mut trace = toy.trace(&TraceRequest {
            wants: vec![],
            objective: Objective::default(),
            ..request.clone()
        })?;
        trace.layout.grid = self.grid;
        trace.layout.image_positions = self.positions.clone();
        let capture = |&want: &Want| {
            let values = match want {
                Want::Gradient(_) => &self.gradients,
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
    explain(model.clone(), json!({}), &task()).unwrap();
    let params = json!({"layer": -2, "target": "mean_probability", "answer_span": "turn"});
    explain(model, params, &task()).unwrap();
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
    assert_eq!(asked[1].span, AnswerSpan::Turn);
}

#[test]
fn only_image_rows_count_in_a_hidden_state() {
    // Rows 0 and 3 are text with huge values; the image is rows 4, 2, 1, 5 of a 1 x 4 grid.
    let values = array![[9e9], [3.0], [2.0], [9e9], [1.0], [4.0]];
    let gradients = array![[-9e9], [1.0], [1.0], [-9e9], [1.0], [1.0]];
    let mut model = Fixed::new(values, gradients, (1, 4));
    model.positions = vec![4, 2, 1, 5];
    let heat = explain(model, json!({"layer": 1}), &task()).unwrap().heat;
    let expected = HeatMap::from_grid(array![[1.0, 2.0, 3.0, 4.0]].view()).unwrap();
    assert_eq!(heat.unwrap().view(), expected.view());
}

#[test]
fn a_zero_gradient_is_named_as_the_degenerate_case() {
    let model = Fixed::new(Array2::ones((4, 3)), Array2::zeros((4, 3)), (2, 2));
    let found = explain(model, json!({"layer": -1}), &task()).unwrap();
    assert!(found.heat.unwrap().is_zero());
    assert!(found.warnings[0].contains("gradient is zero at every image token"));
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
        (not_a_number, json!({}), "non-finite"),
    ];
    for (model, params, sentence) in cases {
        let error = explain(model, params, &task()).unwrap_err();
        assert!(error.to_string().contains(sentence), "{error}");
    }
}

#[test]
fn wrong_parameters_are_refused() {
    let host = LocalHost::new();
    for params in [
        json!({"layer": "top"}),
        json!({"target": "loss"}),
        json!({"cells": 8}),
    ] {
        let error = host.create::<GradCam>(params).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
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
            explain(model, json!({}), &task()).unwrap()
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
}
