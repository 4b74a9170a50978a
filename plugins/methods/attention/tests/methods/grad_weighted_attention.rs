//! Gradient-weighted attention.

use medfocus_method_attention::GradWeightedAttention;
use medfocus_plugin_api::{
    AnswerSpan, AttentionKind, Attribution, AttributionMethod, ErrorKind, Objective, Quantity,
    Want, Wrt,
    testkit::{LocalHost, ToyModel},
};
use ndarray::{Array2, Axis};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Fixed, columns, explain, heat, near, near_tokens, random, rows, task};

const FULL: AttentionKind = AttentionKind::Full;

/// The mean over heads, or one head, of relu(gradient) times attention, for the target of these tokens.
fn weighted(
    model: &Fixed,
    layer: usize,
    head: Option<usize>,
    tokens: impl Iterator<Item = usize>,
) -> Array2<f64> {
    let gradient = model
        .gradient_of(layer, tokens)
        .mapv(|g| f64::from(g.max(0.0)));
    let product = gradient * model.attention[layer].mapv(f64::from);
    match head {
        None => product.mean_axis(Axis(0)).unwrap(),
        Some(head) => product.index_axis(Axis(0), head).to_owned(),
    }
}

/// What was found, and the passes it took.
fn explain_tokens(model: &Fixed, params: Value) -> (Attribution, u64) {
    let host = LocalHost::new().with_model(model.clone());
    let method = host.create::<GradWeightedAttention>(params).unwrap();
    let found = method.attribute(&task()).unwrap();
    (found, host.calls("model.trace"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_map_is_the_papers_formula(
        model in crate::seeds(),
        layer in any::<prop::sample::Index>(),
        head in prop::option::of(any::<prop::sample::Index>()),
        published in any::<bool>(),
        turn in any::<bool>(),
    ) {
        let layer = layer.index(model.kinds.len());
        let head = head.map(|head| head.index(model.attention[0].len_of(Axis(0))));
        let which = if published { "published" } else { "predicting" };
        let span = if turn { "turn" } else { "answer" };
        let read = rows(&model, which, span, None);
        let map = weighted(&model, layer, head, 0..read.len());
        let expected = heat(&model, &columns(&model, map.view(), read.clone()));
        let from_the_end = layer as i64 - model.kinds.len() as i64;
        let params = json!({"layer": from_the_end, "head": head, "rows": which, "answer_span": span});
        let found = explain::<GradWeightedAttention>(model, params).unwrap();
        let heat = found.heat.unwrap();
        prop_assert!(near(heat.view(), expected.view()));
        prop_assert_eq!(found.warnings.len(), usize::from(heat.is_zero()));
        prop_assert_eq!(&found.evidence["layer"], &json!(layer));
        prop_assert_eq!(&found.evidence["rows"], &json!([read.start, read.end]));
    }

    #[test]
    fn a_token_has_the_map_of_its_own_gradient(model in crate::seeds()) {
        let layer = model.kinds.len() - 1;
        let (found, passes) = explain_tokens(&model, json!({"per_token": true}));
        let each: Vec<_> = (0..model.tokens)
            .map(|t| {
                let map = weighted(&model, layer, None, t..=t);
                let row = rows(&model, "predicting", "answer", Some(t..t + 1));
                heat(&model, &columns(&model, map.view(), row))
            })
            .collect();
        prop_assert!(near_tokens(&found, &each));
        // A single token is all that is explained: its map is the main one.
        let expected = if model.tokens == 1 { 1 } else { 1 + model.tokens };
        prop_assert_eq!(passes, expected as u64);
    }
}

#[test]
fn only_the_chosen_tokens_are_explained() {
    let model = random(11, &[FULL, FULL], 2, (2, 3), 4);
    let params = json!({"tokens": "1..3", "per_token": true});
    let (found, passes) = explain_tokens(&model, params);
    assert_eq!(passes, 5);
    let read = rows(&model, "predicting", "answer", Some(1..3));
    let map = weighted(&model, 1, None, 1..3);
    let expected = heat(&model, &columns(&model, map.view(), read.clone()));
    assert!(near(found.heat.unwrap().view(), expected.view()));
    assert_eq!(found.evidence["rows"], json!([read.start, read.end]));
    let tokens = |number| model.asked(number).objective.tokens;
    assert_eq!(tokens(0), Some(1..3));
    assert_eq!([1, 2, 3, 4].map(tokens), [0..1, 1..2, 2..3, 3..4].map(Some));
}

#[test]
fn one_layers_heads_and_their_gradient_are_asked_for() {
    let model = random(2, &[FULL, FULL, AttentionKind::Sliding(30)], 2, (2, 2), 2);
    explain::<GradWeightedAttention>(model.clone(), json!({})).unwrap();
    let margin = json!({"layer": -1, "head": 1, "target": "margin", "answer_span": "turn"});
    explain::<GradWeightedAttention>(model.clone(), margin).unwrap();
    let wants = |layer| {
        [
            Want::Attention { layer, heads: true },
            Want::Gradient(Wrt::Attention { layer }),
        ]
    };
    let (default, margin) = (model.asked(0), model.asked(1));
    assert_eq!(default.wants, wants(1));
    assert_eq!(default.objective, Objective::default());
    assert_eq!(margin.wants, wants(2));
    assert_eq!(margin.span, AnswerSpan::Turn);
    let words = Quantity::Margin("Yes".into(), "No".into());
    assert_eq!(margin.objective.quantity, words);
}

#[test]
fn the_map_is_blind_to_the_gradients_scale() {
    let model = random(4, &[FULL], 2, (2, 3), 2);
    let map = |scale: f32| {
        let mut model = model.clone();
        let tokens = model.gradient[0].iter_mut();
        tokens.for_each(|gradient| *gradient *= scale);
        explain::<GradWeightedAttention>(model, json!({}))
            .unwrap()
            .heat
            .unwrap()
    };
    assert!(near(map(1.0).view(), map(1e-12).view()));
    assert!(near(map(1.0).view(), map(1e12).view()));
}

#[test]
fn an_empty_map_says_why() {
    let zero = |found: &Attribution, sentence: &str| {
        assert!(found.heat.as_ref().unwrap().is_zero());
        assert_eq!(found.warnings.len(), 1);
        assert!(found.warnings[0].contains(sentence), "{:?}", found.warnings);
    };
    let toy = ToyModel::looking_at((2, 3), (0, 0), 1.0, 0.0);
    let found = explain::<GradWeightedAttention>(toy, json!({})).unwrap();
    zero(&found, "the gradient is zero wherever");

    // The row of the last token enters no probability.
    let model = random(6, &[FULL], 2, (2, 2), 1);
    let found = explain::<GradWeightedAttention>(model.clone(), json!({"rows": "published"}));
    zero(&found.unwrap(), "the gradient is zero wherever");

    let mut against = model;
    against.gradient[0][0].mapv_inplace(|g| -g.abs());
    let found = explain::<GradWeightedAttention>(against, json!({})).unwrap();
    zero(&found, "more attention to no image token");
}

#[test]
fn a_window_too_short_for_the_image_is_named() {
    let model = random(8, &[FULL, AttentionKind::Sliding(2)], 2, (2, 2), 3);
    let found = explain::<GradWeightedAttention>(model.clone(), json!({"layer": -1})).unwrap();
    assert!(found.warnings[0].contains("layer 1 has a sliding window of size 2 "));
    assert!(found.warnings[0].contains("sees only 1 of the 4 image tokens"));
    let found = explain::<GradWeightedAttention>(model, json!({})).unwrap();
    assert!(found.warnings.is_empty());
}

#[test]
fn a_cancelled_explanation_stops_between_tokens() {
    let host = LocalHost::new().with_model(random(9, &[FULL], 1, (1, 2), 3));
    let method = host.create::<GradWeightedAttention>(json!({"per_token": true}));
    // What the model is, and the first token's trace.
    host.cancel_after(2);
    let error = method.unwrap().attribute(&task()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert_eq!(host.calls("model.trace"), 1);
}

#[test]
fn wrong_parameters_are_refused() {
    for (params, sentence) in [
        (json!({"target": "loss"}), "parameter `target`"),
        (
            json!({"per_token": true, "target": "margin"}),
            "`per_token` does not go with target `margin`",
        ),
        (
            json!({"per_token": true, "rows": "published"}),
            "`per_token` does not go with rows `published`",
        ),
        (
            json!({"tokens": "0..1", "target": "margin"}),
            "`tokens` does not go with target `margin`",
        ),
    ] {
        let error = LocalHost::new()
            .create::<GradWeightedAttention>(params)
            .err();
        let error = error.unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.to_string().contains(sentence), "{error}");
    }
}
