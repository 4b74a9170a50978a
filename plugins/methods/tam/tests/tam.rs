//! Token activation maps of a model whose logits are given.

use medfocus_method_tam::{Tam, rank_gaussian};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, Capture, ErrorKind, HeatMap, Layout, ModelInfo, Result, Tensor,
    Token, Trace, TraceRequest, VisionLanguageModel, Want,
    testkit::{LocalHost, ToyModel, toy_task},
};
use ndarray::{Array1, Array2, Array3, Ix3, array};
use serde_json::{Value, json};

/// Begin, four image tokens in 2 x 2, two words of the prompt, two of the answer.
const IDS: [u32; 9] = [1, 9, 9, 9, 9, 20, 21, 30, 31];
const IMAGE: usize = 1;
const PROMPT: usize = 5;
const ANSWER: usize = 7;

/// What is done to a trace before it is given away.
type Spoil = fn(&mut Trace);

#[derive(Clone)]
struct Given {
    ids: Vec<u32>,
    /// Row k, column p: the logit of token k at position p.
    logits: Array2<f32>,
    spoil: Spoil,
}

impl Given {
    fn new() -> Self {
        Self {
            ids: IDS.to_vec(),
            logits: Array2::zeros((IDS.len(), IDS.len())),
            spoil: |_| (),
        }
    }

    /// Gives a token these logits at the image.
    fn at_image(mut self, token: usize, logits: [f32; 4]) -> Self {
        for (i, logit) in logits.into_iter().enumerate() {
            self.logits[(token, IMAGE + i)] = logit;
        }
        self
    }

    /// Gives a token this logit at a position.
    fn at(mut self, token: usize, position: usize, logit: f32) -> Self {
        self.logits[(token, position)] = logit;
        self
    }
}

impl VisionLanguageModel for Given {
    fn info(&self) -> Result<ModelInfo> {
        ToyModel::looking_at((2, 2), (0, 0), 1.0, 0.0).info()
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        assert_eq!(request.wants, [Want::Logits]);
        let token = |&id: &u32| Token {
            id,
            text: id.to_string(),
        };
        let mut trace = Trace::new(
            Layout::new(
                self.ids.clone(),
                (IMAGE..PROMPT).collect(),
                (2, 2),
                ANSWER..self.ids.len(),
                self.ids[ANSWER..].iter().map(token).collect(),
            ),
            vec![Capture {
                want: Want::Logits,
                tensor: Tensor::from_array(self.logits.clone()),
            }],
            Tensor::from_array(Array1::<f32>::zeros(self.ids.len() - ANSWER)),
            0.0,
            Tensor::from_array(Array3::<f32>::zeros((3, 1, 1))),
        );
        (self.spoil)(&mut trace);
        Ok(trace)
    }
}

fn explain(model: Given, params: Value) -> Result<Attribution> {
    let host = LocalHost::new().with_model(model);
    let task = toy_task(Array2::zeros((224, 224))).unwrap();
    let found = host.create::<Tam>(params).unwrap().attribute(&task);
    assert_eq!(host.calls("model.trace"), 1);
    found
}

fn map(model: Given, params: Value) -> HeatMap {
    explain(model, params).unwrap().heat.unwrap()
}

/// The map of values that are already between 0 and 1 together with the text's.
fn filtered(grid: Array2<f64>) -> HeatMap {
    HeatMap::from_grid(rank_gaussian(grid.view()).mapv(|v| v as f32).view()).unwrap()
}

fn near(a: &HeatMap, b: &HeatMap) -> bool {
    let mut pairs = a.view().into_iter().zip(b.view());
    pairs.all(|(a, b)| (a - b).abs() < 1e-5)
}

const FIRST: fn() -> Value = || json!({"tokens": "0..1"});

#[test]
fn without_earlier_activations_the_map_is_the_filtered_logits() {
    // Below zero a logit does not count; the text is silent, so its zeros only widen the range.
    let model = Given::new().at_image(ANSWER, [0.0, -3.0, 1.0, 2.0]);
    let found = explain(model, FIRST()).unwrap();
    let expected = filtered(array![[0.0, 0.0], [0.5, 1.0]]);
    assert!(near(found.heat.as_ref().unwrap(), &expected));
    assert_eq!(found.evidence["interference_scales"], json!([0.0]));
}

