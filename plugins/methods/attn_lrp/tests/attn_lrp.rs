//! AttnLRP on a model whose relevance is known; how a network hands it down is tested with the models.

use medfocus_method_attn_lrp::{AttnLrp, AttnLrpParams};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, ErrorKind, HeatMap, ModelInfo, Objective,
    Quantity, Result, Tensor, Trace, TraceRequest, VisionLanguageModel, Want,
    testkit::{LocalHost, ToyModel, conformance, toy_task},
};
use ndarray::{Array1, Array2, array};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

#[test]
fn attn_lrp_conforms() {
    conformance::method::<AttnLrp>(AttnLrpParams::default()).assert();
}

/// What is done to a trace before it is given away.
type Spoil = fn(&mut Trace);

/// The toy, remembering what it was asked.
#[derive(Clone)]
struct Asked {
    toy: ToyModel,
    asked: Arc<Mutex<Vec<TraceRequest>>>,
    spoil: Spoil,
}

impl Asked {
    fn new(weights: Array2<f32>) -> Self {
        Self {
            toy: ToyModel {
                weights,
                bias: -0.5,
            },
            asked: Arc::default(),
            spoil: |_| (),
        }
    }

    fn explain(&self, params: Value) -> Result<Attribution> {
        let host = LocalHost::new().with_model(self.clone());
        let task = toy_task(Array2::from_elem((224, 224), 255)).unwrap();
        host.create::<AttnLrp>(params)?.attribute(&task)
    }
}

impl VisionLanguageModel for Asked {
    fn info(&self) -> Result<ModelInfo> {
        self.toy.info()
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        self.asked.lock().unwrap().push(request.clone());
        let mut request = request.clone();
        if matches!(request.objective.quantity, Quantity::Margin(..)) {
            request.objective = Objective::default();
        }
        let mut trace = self.toy.trace(&request)?;
        (self.spoil)(&mut trace);
        Ok(trace)
    }
}

/// On a white image each cell's logit is its weight, and so is its relevance.
fn model() -> Asked {
    Asked::new(array![[1.0, -2.0, 0.5], [0.0, 3.0, 0.25]])
}

#[test]
fn the_map_is_what_speaks_for_the_logit() {
    let found = model().explain(json!({"signed": true})).unwrap();
    let positive = array![[1.0f32, 0.0, 0.5], [0.0, 3.0, 0.25]];
    let expected = HeatMap::from_grid(positive.view()).unwrap();
    assert_eq!(found.heat.unwrap().view(), expected.view());
    let evidence = found.evidence;
    assert_eq!(
        evidence["relevance"],
        json!([1.0, -2.0, 0.5, 0.0, 3.0, 0.25])
    );
    let number = |name: &str| evidence[name].as_f64().unwrap();
    assert!((number("image_relevance") - 2.75).abs() < 1e-6);
    assert!((number("objective") - 2.25).abs() < 1e-6);
    assert_eq!(number("text_relevance"), 0.0);
    assert!((number("unaccounted") + 0.5).abs() < 1e-6, "the bias");
}

#[test]
fn rule_and_target_are_asked_of_the_model() {
    let model = model();
    let found = model.explain(json!({"per_token": true})).unwrap();
    assert!(!found.evidence.contains_key("relevance"));
    assert_eq!(found.token_heat.unwrap().shape(), [1, 224, 224]);
    model
        .explain(json!({"attention": "cp_lrp", "target": "margin"}))
        .unwrap();
    model.explain(json!({"target": "log_prob"})).unwrap();
    let asked = model.asked.lock().unwrap();
    let written: Vec<Vec<String>> = (asked.iter())
        .map(|request| request.wants.iter().map(Want::to_string).collect())
        .collect();
    let plain = ["relevance:features", "relevance:hidden:0"];
    assert_eq!(written[0], plain);
    assert_eq!(written[2], plain.map(|want| format!("{want}:cp_lrp")));
    assert_eq!(asked[0].objective.quantity, Quantity::Logit);
    assert_eq!(asked[1].objective.tokens, Some(0..1));
    let words = Quantity::Margin("Yes".into(), "No".into());
    assert_eq!(asked[2].objective.quantity, words);
    assert_eq!(asked[3].objective.quantity, Quantity::LogProb);
}

#[test]
fn an_answer_that_nothing_speaks_for_has_an_empty_map() {
    let found = Asked::new(array![[-1.0, -2.0]]).explain(json!({})).unwrap();
    assert!(found.heat.unwrap().is_zero());
    assert!(found.warnings[0].contains("the map is empty"));
}

#[test]
fn its_patent_is_said_wherever_it_is_listed() {
    assert!(AttnLrp::SUMMARY.contains("free of charge for personal and scientific purposes only"));
    assert!(AttnLrp::SLOTS[0].abilities.contains(&Ability::Relevance));
}

#[test]
fn what_cannot_be_is_refused() {
    for params in [
        json!({"per_token": true, "target": "margin"}),
        json!({"attention": "lrp"}),
        json!({"level": "pixels"}),
    ] {
        let error = model().explain(params).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    }
    let cases: [(Spoil, &str); 3] = [
        (|t| t.captures.clear(), "did not give it"),
        (
            |t| t.captures[0].tensor = Tensor::from_array(Array1::<f32>::zeros(4)),
            "for 4 tokens, not 6",
        ),
        (
            |t| t.layout.grid = (2, 2),
            "6 image tokens for a grid of 2 x 2",
        ),
    ];
    for (spoil, sentence) in cases {
        let error = Asked { spoil, ..model() }.explain(json!({})).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains(sentence), "{error}");
    }
}
