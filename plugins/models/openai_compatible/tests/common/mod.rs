//! A closed-form model on a server, and what is asked of it.

use medfocus_model_openai_compatible::model::OpenAiCompatible;
use medfocus_model_server::{Plan, Server};
use medfocus_plugin_api::{
    Error, GenerateRequest, GrayImage, Result, ScoreRequest,
    testkit::{LocalHost, ToyModel},
};
use ndarray::Array2;
use serde_json::{Value, json};

pub const QUESTION: &str = "Is there a bright spot?";

/// Says yes to images that are bright in one cell of 8 x 8.
pub fn toy() -> ToyModel {
    ToyModel::looking_at((8, 8), (2, 5), 6.0, -2.0)
}

pub fn plan() -> Plan {
    Plan::of(toy())
}

/// A grey image, brighter in the cell that the toy looks at.
pub fn image(spot: u8) -> GrayImage {
    let inside = |y: usize, x: usize| y / 28 == 2 && x / 28 == 5;
    let pixel = |(y, x)| if inside(y, x) { spot } else { 20 };
    GrayImage::from_array(Array2::from_shape_fn((224, 224), pixel)).unwrap()
}

/// Parameters for a server, with others over them.
pub fn params(server: &Server, more: Value) -> Value {
    let mut params =
        json!({"url": server.url(), "model": "local", "retries": 0, "timeout_seconds": 10});
    params
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    params
}

pub fn made(server: &Server, more: Value) -> Result<OpenAiCompatible> {
    LocalHost::new().create(params(server, more))
}

/// What keeps it from being made.
pub fn refused(server: &Server, more: Value) -> Error {
    made(server, more).err().expect("it must be refused")
}

pub fn score(images: Vec<GrayImage>, answer: &str) -> ScoreRequest {
    ScoreRequest::new(images, QUESTION, answer)
}

pub fn generate(spot: u8) -> GenerateRequest {
    GenerateRequest::new(image(spot), QUESTION, 8)
}