#[test]
fn what_an_earlier_token_explains_is_taken_off() {
    let model = Given::new()
        .at_image(ANSWER, [2.0, 0.0, 0.0, 3.0])
        .at_image(PROMPT, [1.0, 0.0, 0.0, 0.0])
        .at(ANSWER, PROMPT, 4.0);
    // s = 2 takes off all of the first; the text's 4 is the top of the range.
    let found = explain(model, FIRST()).unwrap();
    assert!(near(
        found.heat.as_ref().unwrap(),
        &filtered(array![[0.0, 0.0], [0.0, 0.75]])
    ));
    let scale = found.evidence["interference_scales"][0].as_f64().unwrap();
    assert!((scale - 2.0).abs() < 1e-6);
}

#[test]
fn a_token_does_not_interfere_with_itself() {
    let mut model = Given::new()
        .at_image(ANSWER, [2.0, 0.0, 0.0, 3.0])
        .at_image(PROMPT, [2.0, 0.0, 0.0, 3.0])
        .at(ANSWER, PROMPT, 1.0);
    let other = explain(model.clone(), FIRST()).unwrap();
    assert!(other.heat.unwrap().is_zero());
    assert!(other.warnings[0].contains("the map is empty"));
    model.ids[PROMPT] = model.ids[ANSWER];
    assert!(!map(model, FIRST()).is_zero());
}

#[test]
fn an_answers_token_is_read_where_it_is_predicted() {
    let second = ANSWER + 1;
    let model = |place| {
        Given::new()
            .at_image(second, [2.0, 0.0, 0.0, 3.0])
            .at_image(ANSWER, [2.0, 0.0, 0.0, 0.0])
            .at(second, place, 1.0)
    };
    let params = || json!({"tokens": "1..2"});
    // The first token of the answer is predicted by the last of the prompt, which is silent and takes half the weight.
    let scale = |place| {
        let found = explain(model(place), params()).unwrap();
        found.evidence["interference_scales"][0].as_f64().unwrap()
    };
    assert_eq!(scale(ANSWER), 0.0);
    assert!((scale(ANSWER - 1) - 2.0).abs() < 1e-6);
}

#[test]
fn an_answer_is_the_mean_of_its_tokens() {
    let model = Given::new()
        .at_image(ANSWER, [1.0, 0.0, 0.0, 0.0])
        .at_image(ANSWER + 1, [0.0, 0.0, 0.0, 7.0]);
    let found = explain(model.clone(), json!({"per_token": true})).unwrap();
    let [a, b] = [
        array![[1.0, 0.0], [0.0, 0.0]],
        array![[0.0, 0.0], [0.0, 1.0]],
    ]
    .map(|grid| rank_gaussian(grid.view()));
    let mean = ((a + b) / 2.0).mapv(|v| v as f32);
    let expected = HeatMap::from_grid(mean.view()).unwrap();
    assert!(near(found.heat.as_ref().unwrap(), &expected));
    let tokens = found.token_heat.unwrap();
    let tokens = tokens.view_nd::<f32, Ix3>().unwrap();
    assert_eq!(tokens.dim(), (2, 224, 224));
    let one = map(model, json!({"tokens": "1..2"}));
    assert!(tokens.outer_iter().nth(1).unwrap() == one.view());
}

#[test]
fn traces_that_contradict_themselves_are_refused() {
    let cases: [(Spoil, &str); 6] = [
        (|t| t.captures.clear(), "did not give it"),
        (
            |t| t.layout.grid = (3, 2),
            "4 image tokens for a grid of 3 x 2",
        ),
        (|t| t.layout.image_positions[0] = 9, "in a sequence of 9"),
        (|t| t.layout.answer = 4..6, "the answer at 4 to 6"),
        (|t| t.layout.answer = 8..10, "the answer at 8 to 10"),
        (
            |t| t.captures[0].tensor = Tensor::from_array(Array2::<f32>::zeros((9, 8))),
            "the shape [9, 8], not [9, 9]",
        ),
    ];
    for (spoil, sentence) in cases {
        let error = explain(
            Given {
                spoil,
                ..Given::new()
            },
            json!({}),
        )
        .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains(sentence), "{error}");
    }
    let beyond = explain(Given::new(), json!({"tokens": "1..3"})).unwrap_err();
    assert!(beyond.to_string().contains("the answer has 2"), "{beyond}");
}
