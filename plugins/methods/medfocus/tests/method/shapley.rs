//! Shapley values of the concepts, against a model that reads one cell: all concepts that hold it are needed together.

use medfocus_method_medfocus::{ConceptShapley, ConceptShapleyParams};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, BBox, Component, Context, Error, ErrorKind, Params, Task,
    Working,
    testkit::{LocalHost, ToyModel},
};
use serde_json::{Value, json};

use crate::host::{WithPool, boxes_of, concept, number, pool, task};

/// What the model reads.
fn cell() -> BBox<Working> {
    BBox::new(48, 96, 64, 112).unwrap()
}

/// A model that reads it.
fn host(weight: f32, bias: f32) -> LocalHost {
    let model = ToyModel::looking_at((14, 14), (6, 3), weight, bias);
    LocalHost::new().with_model(model).with_dataset(pool())
}

fn spot() -> Task {
    let mut task = task();
    task.image = task.image.with_filled(&cell(), 255);
    task
}

fn shapley(host: &LocalHost, params: Value) -> ConceptShapley {
    let params = ConceptShapleyParams::from_json(params.as_object().unwrap().clone()).unwrap();
    ConceptShapley::new(params, Context::new(WithPool(host.clone()))).unwrap()
}

fn concepts(found: &Attribution) -> &Vec<Value> {
    found.evidence["concepts"].as_array().unwrap()
}

#[test]
fn concepts_that_are_needed_together_share_the_effect() {
    let found = shapley(&host(12.0, -2.0), json!({"orders": 0}))
        .attribute(&spot())
        .unwrap();
    let holds = |concept: &&Value| {
        let [bbox] = boxes_of(&concept["boxes"])[..] else {
            panic!("a concept has a box")
        };
        let both = bbox.intersection(&cell()).map_or(0, |both| both.area());
        assert!(both == 0 || both == cell().area(), "{concept}: {both}");
        both > 0
    };
    let effect = number(&found.evidence["all"]) - number(&found.evidence["none"]);
    let holding = concepts(&found).iter().filter(holds).count();
    assert!(holding >= 1 && effect > 0.1, "{holding} {effect}");
    for concept in concepts(&found) {
        let own = if holds(&concept) {
            effect / holding as f64
        } else {
            0.0
        };
        assert!((number(&concept["delta"]) - own).abs() < 1e-6, "{concept}");
        let last = if holds(&concept) { effect } else { 0.0 };
        assert!((number(&concept["last_in"]) - last).abs() < 1e-6);
    }
    let winner = found.evidence["winner"].as_str().unwrap();
    let boxes = found.boxes.as_ref().unwrap();
    assert_eq!(boxes[0].label.as_deref(), Some(winner));
    assert_eq!(number(&concept(&found, winner)["delta"]), boxes[0].score);
}

#[test]
fn drawn_orders_share_it_out_and_depend_on_the_seed_alone() {
    let method = shapley(&host(12.0, -2.0), json!({"orders": 3}));
    let found = method.attribute(&spot()).unwrap();
    let effect = number(&found.evidence["all"]) - number(&found.evidence["none"]);
    let sum: f64 = concepts(&found).iter().map(|c| number(&c["delta"])).sum();
    assert!((sum - effect).abs() < 1e-6, "{sum} {effect}");
    let count = concepts(&found).len() as f64;
    assert!(number(&found.evidence["images_scored"]) <= 2.0 + 5.0 * count);
    let again = method.attribute(&spot()).unwrap();
    assert_eq!((again.boxes, again.evidence), (found.boxes, found.evidence));
}

#[test]
fn without_a_positive_value_there_is_no_box() {
    // The answer is likelier without the spot.
    let method = shapley(&host(-12.0, 2.0), json!({"orders": 2}));
    let found = method.attribute(&spot()).unwrap();
    assert!(found.boxes.unwrap().is_empty() && found.mask.is_none());
    assert_eq!(found.evidence["winner"], Value::Null);
}

#[test]
fn it_stops_when_asked() {
    let host = host(12.0, -2.0);
    host.cancel();
    let stopped = shapley(&host, json!({})).attribute(&spot());
    assert!(matches!(
        stopped,
        Err(Error {
            kind: ErrorKind::Cancelled,
            ..
        })
    ));
}
