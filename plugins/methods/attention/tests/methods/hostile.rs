//! Traces that contradict themselves, for all methods.

use medfocus_method_attention::{
    AttentionHead, AttentionRollout, CheferRollout, GradWeightedAttention, Lrp,
};
use medfocus_plugin_api::{
    AttentionKind, AttributionMethod, Component, ErrorKind, Tensor, Trace, testkit::LocalHost,
};
use ndarray::{Array, ArrayD, IxDyn};
use serde_json::{Value, json};

use crate::{explain, random, task};

fn refused<M: Component + AttributionMethod>(params: Value, spoil: fn(&mut Trace), sentence: &str) {
    let mut model = random(1, &[AttentionKind::Full; 2], 2, (2, 3), 2);
    explain::<M>(model.clone(), params.clone()).expect("what is spoilt was sound");
    model.spoil = spoil;
    let error = explain::<M>(model, params).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    let text = error.to_string();
    assert!(text.contains(sentence), "{} says: {text}", M::NAME);
    assert!(text.len() < 200 && !text.contains('\n'), "one sentence");
}

fn refused_by_all(spoil: fn(&mut Trace), sentence: &str) {
    refused::<AttentionHead>(json!({}), spoil, sentence);
    refused::<AttentionHead>(json!({"head": 1}), spoil, sentence);
    refused::<AttentionRollout>(json!({}), spoil, sentence);
    refused::<Lrp>(json!({}), spoil, sentence);
    refused::<GradWeightedAttention>(json!({}), spoil, sentence);
    refused::<CheferRollout>(json!({}), spoil, sentence);
}

/// Puts another array in place of the last capture.
fn replace(trace: &mut Trace, change: fn(ArrayD<f32>) -> ArrayD<f32>) {
    let last = trace.captures.last_mut().unwrap();
    let values = last.tensor.view::<f32>().unwrap().to_owned();
    last.tensor = Tensor::from_array(change(values));
}

/// The shape with its last axes changed.
fn zeros(like: &ArrayD<f32>, rows: usize, columns: usize) -> ArrayD<f32> {
    let mut shape = like.shape().to_vec();
    let rank = shape.len();
    shape[rank - 2] += rows;
    shape[rank - 1] += columns;
    Array::zeros(IxDyn(&shape))
}

#[test]
fn layouts_that_contradict_themselves_are_refused() {
    refused_by_all(
        |t| t.layout.grid = (2, 2),
        "6 image tokens for a grid of 2 x 2",
    );
    refused_by_all(
        |t| t.layout.grid = (u32::MAX, u32::MAX),
        "6 image tokens for a grid of",
    );
    refused_by_all(
        |t| {
            t.layout.grid = (0, 7);
            t.layout.image_positions.clear();
        },
        "0 image tokens",
    );
    refused_by_all(
        |t| t.layout.image_positions[3] = 13,
        "an image token at 13 of a sequence of 13",
    );
    refused_by_all(|t| t.layout.answer = 0..2, "the answer at 0 to 2");
    refused_by_all(|t| t.layout.answer = 9..9, "the answer at 9 to 9");
    #[expect(clippy::reversed_empty_ranges, reason = "a hostile answer")]
    refused_by_all(|t| t.layout.answer = 9..3, "the answer at 9 to 3");
    refused_by_all(|t| t.layout.answer = 9..14, "9 to 14 of a sequence of 13");
    refused_by_all(|t| t.layout.answer = 9..usize::MAX, "of a sequence of 13");
}

#[test]
fn maps_that_do_not_fit_the_sequence_are_refused() {
    refused_by_all(|t| t.captures.clear(), "did not give it");
    refused_by_all(|t| replace(t, |map| zeros(&map, 1, 0)), "14, 13]");
    refused_by_all(|t| replace(t, |map| zeros(&map, 1, 1)), "14, 14]");
    refused_by_all(
        |t| replace(t, |map| zeros(&map, 0, 0).insert_axis(ndarray::Axis(0))),
        "13, 13]",
    );
    let last = |t: &mut Trace| {
        let last = t.captures.last_mut().unwrap();
        let shape = IxDyn(last.tensor.shape());
        last.tensor = Tensor::from_array(ArrayD::<f64>::zeros(shape));
    };
    refused_by_all(last, "expected a tensor of F32");
    refused_by_all(|t| t.layout.input_ids.push(0), "14, 14]");
    // Three heads where the model has two.
    let three: fn(&mut Trace) = |t| replace(t, |_| Array::zeros(IxDyn(&[3, 13, 13])));
    refused::<AttentionHead>(json!({"head": 0}), three, "[3, 13, 13], not [2, 13, 13]");
    refused::<GradWeightedAttention>(json!({}), three, "[3, 13, 13], not [2, 13, 13]");
}

#[test]
fn values_that_are_no_weights_are_refused() {
    // The very last value is above the diagonal: no row that is read holds it.
    fn with(mut map: ArrayD<f32>, value: f32) -> ArrayD<f32> {
        *map.iter_mut().last().unwrap() = value;
        map
    }
    refused_by_all(|t| replace(t, |map| with(map, f32::NAN)), "are not numbers");
    refused_by_all(
        |t| replace(t, |map| with(map, f32::INFINITY)),
        "are not numbers",
    );
    let negative: fn(&mut Trace) = |t| replace(t, |map| with(map, -0.5));
    refused::<AttentionHead>(json!({}), negative, "attention:1 holds the value -0.5");
    refused::<AttentionRollout>(json!({}), negative, "attention:1 holds the value -0.5");
    refused::<Lrp>(json!({}), negative, "attention:1 holds the value -0.5");
}

#[test]
fn a_later_pass_of_another_length_is_refused() {
    let mut model = random(1, &[AttentionKind::Full], 2, (2, 3), 3);
    // The first pass explains three tokens, the others one.
    model.spoil = |t| {
        if t.objective == 1.0 {
            t.layout.input_ids.pop();
            replace(t, |map| zeros(&map, 1, 1));
        }
    };
    let host = LocalHost::new().with_model(model);
    let method = host.create::<GradWeightedAttention>(json!({"per_token": true}));
    let error = method.unwrap().attribute(&task()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(
        error.to_string().contains("gradient:attention:0"),
        "{error}"
    );
}
