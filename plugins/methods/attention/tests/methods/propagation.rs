//! Rollout and relevance propagation: attention through all layers.

use medfocus_method_attention::{AttentionRollout, Lrp};
use medfocus_plugin_api::{
    AnswerSpan, AttentionKind, ErrorKind, Objective, Want, testkit::LocalHost,
};
use ndarray::{Array2, Array3, Axis, stack};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Fixed, columns, explain, heat, near, near_tokens, random, rows};

/// A + Id, its rows divided by their sums.
fn mixing(model: &Fixed, layer: usize) -> Array2<f64> {
    let map = model.mean(layer).mapv(f64::from);
    let map = &map + &Array2::<f64>::eye(map.nrows());
    let sums = map.sum_axis(Axis(1)).insert_axis(Axis(1));
    map / sums
}

/// The product of the layers' matrices in this order.
fn product(model: &Fixed, layers: impl Iterator<Item = usize>) -> Array2<f64> {
    let length = model.attention[0].len_of(Axis(1));
    layers.fold(Array2::eye(length), |product, layer| {
        product.dot(&mixing(model, layer))
    })
}

fn share(evidence: &serde_json::Map<String, Value>) -> f64 {
    evidence["image_share"].as_f64().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rollout_is_the_product_of_the_layers(
        model in crate::seeds(),
        published in any::<(bool, bool)>(),
        turn in any::<bool>(),
    ) {
        let word = |published: bool, ours: &'static str| if published { "published" } else { ours };
        let (order, which) = (word(published.0, "abnar"), word(published.1, "predicting"));
        let span = if turn { "turn" } else { "answer" };
        let depth = model.kinds.len();
        let rollout = match published.0 {
            true => product(&model, 0..depth),
            false => product(&model, (0..depth).rev()),
        };
        let read = rows(&model, which, span, None);
        let expected = columns(&model, rollout.view(), read.clone());
        let params = json!({"order": order, "rows": which, "answer_span": span, "per_token": true});
        let found = explain::<AttentionRollout>(model.clone(), params).unwrap();

        prop_assert!(near(found.heat.as_ref().unwrap().view(), heat(&model, &expected).view()));
        let each: Vec<_> = read
            .clone()
            .map(|q| heat(&model, &columns(&model, rollout.view(), q..q + 1)))
            .collect();
        prop_assert!(near_tokens(&found, &each));
        prop_assert!((share(&found.evidence) - expected.sum()).abs() < 1e-6);
        prop_assert_eq!(&found.evidence["layers"], &json!(depth));
        prop_assert_eq!(&found.evidence["rows"], &json!([read.start, read.end]));
        prop_assert_eq!(found.warnings.len(), usize::from(model.image.len() == 1));
    }

    #[test]
    fn relevance_is_handed_down_by_the_transposed_layers(
        model in crate::seeds(),
        turn in any::<bool>(),
        first in any::<bool>(),
    ) {
        let span = if turn { "turn" } else { "answer" };
        let tokens = first.then_some(0..1);
        let read = rows(&model, "predicting", span, tokens.clone());
        let length = model.attention[0].len_of(Axis(1));
        let hand_down = |read: std::ops::Range<usize>| {
            let mut r = Array2::zeros((length, 1));
            read.clone().for_each(|q| r[(q, 0)] = 1.0 / read.len() as f64);
            for layer in (0..model.kinds.len()).rev() {
                r = mixing(&model, layer).t().dot(&r);
                r /= r.sum();
            }
            columns(&model, r.t(), 0..1)
        };
        let tokens = if first { "0..1" } else { "" };
        let params = json!({"answer_span": span, "tokens": tokens, "per_token": true});
        let found = explain::<Lrp>(model.clone(), params).unwrap();

        let expected = hand_down(read.clone());
        prop_assert!(near(found.heat.as_ref().unwrap().view(), heat(&model, &expected).view()));
        let all = rows(&model, "predicting", span, None);
        let each: Vec<_> = all.map(|q| heat(&model, &hand_down(q..q + 1))).collect();
        prop_assert!(near_tokens(&found, &each));
        prop_assert!((share(&found.evidence) - expected.sum()).abs() < 1e-6);
        prop_assert_eq!(&found.evidence["rows"], &json!([read.start, read.end]));
    }

    #[test]
    fn both_are_one_by_default(model in crate::seeds()) {
        let params = json!({"per_token": true});
        let rollout = explain::<AttentionRollout>(model.clone(), params.clone()).unwrap();
        let lrp = explain::<Lrp>(model, params).unwrap();
        let maps = [&rollout, &lrp].map(|found| found.heat.clone().unwrap());
        prop_assert!(near(maps[0].view(), maps[1].view()));
        prop_assert!((share(&rollout.evidence) - share(&lrp.evidence)).abs() < 1e-9);
        let tokens = [&rollout, &lrp].map(|found| found.token_heat.clone().unwrap());
        let [a, b] = [0, 1].map(|i| tokens[i].view::<f32>().unwrap());
        prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn the_published_order_and_rows_are_other_maps() {
    let model = random(3, &[AttentionKind::Full; 3], 2, (3, 2), 3);
    let map = |params| {
        explain::<AttentionRollout>(model.clone(), params)
            .unwrap()
            .heat
            .unwrap()
    };
    let ours = map(json!({}));
    for params in [json!({"order": "published"}), json!({"rows": "published"})] {
        assert!(!near(map(params).view(), ours.view()));
    }
    // The order matters only where layers differ.
    let mut alike = model.clone();
    alike.attention = vec![model.attention[0].clone(); 3];
    let map = |order| {
        let found = explain::<AttentionRollout>(alike.clone(), json!({"order": order}));
        found.unwrap().heat.unwrap()
    };
    assert!(near(map("published").view(), map("abnar").view()));
}

#[test]
fn every_layers_mean_is_asked_for_in_one_pass() {
    let model = random(
        5,
        &[
            AttentionKind::Full,
            AttentionKind::Sliding(3),
            AttentionKind::Full,
        ],
        2,
        (1, 3),
        2,
    );
    explain::<AttentionRollout>(model.clone(), json!({"answer_span": "turn"})).unwrap();
    explain::<Lrp>(model.clone(), json!({"tokens": "0..1", "per_token": true})).unwrap();
    let all = [0, 1, 2].map(|layer| Want::Attention {
        layer,
        heads: false,
    });
    for (number, span) in [(0, AnswerSpan::Turn), (1, AnswerSpan::Answer)] {
        let asked = model.asked(number);
        assert_eq!(asked.wants, all);
        assert_eq!(asked.span, span);
        assert_eq!(asked.objective, Objective::default());
    }
}

#[test]
fn an_answer_that_attends_to_itself_alone_reaches_nothing() {
    let mut model = random(1, &[AttentionKind::Full; 2], 2, (2, 2), 2);
    let alone = Array2::<f32>::eye(model.attention[0].len_of(Axis(1)));
    let heads: Array3<f32> = stack(Axis(0), &[alone.view(), alone.view()]).unwrap();
    model.attention = vec![heads.clone(), heads];
    let rollout = explain::<AttentionRollout>(model.clone(), json!({})).unwrap();
    let lrp = explain::<Lrp>(model, json!({})).unwrap();
    for found in [rollout, lrp] {
        assert!(found.heat.as_ref().unwrap().is_zero());
        assert_eq!(share(&found.evidence), 0.0);
        assert_eq!(found.warnings.len(), 1);
        assert!(found.warnings[0].contains("reaches all image tokens alike"));
    }
}

#[test]
fn wrong_parameters_are_refused() {
    let host = LocalHost::new();
    let rollout = host.create::<AttentionRollout>(json!({"order": "down"}));
    let lrp = host.create::<Lrp>(json!({"rows": "predicting"}));
    for error in [rollout.err().unwrap(), lrp.err().unwrap()] {
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
    let model = random(1, &[AttentionKind::Full], 1, (2, 2), 2);
    let beyond = explain::<Lrp>(model, json!({"tokens": "0..3"})).unwrap_err();
    assert!(beyond.to_string().contains("the answer has 2"), "{beyond}");
}
