//! Integrated gradients against a model whose gradients are known in closed form.

use std::sync::{Arc, Mutex};

use medfocus_method_gradient::IntegratedGradients;
use medfocus_plugin_api::{
    AnswerSpan, Attribution, AttributionMethod, Batch, ErrorKind, HeatMap, Letterbox, Memory,
    ModelInfo, Objective, PixelBaseline, Quantity, Result, Task, Tensor, Trace, TraceRequest,
    VisionLanguageModel, WORKING_SIDE, Want, Wrt, heat,
    testkit::{LocalHost, ToyModel, toy_task},
};
use ndarray::{Array2, Array3, Array4, Axis, Ix3, Ix4, array, s};
use proptest::prelude::*;
use serde_json::{Value, json};

const SIDE: usize = WORKING_SIDE as usize;

fn explain(
    model: impl VisionLanguageModel + 'static,
    params: Value,
    task: &Task,
) -> Result<Attribution> {
    let host = LocalHost::new().with_model(model);
    host.create::<IntegratedGradients>(params)?.attribute(task)
}

/// Cells of 112 x 56 pixels.
fn toy() -> ToyModel {
    ToyModel {
        weights: array![[2.0, -1.0, 0.5, 0.0], [3.0, 1.0, 0.0, -0.5]],
        bias: -2.0,
    }
}

fn pattern() -> Array2<u8> {
    Array2::from_shape_fn((SIDE, SIDE), |(y, x)| ((y * 7 + x * 3) % 251) as u8)
}

fn completeness(found: &Attribution, key: &str) -> f64 {
    found.evidence["completeness"][key].as_f64().unwrap()
}

#[test]
fn the_midpoint_rule_is_complete_and_the_published_one_less_so() {
    let task = toy_task(pattern()).unwrap();
    let found = explain(toy(), json!({}), &task).unwrap();
    let black = 1.0 / (1.0 + 2.0f64.exp());
    let difference = f64::from(toy().probability(&task.image)).ln() - black.ln();
    assert!((completeness(&found, "difference") - difference).abs() < 1e-5);
    assert!((completeness(&found, "sum_ig") - difference).abs() < 1e-3);
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);

    let published = json!({"rule": "published", "baseline": "zero", "steps": 24});
    let published = explain(toy(), published, &task).unwrap();
    // Zero is black in the toy's pixels.
    assert!((completeness(&published, "difference") - difference).abs() < 1e-5);
    let gap = completeness(&published, "gap");
    assert!(gap > 5.0 * completeness(&found, "gap") && gap > 1e-3);
    assert!((completeness(&published, "relative") - gap / difference.abs()).abs() < 1e-9);
}

#[test]
fn a_sum_that_is_far_off_is_warned_of() {
    // One step of the published rule is at black, where the slope is steepest.
    let steep = ToyModel::looking_at((1, 1), (0, 0), 12.0, -6.0);
    let task = toy_task(Array2::from_elem((SIDE, SIDE), 255)).unwrap();
    let params = json!({"rule": "published", "steps": 1});
    let found = explain(steep, params, &task).unwrap();
    let sum = 12.0 / (1.0 + (-6.0f64).exp());
    assert!((completeness(&found, "sum_ig") - sum).abs() < 1e-3);
    assert!((completeness(&found, "difference") - 6.0).abs() < 1e-3);
    assert!((completeness(&found, "gap") - (sum - 6.0)).abs() < 1e-3);
    let warning = found.warnings.iter().find(|w| w.contains("add up to"));
    assert!(warning.unwrap().contains("more `steps`"));
}

