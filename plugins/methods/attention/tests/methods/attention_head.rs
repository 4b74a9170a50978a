//! Attention of one layer.

use medfocus_method_attention::AttentionHead;
use medfocus_plugin_api::{
    AnswerSpan, AttentionKind, ErrorKind, Objective, Want,
    testkit::{LocalHost, ToyModel},
};
use ndarray::Axis;
use proptest::prelude::*;
use serde_json::json;

use crate::{Fixed, columns, explain, heat, near, near_tokens, random, rows};

const FULL: AttentionKind = AttentionKind::Full;

fn sliding(window: u32) -> AttentionKind {
    AttentionKind::Sliding(window)
}

/// Layers full and not, three heads, a grid of 2 x 3, three tokens; the answer begins at 9.
fn model(kinds: &[AttentionKind]) -> Fixed {
    random(7, kinds, 3, (2, 3), 3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_map_is_the_mean_of_the_answers_rows(
        model in crate::seeds(),
        layer in any::<prop::sample::Index>(),
        head in prop::option::of(any::<prop::sample::Index>()),
        published in any::<bool>(),
        turn in any::<bool>(),
    ) {
        let (layer, head) = (
            layer.index(model.kinds.len()),
            head.map(|head| head.index(model.attention[0].len_of(Axis(0)))),
        );
        let (which, span) = (
            if published { "published" } else { "predicting" },
            if turn { "turn" } else { "answer" },
        );
        let map = match head {
            None => model.mean(layer),
            Some(head) => model.attention[layer].index_axis(Axis(0), head).to_owned(),
        }
        .mapv(f64::from);
        let read = rows(&model, which, span, None);
        let expected = columns(&model, map.view(), read.clone());
        let found = explain::<AttentionHead>(
            model.clone(),
            json!({"layer": layer, "head": head, "rows": which, "answer_span": span, "per_token": true}),
        )
        .unwrap();
        prop_assert!(near(found.heat.as_ref().unwrap().view(), heat(&model, &expected).view()));
        let each: Vec<_> = read
            .clone()
            .map(|q| heat(&model, &columns(&model, map.view(), q..q + 1)))
            .collect();
        prop_assert!(near_tokens(&found, &each));
        prop_assert_eq!(&found.evidence["layer"], &json!(layer));
        prop_assert_eq!(&found.evidence["rows"], &json!([read.start, read.end]));
        let share = found.evidence["image_share"].as_f64().unwrap();
        prop_assert!((share - expected.sum()).abs() < 1e-6);
        // A single token has nothing to stand out from.
        prop_assert_eq!(found.warnings.len(), usize::from(model.image.len() == 1));
    }
}

#[test]
fn only_the_chosen_tokens_count() {
    let model = model(&[FULL]);
    let map = model.mean(0).mapv(f64::from);
    for (tokens, rows) in [("0..1", 8..9), ("1..3", 9..11), ("", 8..11)] {
        let found = explain::<AttentionHead>(model.clone(), json!({"tokens": tokens})).unwrap();
        let expected = heat(&model, &columns(&model, map.view(), rows));
        assert!(near(found.heat.unwrap().view(), expected.view()));
        assert!(found.token_heat.is_none());
    }
    let chosen = json!({"tokens": "2..3", "per_token": true});
    let found = explain::<AttentionHead>(model.clone(), chosen).unwrap();
    let each = [8..9, 9..10, 10..11].map(|q| heat(&model, &columns(&model, map.view(), q)));
    assert!(
        near_tokens(&found, &each),
        "every token of the answer has its map"
    );
}

#[test]
fn one_capture_is_asked_for() {
    let model = model(&[sliding(4), FULL, FULL, sliding(20)]);
    explain::<AttentionHead>(model.clone(), json!({})).unwrap();
    let params = json!({"layer": -1, "head": 2, "rows": "published", "answer_span": "turn", "tokens": "0..2"});
    explain::<AttentionHead>(model.clone(), params).unwrap();
    let (default, published) = (model.asked(0), model.asked(1));
    let attention = |layer, heads| [Want::Attention { layer, heads }];
    assert_eq!(default.wants, attention(2, false));
    assert_eq!(default.span, AnswerSpan::Answer);
    assert_eq!(published.wants, attention(3, true));
    assert_eq!(published.span, AnswerSpan::Turn);
    // No gradient is taken, so every choice of tokens is the same pass.
    assert_eq!(published.objective, Objective::default());
}

#[test]
fn a_window_too_short_for_the_image_is_named() {
    // Image tokens at 7, 6, 5, 3, 2, 1; the predicting rows are 8, 9 and 10.
    let found = |window, params| explain::<AttentionHead>(model(&[sliding(window)]), params);
    let blind = found(1, json!({})).unwrap();
    assert!(blind.heat.unwrap().is_zero());
    assert!(blind.warnings[0].contains("layer 0 has a sliding window of size 1 "));
    assert!(blind.warnings[0].contains("sees only 0 of the 6 image tokens"));
    assert!(blind.warnings[1].contains("the map is empty"));

    let short = found(4, json!({"layer": -1})).unwrap();
    assert!(!short.heat.unwrap().is_zero());
    assert_eq!(short.warnings.len(), 1);
    assert!(short.warnings[0].contains("sees only 3 of the 6 image tokens"));
    let later = found(4, json!({"tokens": "2..3"})).unwrap();
    assert!(later.warnings[0].contains("sees only 1 of the 6 image tokens"));

    assert!(found(8, json!({})).unwrap().warnings.is_empty());
}

#[test]
fn even_attention_is_no_evidence() {
    let toy = ToyModel::looking_at((3, 5), (1, 1), 4.0, 0.0);
    let found = explain::<AttentionHead>(toy, json!({})).unwrap();
    assert!(found.heat.unwrap().is_zero());
    assert_eq!(found.warnings.len(), 1);
    assert!(found.warnings[0].contains("attends to all image tokens alike"));
    // 15 of the 17 positions that the predicting row sees.
    let share = found.evidence["image_share"].as_f64().unwrap();
    assert!((share - 15.0 / 17.0).abs() < 1e-6);
}

#[test]
fn wrong_parameters_are_refused() {
    for (params, sentence) in [
        (json!({"layer": "top"}), "parameter `layer`"),
        (json!({"head": -1}), "parameter `head`"),
        (json!({"rows": "all"}), "parameter `rows`"),
        (json!({"tokens": "3..1"}), "no range of tokens"),
        (json!({"target": "log_prob"}), "unknown parameter `target`"),
    ] {
        let error = LocalHost::new().create::<AttentionHead>(params).err();
        let error = error.unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.to_string().contains(sentence), "{error}");
    }
    for (params, sentence, passes) in [
        (
            json!({"layer": 2}),
            "`layer` is 2, but the model has 2 layers",
            0,
        ),
        (
            json!({"head": 3}),
            "`head` is 3, but the model has 3 heads",
            0,
        ),
        (json!({"tokens": "1..4"}), "the answer has 3", 1),
    ] {
        let model = model(&[FULL, FULL]);
        let error = explain::<AttentionHead>(model.clone(), params).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.to_string().contains(sentence), "{error}");
        assert_eq!(model.asked.lock().unwrap().len(), passes);
    }
}
