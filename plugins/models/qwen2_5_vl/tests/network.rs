//! What is Qwen2.5-VL's own in the network, and its spellings.

mod common;

use std::collections::HashMap;

use common::FIXTURES;
use medfocus_lvlm::forward;
use medfocus_lvlm::network::{Family as _, Grid};
use medfocus_model_qwen2_5_vl::{Family, text::positions};
use medfocus_torch::tch::{IndexOp, Kind, Tensor};
use medfocus_torch::weights::Weights;

#[test]
fn positions_are_those_of_the_reference_with_two_images() {
    let fixture = FIXTURES.load("hub");
    let ids = Vec::<i64>::try_from(fixture.tensor("positions.ids")).unwrap();
    let grid = Grid {
        rows: 4,
        columns: 3,
    };
    let (found, next) = positions(&ids, fixture.config().image_token, grid).unwrap();
    let expected = fixture.tensor("positions");
    for (axis, found) in found.iter().enumerate() {
        let expected = Vec::<i64>::try_from(expected.i(axis as i64)).unwrap();
        assert_eq!(found, &expected, "axis {axis}");
    }
    let delta = fixture.tensor("positions.delta").int64_value(&[0]);
    assert_eq!(next, ids.len() as i64 + delta);
}

#[test]
fn an_image_that_lacks_tokens_is_refused() {
    let grid = Grid {
        rows: 2,
        columns: 2,
    };
    for ids in [&[1, 9, 9, 9, 1][..], &[9, 9, 9, 9, 9], &[9, 9, 9]] {
        let error = positions(ids, 9, grid).unwrap_err().to_string();
        assert!(error.contains("2 x 2 tokens"), "{error}");
    }
    let (axes, next) = positions(&[1, 9, 9, 9, 9, 1], 9, grid).unwrap();
    assert_eq!(axes[0], [0, 1, 1, 1, 1, 3]);
    assert_eq!(axes[1], [0, 1, 1, 2, 2, 3]);
    assert_eq!((axes[2].clone(), next), (vec![0, 1, 2, 1, 2, 3], 4));
}

fn newer(name: &str) -> String {
    match name.strip_prefix("model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None => format!("model.{name}"),
    }
}

#[test]
fn one_model_in_every_spelling_is_one_model() {
    let fixture = FIXTURES.load("hub");
    let spelt = |spell: &dyn Fn(&str) -> String| {
        let weights = fixture.weights().into_iter();
        let renamed = weights.map(|(name, tensor)| (spell(&name), tensor));
        let weights = Weights::from_tensors(renamed.collect());
        let model = Family::network(&fixture.config(), &weights).unwrap();
        let features = forward::features(&model, &fixture.pixels(0)).unwrap();
        fixture.check("features", &features.i(0), fixture.tensor("features"));
    };
    spelt(&newer);
    // A decoder, or a tower, that was fine-tuned by itself and put back.
    spelt(&|name| match name.starts_with("visual") {
        true => newer(name),
        false => name.to_owned(),
    });
    spelt(&|name| match name.starts_with("visual") {
        true => name.to_owned(),
        false => newer(name),
    });
}

#[test]
fn the_wrong_checkpoint_is_refused_by_name() {
    let fixture = FIXTURES.load("hub");
    let build = |edit: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let mut all = fixture.weights();
        edit(&mut all);
        let network = Family::network(&fixture.config(), &Weights::from_tensors(all));
        network.map_err(|error| error.to_string())
    };
    assert!(build(&|_| ()).is_ok());
    let bias = "model.layers.3.self_attn.q_proj.bias";
    let missing = build(&|all| drop(all.remove(bias))).unwrap_err();
    assert!(missing.contains(bias), "{missing}");
    let foreign = build(&|all| {
        all.insert("visual.blocks.3.norm1.weight".to_owned(), Tensor::new());
    });
    assert!(foreign.unwrap_err().contains("blocks.3"));
    let other = build(&|all| drop(all.remove("visual.patch_embed.proj.weight"))).unwrap_err();
    assert!(other.contains("not a Qwen2.5-VL checkpoint"), "{other}");
    // A tied model may store its output table, if it is the embedding.
    let table = fixture.weights()["model.embed_tokens.weight"].shallow_clone();
    let same = build(&|all| drop(all.insert("lm_head.weight".to_owned(), table.shallow_clone())));
    assert!(same.is_ok());
    let another = build(&|all| drop(all.insert("lm_head.weight".to_owned(), &table * 2.0)));
    assert!(another.unwrap_err().contains("tie_word_embeddings"));
}

#[test]
fn an_untied_output_table_is_needed() {
    let fixture = FIXTURES.load("saved");
    let mut all = fixture.weights();
    assert!(all.remove("lm_head.weight").is_some());
    let network = Family::network(&fixture.config(), &Weights::from_tensors(all));
    let error = network.unwrap_err().to_string();
    assert!(error.contains("lm_head.weight"), "{error}");
}

/// Windows tile from the upper left: changing a patch moves nothing beyond its window.
#[test]
fn attention_stays_within_its_window() {
    let fixture = FIXTURES.load("hub");
    let model = fixture.network(Kind::Float);
    // Eight rows of six patches, windows of four by four.
    let patches = model.vision().stage(0, &fixture.pixels(0)).unwrap();
    assert_eq!(patches.size()[1..3], [8, 6]);
    let moved = patches.copy();
    let _ = moved.i((0, 5, 5)).fill_(1.0);
    let difference = |block: usize| {
        let [one, other] = [&patches, &moved].map(|x| model.vision().stage(block, x).unwrap());
        (one - other).abs().amax([-1i64].as_slice(), false).i(0)
    };
    let within = difference(1);
    for row in 0..8 {
        for column in 0..6 {
            let changed = within.double_value(&[row, column]) > 0.0;
            assert_eq!(changed, row >= 4 && column >= 4, "{row}, {column}");
        }
    }
    // The second block sees the whole image.
    assert!(difference(2).min().double_value(&[]) > 0.0);
}