#[test]
fn the_map_is_the_closed_form() {
    // All pixels share the mean slope, so the heat is |x - b| times the cell's |weight|.
    let task = toy_task(pattern()).unwrap();
    let mean = task.image.view().mapv(f64::from).mean().unwrap().round();
    for (baseline, b) in [("black", 0.0), ("zero", 0.0), ("mean", mean)] {
        let found = explain(toy(), json!({"baseline": baseline}), &task).unwrap();
        let mut expected = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| {
            let way = f64::from(task.image.view()[(y, x)]) - b;
            (way.abs() as f32) * toy().weights[(y / 112, x / 56)].abs()
        });
        heat::normalise(&mut expected);
        let error = (&found.heat.unwrap().view() - &expected).mapv(f32::abs);
        assert!(error.iter().all(|&e| e < 1e-5), "{baseline}");
    }
}

#[test]
fn no_way_to_go_is_no_evidence() {
    let task = toy_task(Array2::zeros((SIDE, SIDE))).unwrap();
    let found = explain(toy(), json!({}), &task).unwrap();
    assert!(found.heat.unwrap().is_zero());
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    assert!(found.warnings[0].contains("the map is empty"));
    assert_eq!(found.evidence["completeness"]["gap"], 0.0);
    assert!(found.evidence["completeness"]["relative"].is_null());
}

type Spoil = fn(&mut Trace);

/// The toy model, which says what memory it takes, keeps what it is asked, and may spoil its answer.
#[derive(Clone)]
struct Wrapped {
    toy: ToyModel,
    memory: Option<Memory>,
    batch: Option<Batch>,
    asked: Arc<Mutex<Vec<TraceRequest>>>,
    spoil: Spoil,
}

impl Wrapped {
    fn new(spoil: Spoil) -> Self {
        Self {
            toy: toy(),
            memory: None,
            batch: None,
            asked: Arc::default(),
            spoil,
        }
    }
}

impl VisionLanguageModel for Wrapped {
    fn info(&self) -> Result<ModelInfo> {
        let mut info = self.toy.info()?;
        (info.memory, info.batch) = (self.memory, self.batch);
        Ok(info)
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        self.asked.lock().unwrap().push(request.clone());
        let mut trace = self
            .toy
            .trace(&request.clone().with_objective(Objective::default()))?;
        (self.spoil)(&mut trace);
        Ok(trace)
    }
}

#[test]
fn chunks_change_nothing_but_the_calls() {
    let task = toy_task(pattern()).unwrap();
    let run = |memory: Option<u64>, batch: Option<Batch>, mib: u32| {
        let mut model = Wrapped::new(|_| ());
        model.batch = batch;
        model.memory = memory.map(|pixel_gradient| Memory {
            score: 1,
            pixel_gradient,
        });
        let asked = model.asked.clone();
        let params = json!({"memory_mib": mib, "rule": "published", "steps": 11});
        let found = explain(model, params, &task).unwrap();
        let alphas: Vec<_> = asked
            .lock()
            .unwrap()
            .iter()
            .map(|request| request.path.clone().unwrap().alphas)
            .collect();
        let all: Vec<f64> = (0..11).map(|k| f64::from(k) / 10.0).collect();
        assert_eq!(alphas.concat(), all);
        (alphas[0].len(), found.heat.unwrap(), found.evidence)
    };
    let (chunk, heat, evidence) = run(None, None, 2048);
    assert_eq!(chunk, 4, "where nothing is known");
    let mib = |n: u64| Some(n << 20);
    // A model that keeps to its own batches returns 3 x 224 x 224 f32 for each gradient, whatever it takes to compute it.
    let own = Some(Batch {
        score: 1,
        pixel_gradient: 1,
    });
    let cases = [
        (mib(3), None, 1, 1),
        (mib(3), None, 7, 2),
        (mib(1), None, 10, 10),
        (mib(1), None, 4096, 11),
        (Some(0), None, 1, 4),
        (mib(3), own, 1, 1),
        (mib(3), own, 2, 3),
        (mib(3), own, 2048, 11),
    ];
    for (memory, batch, budget, expected) in cases {
        let (chunk, other, also) = run(memory, batch, budget);
        assert_eq!(chunk, expected);
        assert_eq!(heat.view(), other.view());
        assert_eq!(evidence, also);
    }
}

