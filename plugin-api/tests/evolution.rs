//! Messages between an older and a newer version of this crate, and answers that are no answers.

use medfocus_plugin_api::{
    AttentionKind, Caller, Client, Coordinates, ErrorKind, GenerateEachRequest, GenerateRequest,
    Generation, Message, ModelInfo, Objective, Quantity, Result, ScoreRequest, Scores, Tensor,
    Trace, TraceRequest, VisionLanguageModel, Want,
    protocol::model,
    testkit::{LocalHost, ToyModel, toy_task},
};
use ndarray::{Array2, arr2};
use serde_json::{Value, json};

/// A component of a later version, which writes more than this one knows.
struct Later;

impl Caller for Later {
    fn call(&self, _: &str, _: Message) -> Result<Message> {
        let mut info = serde_json::to_value(ModelInfo::new("later", "d")).unwrap();
        info["coordinates"] = json!("xyxy_thousand");
        info["layers"] = json!(["full", {"chunked": {"size": 8}}, {"sliding": 4}, "linear"]);
        info["mood"] = json!({"good": true});
        Message::pack(&info)
    }
}

#[test]
fn what_a_later_version_adds_is_unknown_and_the_rest_is_read() {
    let info = Client::new(Later);
    let info = VisionLanguageModel::info(&info).unwrap();
    assert_eq!(info.family, "later");
    assert_eq!(info.coordinates, Coordinates::Unknown);
    let layers = [
        AttentionKind::Full,
        AttentionKind::Unknown,
        AttentionKind::Sliding(4),
        AttentionKind::Unknown,
    ];
    assert_eq!(info.layers, layers);
}

#[test]
fn names_on_the_wire_stay() {
    let text = |value: Value| value.to_string();
    let written = [
        text(json!([Coordinates::YxyxThousand, Coordinates::XyxyPixels])),
        text(json!([AttentionKind::Full, AttentionKind::Sliding(4)])),
        text(json!([
            Quantity::LogProb,
            Quantity::MeanProbability,
            Quantity::Logit,
            Quantity::Margin("a".into(), "b".into())
        ])),
    ];
    assert_eq!(
        written,
        [
            r#"["yxyx_thousand","xyxy_pixels"]"#,
            r#"["full",{"sliding":4}]"#,
            r#"["log_prob","mean_probability","logit",{"margin":["a","b"]}]"#
        ]
    );
}

fn trace_of(quantity: Quantity) -> TraceRequest {
    let task = toy_task(Array2::from_elem((224, 224), 9)).unwrap();
    TraceRequest::new(task.image, "?", "Yes", vec![Want::Features]).with_objective(Objective {
        quantity,
        tokens: None,
    })
}

#[test]
fn a_quantity_of_a_later_version_refuses_that_call_alone() {
    let mut request = serde_json::to_value(Objective::default()).unwrap();
    request["quantity"] = json!({"entropy": [1, 2]});
    let objective: Objective = serde_json::from_value(request).unwrap();
    let host = LocalHost::new().with_model(ToyModel::looking_at((8, 8), (2, 5), 6.0, -2.0));
    let context = host.context();
    let error = context
        .model()
        .trace(&trace_of(objective.quantity))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.to_string().contains("does not know"), "{error}");
    assert!(context.model().trace(&trace_of(Quantity::LogProb)).is_ok());
}

/// Answers with one value in every place.
struct Constant(f32);

impl VisionLanguageModel for Constant {
    fn info(&self) -> Result<ModelInfo> {
        Ok(ModelInfo::new("constant", self.0.to_string()))
    }

    fn generate(&self, _: &GenerateRequest) -> Result<Generation> {
        Ok(Generation::new("Yes", vec![], vec![self.0], true))
    }

    fn score(&self, _: &ScoreRequest) -> Result<Scores> {
        Ok(Scores::new(vec![], Tensor::from_array(arr2(&[[self.0]]))))
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        let mut trace = ToyModel::looking_at((8, 8), (2, 5), 6.0, -2.0).trace(request)?;
        trace.captures[0].tensor = Tensor::from_array(arr2(&[[1.0, self.0]]));
        Ok(trace)
    }
}

#[test]
fn what_a_model_computes_must_be_numbers() {
    let image = toy_task(Array2::zeros((224, 224))).unwrap().image;
    let asked = |value: f32| {
        let host = LocalHost::new().with_model(Constant(value));
        let model = host.context();
        let model = model.model();
        let generate = model.generate(&GenerateRequest::new(image.clone(), "?", 1));
        let score = model.score(&ScoreRequest::new(vec![image.clone()], "?", "Yes"));
        let trace = model.trace(&trace_of(Quantity::LogProb));
        [generate.err(), score.err(), trace.err()]
            .map(|error| error.map_or(String::new(), |error| error.to_string()))
    };
    for value in [f32::NAN, f32::INFINITY] {
        let [generate, score, trace] = asked(value);
        let sentence = "the model's log-probabilities are not numbers (NaN or infinite)";
        assert!(generate.starts_with(sentence), "{generate}");
        assert!(score.starts_with(sentence), "{score}");
        let sentence = "the model's values of features are not numbers";
        assert!(trace.starts_with(sentence), "{trace}");
    }
    assert_eq!(asked(-1.0), ["", "", ""]);
    // The logarithm of probability 0, which a tensor holds and JSON does not.
    let [generate, score, trace] = asked(f32::NEG_INFINITY);
    assert!(!generate.is_empty() && score.is_empty() && !trace.is_empty());
}

/// A model of an earlier version, which knows one image at a time.
struct Earlier(ToyModel);

impl Caller for Earlier {
    fn call(&self, op: &str, message: Message) -> Result<Message> {
        let known = [model::INFO, model::GENERATE, model::SCORE, model::TRACE];
        let op = known.into_iter().find(|known| *known == op);
        model::serve(&self.0, op.unwrap_or("unknown"), message)
    }
}

#[test]
fn an_earlier_model_is_asked_about_one_image_after_the_other() {
    let toy = ToyModel::looking_at((8, 8), (2, 5), 6.0, -2.0);
    let images = [0, 200, 50].map(|grey| {
        let pixels = Array2::from_elem((224, 224), grey);
        toy_task(pixels).unwrap().image
    });
    let request = GenerateEachRequest::new(images.to_vec(), "?", 1);
    let answers = Client::new(Earlier(toy.clone()))
        .generate_each(&request)
        .unwrap();
    let alone = images.map(|image| toy.generate(&GenerateRequest::new(image, "?", 1)).unwrap());
    assert_eq!(answers, alone);
    assert_eq!(toy.generate_each(&request).unwrap(), alone);
}

/// A model that answers about fewer images than it is asked.
struct Short;

impl Caller for Short {
    fn call(&self, _: &str, _: Message) -> Result<Message> {
        Message::pack(&[Generation::new("Yes", vec![], vec![], true)])
    }
}

#[test]
fn every_image_has_an_answer() {
    let image = toy_task(Array2::zeros((224, 224))).unwrap().image;
    let request = GenerateEachRequest::new(vec![image.clone(), image], "?", 1);
    let error = Client::new(Short).generate_each(&request).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model answered 1 times about 2 images"
    );
}

#[test]
fn operations_that_a_model_does_not_know_are_refused() {
    let model = ToyModel::looking_at((8, 8), (2, 5), 6.0, -2.0);
    let message = Message::pack(&()).unwrap();
    let error = model::serve(&model, "dream", message).unwrap_err();
    assert!(error.to_string().contains("`dream`"), "{error}");
}
