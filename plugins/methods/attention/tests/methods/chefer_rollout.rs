//! Gradient-weighted rollout, against whole matrix products.

use medfocus_method_attention::CheferRollout;
use medfocus_plugin_api::{
    AttentionKind, Attribution, AttributionMethod, ErrorKind, Want, Wrt,
    testkit::{LocalHost, ToyModel},
};
use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Fixed, columns, explain, heat, near, near_tokens, random, rows, task};

/// R of the paper, from the first layer up, for the target of these tokens.
fn relevance(model: &Fixed, tokens: std::ops::Range<usize>) -> Array2<f64> {
    let length = model.attention[0].len_of(Axis(1));
    (0..model.kinds.len()).fold(Array2::eye(length), |r, layer| {
        let gradient = model.gradient_of(layer, tokens.clone());
        let weighted =
            gradient.mapv(|g| f64::from(g.max(0.0))) * model.attention[layer].mapv(f64::from);
        let step = weighted.mean_axis(Axis(0)).unwrap().dot(&r);
        r + step
    })
}

fn expected(model: &Fixed, span: &str, tokens: std::ops::Range<usize>) -> Array1<f64> {
    let read = rows(model, "predicting", span, Some(tokens.clone()));
    columns(model, relevance(model, tokens).view(), read)
}

fn found(model: &Fixed, params: Value) -> (Attribution, u64) {
    let host = LocalHost::new().with_model(model.clone());
    let method = host.create::<CheferRollout>(params).unwrap();
    let found = method.attribute(&task()).unwrap();
    (found, host.calls("model.trace"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_map_is_the_papers_recursion(model in crate::seeds(), turn in any::<bool>()) {
        let span = if turn { "turn" } else { "answer" };
        let all = rows(&model, "predicting", span, None);
        let expected = heat(&model, &expected(&model, span, 0..all.len()));
        let found = explain::<CheferRollout>(model.clone(), json!({"answer_span": span})).unwrap();
        let heat = found.heat.unwrap();
        prop_assert!(near(heat.view(), expected.view()));
        prop_assert_eq!(found.warnings.len(), usize::from(heat.is_zero()));
        prop_assert_eq!(&found.evidence["layers"], &json!(model.kinds.len()));
        prop_assert_eq!(&found.evidence["rows"], &json!([all.start, all.end]));
    }

    #[test]
    fn a_token_has_the_map_of_its_own_gradient(model in crate::seeds()) {
        let (found, passes) = found(&model, json!({"per_token": true}));
        let each: Vec<_> = (0..model.tokens)
            .map(|t| heat(&model, &expected(&model, "answer", t..t + 1)))
            .collect();
        prop_assert!(near_tokens(&found, &each));
        let passes_expected = if model.tokens == 1 { 1 } else { 1 + model.tokens };
        prop_assert_eq!(passes, passes_expected as u64);
    }
}

#[test]
fn only_the_chosen_tokens_are_explained() {
    let model = random(11, &[AttentionKind::Full; 3], 2, (2, 3), 4);
    let (found, passes) = found(&model, json!({"tokens": "1..3"}));
    assert_eq!(passes, 1);
    let expected = heat(&model, &expected(&model, "answer", 1..3));
    assert!(near(found.heat.unwrap().view(), expected.view()));
    assert_eq!(model.asked(0).objective.tokens, Some(1..3));
    let wants = [0, 1, 2].map(|layer| {
        [
            Want::Attention { layer, heads: true },
            Want::Gradient(Wrt::Attention { layer }),
        ]
    });
    assert_eq!(model.asked(0).wants, wants.concat());
}

#[test]
fn relevance_goes_through_tokens_between_answer_and_image() {
    let mut model = random(5, &[AttentionKind::Full; 2], 1, (1, 2), 1);
    let length = model.attention[0].len_of(Axis(1));
    let (row, between, image) = (model.first() - 1, 2, model.image[1]);
    let single = |q, k| {
        let mut map = ndarray::Array3::<f32>::zeros((1, length, length));
        map[(0, q, k)] = 1.0;
        map
    };
    // The upper layer reads a text token, the lower one lets that token read the image.
    model.attention = vec![single(between, image), single(row, between)];
    for layer in &mut model.gradient {
        layer.iter_mut().for_each(|g| g.fill(1.0));
    }
    let map = explain::<CheferRollout>(model.clone(), json!({})).unwrap();
    assert!(!map.heat.unwrap().is_zero());
    // The other way round nothing arrives.
    model.attention.reverse();
    let map = explain::<CheferRollout>(model, json!({})).unwrap();
    assert!(map.heat.unwrap().is_zero());
    assert!(map.warnings[0].contains("the map is empty"));
}

#[test]
fn a_model_without_gradients_gives_an_empty_map() {
    let toy = ToyModel::looking_at((2, 3), (0, 0), 1.0, 0.0);
    let found = explain::<CheferRollout>(toy, json!({})).unwrap();
    assert!(found.heat.unwrap().is_zero());
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn wrong_parameters_are_refused() {
    for params in [
        json!({"per_token": true, "target": "margin"}),
        json!({"layer": 1}),
        json!({"tokens": "3"}),
    ] {
        let error = LocalHost::new().create::<CheferRollout>(params).err();
        assert_eq!(error.unwrap().kind, ErrorKind::Invalid);
    }
}