#[test]
fn what_is_asked_for_follows_the_parameters() {
    let model = Wrapped::new(|_| ());
    let asked = model.asked.clone();
    let task = toy_task(pattern()).unwrap();
    let quantities = [
        ("log_prob", Quantity::LogProb),
        ("mean_probability", Quantity::MeanProbability),
        ("margin", Quantity::Margin("Yes".into(), "No".into())),
    ];
    for (target, quantity) in quantities {
        let params =
            json!({"target": target, "answer_span": "turn", "steps": 2, "baseline": "zero"});
        explain(model.clone(), params, &task).unwrap();
        let request = asked.lock().unwrap().pop().unwrap();
        assert_eq!(
            request.objective,
            Objective {
                quantity,
                tokens: None
            }
        );
        assert_eq!(request.span, AnswerSpan::Turn);
        assert_eq!(request.wants, [Want::Gradient(Wrt::Pixels)]);
        let path = request.path.unwrap();
        assert_eq!(path.alphas, [0.25, 0.75]);
        assert!(matches!(path.baseline, PixelBaseline::NormalisedZero));
    }
}

#[test]
fn the_padding_is_on_no_line() {
    // A portrait: 56 columns of padding on each side.
    let mut task = toy_task(Array2::from_elem((SIDE, SIDE), 9)).unwrap();
    task.letterbox = Letterbox::new(500, 1000, WORKING_SIDE).unwrap();
    for baseline in ["black", "mean", "blur"] {
        let model = Wrapped::new(|_| ());
        let asked = model.asked.clone();
        explain(model, json!({"baseline": baseline, "steps": 1}), &task).unwrap();
        let request = asked.lock().unwrap().pop().unwrap();
        let PixelBaseline::Image(image) = request.path.unwrap().baseline else {
            panic!("{baseline} is an image");
        };
        let inside = if baseline == "black" { 0 } else { 9 };
        for ((_, x), &pixel) in image.view().indexed_iter() {
            assert_eq!(pixel, if (56..168).contains(&x) { inside } else { 9 });
        }
    }
}

#[test]
fn each_token_has_a_map_of_its_own() {
    let model = Wrapped::new(|_| ());
    let asked = model.asked.clone();
    let task = toy_task(pattern()).unwrap();
    let found = explain(model, json!({"per_token": true, "steps": 8}), &task).unwrap();
    let maps = found.token_heat.unwrap();
    let maps = maps.view_nd::<f32, Ix3>().unwrap();
    assert_eq!(maps.dim(), (1, SIDE, SIDE));
    assert_eq!(maps.index_axis(Axis(0), 0), found.heat.unwrap().view());
    let tokens: Vec<_> = asked
        .lock()
        .unwrap()
        .iter()
        .map(|request| request.objective.tokens.clone())
        .collect();
    assert_eq!(tokens, [None, None, Some(0..1), Some(0..1)]);
}

#[test]
fn a_map_of_another_size_is_brought_to_the_working_image() {
    // The model sees each pixel as 2 x 2, as one of 448 would.
    fn double(tensor: &Tensor) -> Tensor {
        let small = tensor.view_nd::<f32, Ix3>().unwrap();
        let shape = (3, 2 * SIDE, 2 * SIDE);
        Tensor::from_array(Array3::from_shape_fn(shape, |(c, y, x)| {
            small[(c, y / 2, x / 2)]
        }))
    }
    fn enlarge(trace: &mut Trace) {
        trace.pixel_values = double(&trace.pixel_values);
        trace.baseline_values = trace.baseline_values.as_ref().map(double);
        for capture in &mut trace.captures {
            let small = capture.tensor.view_nd::<f32, Ix4>().unwrap();
            let shape = (small.len_of(Axis(0)), 3, 2 * SIDE, 2 * SIDE);
            let large =
                Array4::from_shape_fn(shape, |(a, c, y, x)| small[(a, c, y / 2, x / 2)] / 4.0);
            capture.tensor = Tensor::from_array(large);
        }
    }
    let task = toy_task(pattern()).unwrap();
    let params = json!({"steps": 4});
    let same = explain(toy(), params.clone(), &task).unwrap();
    let large = explain(Wrapped::new(enlarge), params, &task).unwrap();
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    assert!(near(
        completeness(&same, "sum_ig"),
        completeness(&large, "sum_ig")
    ));
    let maps: [HeatMap; 2] = [same, large].map(|found| found.heat.unwrap());
    for (a, b) in maps[0].view().iter().zip(maps[1].view()) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn traces_that_contradict_themselves_are_refused() {
    let task = toy_task(pattern()).unwrap();
    let cases: [(Spoil, &str); 5] = [
        (|trace| trace.captures.clear(), "did not give it"),
        (
            |trace| trace.baseline_values = None,
            "did not say where it began",
        ),
        (
            |trace| trace.baseline_objective = None,
            "did not say where it began",
        ),
        (
            |trace| trace.pixel_values = Tensor::from_array(Array3::<f32>::zeros((3, 4, 4))),
            "a baseline of shape",
        ),
        (
            |trace| {
                let few = Array4::<f32>::zeros((1, 3, SIDE, SIDE));
                trace.captures[0].tensor = Tensor::from_array(few);
            },
            "at 4 inputs",
        ),
    ];
    for (spoil, sentence) in cases {
        let error = explain(Wrapped::new(spoil), json!({}), &task).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.to_string().contains(sentence), "{error}");
    }
    let not_a_number: Spoil = |trace| {
        let nan = Array4::from_elem((4, 3, SIDE, SIDE), f32::NAN);
        trace.captures[0].tensor = Tensor::from_array(nan);
    };
    let error = explain(Wrapped::new(not_a_number), json!({}), &task).unwrap_err();
    assert!(error.to_string().contains("are not numbers"), "{error}");
}

#[test]
fn it_stops_between_traces() {
    struct Impatient(LocalHost);
    impl VisionLanguageModel for Impatient {
        fn info(&self) -> Result<ModelInfo> {
            toy().info()
        }
        fn trace(&self, request: &TraceRequest) -> Result<Trace> {
            if self.0.calls("model.trace") == 2 {
                self.0.cancel();
            }
            toy().trace(request)
        }
    }
    let host = LocalHost::new();
    let host = host.clone().with_model(Impatient(host));
    let method = host.create::<IntegratedGradients>(json!({})).unwrap();
    let error = method.attribute(&toy_task(pattern()).unwrap()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert_eq!(host.calls("model.trace"), 2);
}

#[test]
fn wrong_parameters_are_refused() {
    let host = LocalHost::new();
    for params in [
        json!({"steps": 0}),
        json!({"rule": "simpson"}),
        json!({"baseline": "white"}),
        json!({"memory_mib": 0}),
        json!({"target": "margin", "per_token": true}),
    ] {
        let error = host.create::<IntegratedGradients>(params).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn the_midpoint_rule_is_complete_on_any_image(
        weights in prop::collection::vec(-4.0f32..4.0, 4),
        bias in -2.0f32..2.0,
        grey in prop::collection::vec(any::<u8>(), 16),
        baseline in prop::sample::select(vec!["black", "mean", "blur", "zero"]),
    ) {
        let weights = Array2::from_shape_vec((2, 2), weights).unwrap();
        let mut pixels = Array2::zeros((SIDE, SIDE));
        for (i, &g) in grey.iter().enumerate() {
            let (y, x) = (i / 4 * 56, i % 4 * 56);
            pixels.slice_mut(s![y..y + 56, x..x + 56]).fill(g);
        }
        let params = json!({"baseline": baseline});
        let found = explain(ToyModel { weights, bias }, params, &toy_task(pixels).unwrap()).unwrap();
        prop_assert!(completeness(&found, "gap") < 1e-3);
        prop_assert!(found.heat.unwrap().view().iter().all(|v| (0.0..=1.0).contains(v)));
    }
}
