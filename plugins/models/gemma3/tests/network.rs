//! What is Gemma's own in the network, against the reference.

mod common;

use std::collections::HashMap;

use common::{FIXTURES, folder};
use medfocus_lvlm::forward;
use medfocus_lvlm::mask::{Mask, image_blocks};
use medfocus_lvlm_parity::fixture::check_within;
use medfocus_model_gemma3::Gemma3;
use medfocus_model_gemma3::config::{Config, Rope};
use medfocus_model_gemma3::text::angles;
use medfocus_torch::checkpoint::Checkpoint;
use medfocus_torch::nn::Rotary;
use medfocus_torch::tch::{Device, IndexOp, Kind, Tensor};
use medfocus_torch::weights::Weights;

#[test]
fn the_tower_matches() {
    for fixture in FIXTURES.all() {
        let model = fixture.network(Kind::Float);
        let pixels = fixture.pixels(0);
        let patches = model.vision().forward(&pixels).unwrap();
        fixture.check("patches", &patches.i(0), fixture.tensor("patches"));
    }
}

#[test]
fn the_embedding_scale_is_rounded_and_spares_the_image() {
    let fixture = FIXTURES.load("hub");
    let model = fixture.network(Kind::BFloat16);
    let features = fixture.tensor("bf16.features").unsqueeze(0);
    let ids = fixture.answer(0).ids;
    let embedded = forward::embed(&model, &ids, &features).unwrap();
    let image = ids
        .iter()
        .position(|&id| id == model.config().image_token)
        .unwrap() as i64;
    check_within(
        "image rows",
        &embedded.i((0, image..image + 4)),
        &features.i(0),
        0.0,
    );
    // sqrt(32) = 5.65685, in bf16 5.65625.
    let table = Checkpoint::open(&folder("hub"))
        .unwrap()
        .read("language_model.model.embed_tokens.weight")
        .unwrap();
    let scaled = (table.i(ids[0]).to_kind(Kind::Float) * 5.65625).to_kind(Kind::BFloat16);
    check_within("text row", &embedded.i((0, 0)), &scaled, 0.0);
}

#[test]
fn rotary_tables_match_at_far_positions() {
    let fixture = FIXTURES.load("hub");
    for (name, rope) in [
        (
            "full",
            Rope {
                theta: 1e6,
                factor: 8.0,
            },
        ),
        (
            "sliding",
            Rope {
                theta: 1e4,
                factor: 1.0,
            },
        ),
    ] {
        let positions = Tensor::from_slice(&[0f32, 1.0, 1000.0, 3000.0]);
        let rotary = Rotary::new(&angles(rope, 256, &positions).unwrap(), Kind::Float).unwrap();
        let (cos, sin) = rotary.tables();
        for (table, part) in [(cos, "cos"), (sin, "sin")] {
            let name = format!("rotary.{name}.{part}");
            check_within(&name, table, fixture.tensor(&name), 0.0);
        }
    }
}

#[test]
fn masks_follow_their_definition() {
    let image = 9;
    let ids = [2, 9, 9, 1, 9, 9, 9, 1, 1, 1, 1];
    let blocks = image_blocks(&ids, image);
    assert_eq!(blocks, [-1, 0, 0, -1, 1, 1, 1, -1, -1, -1, -1]);
    for window in [None, Some(1), Some(2), Some(3), Some(11), Some(1024)] {
        let mask = Mask::new(&blocks, window, Device::Cpu).unwrap();
        for query in 0..ids.len() {
            for key in 0..ids.len() {
                let near = window.is_none_or(|window| query < key + window as usize);
                let together = blocks[query] >= 0 && blocks[query] == blocks[key];
                let expected = (key <= query && near) || together;
                let found = mask.allowed().int64_value(&[query as i64, key as i64]) == 1;
                assert_eq!(
                    found, expected,
                    "window {window:?}, query {query}, key {key}"
                );
            }
        }
        let blocked = mask.blocked(Kind::BFloat16).unwrap();
        assert!(blocked.isfinite().all().int64_value(&[]) == 1);
    }
}

fn newer(name: &str) -> String {
    match name.strip_prefix("language_model.model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None => format!("model.{name}"),
    }
}

#[test]
fn one_model_in_every_spelling_is_one_model() {
    let fixture = FIXTURES.load("hub");
    let config = Config::from_folder(&folder("hub")).unwrap();
    let spelt = |spell: &dyn Fn(&str) -> String| {
        let renamed = FIXTURES
            .load("hub")
            .weights()
            .into_iter()
            .map(|(name, tensor)| (spell(&name), tensor))
            .collect();
        let model = Gemma3::new(config.clone(), &Weights::from_tensors(renamed)).unwrap();
        let features = forward::features(&model, &fixture.pixels(0)).unwrap();
        fixture.check("features", &features.i(0), fixture.tensor("features"));
    };
    spelt(&newer);
    // Transformers 5, of a model that it made itself.
    spelt(&|name| newer(name).replace("vision_tower.vision_model.", "vision_tower."));
    // A decoder that was fine-tuned by itself and put back.
    spelt(&|name| match name.starts_with("language_model") {
        true => newer(name),
        false => name.to_owned(),
    });
}

#[test]
fn what_transformers_ignores_is_ignored() {
    let config = Config::from_folder(&folder("hub")).unwrap();
    let mut all = FIXTURES.load("hub").weights();
    let table = all["language_model.model.embed_tokens.weight"].shallow_clone();
    for (name, tensor) in [
        ("lm_head.weight", table.shallow_clone()),
        (
            "language_model.model.layers.0.self_attn.rotary_emb.inv_freq",
            Tensor::new(),
        ),
        (
            "vision_tower.vision_model.embeddings.position_ids",
            Tensor::new(),
        ),
    ] {
        all.insert(name.to_owned(), tensor);
    }
    let build = |all: HashMap<String, Tensor>| {
        Gemma3::new(config.clone(), &Weights::from_tensors(all)).map_err(|error| error.to_string())
    };
    let copy = |all: &HashMap<String, Tensor>| -> HashMap<String, Tensor> {
        let tensors = all.iter();
        tensors
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .collect()
    };
    assert!(build(copy(&all)).is_ok());
    // Another output table than the one it is tied to: which is meant?
    all.insert("lm_head.weight".to_owned(), table * 2.0);
    let ambiguous = build(all).unwrap_err();
    assert!(
        ambiguous.contains("lm_head.weight is not") && ambiguous.contains("tie_word_embeddings"),
        "{ambiguous}"
    );
}

#[test]
fn the_wrong_checkpoint_is_refused_by_name() {
    let config = Config::from_folder(&folder("hub")).unwrap();
    let build = |edit: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let mut all = FIXTURES.load("hub").weights();
        edit(&mut all);
        Gemma3::new(config.clone(), &Weights::from_tensors(all)).map_err(|error| error.to_string())
    };
    assert!(build(&|_| ()).is_ok());

    let q_norm = "language_model.model.layers.3.self_attn.q_norm.weight";
    let missing = build(&|all| drop(all.remove(q_norm))).unwrap_err();
    assert!(missing.contains(q_norm), "{missing}");
    let misshaped = build(&|all| {
        drop(all.insert(
            q_norm.to_owned(),
            Tensor::zeros([3], (Kind::Float, Device::Cpu)),
        ))
    })
    .unwrap_err();
    assert!(
        misshaped.contains(q_norm) && misshaped.contains("[16]"),
        "{misshaped}"
    );
    let foreign = build(&|all| {
        all.insert(
            "language_model.model.layers.7.mlp.up_proj.weight".to_owned(),
            Tensor::new(),
        );
    });
    assert!(foreign.unwrap_err().contains("layers.7"));
    let other =
        build(&|all| drop(all.remove("language_model.model.embed_tokens.weight"))).unwrap_err();
    assert!(other.contains("not a Gemma 3 checkpoint"), "{other}");
    let redundant = build(&|all| {
        let table = all["language_model.model.embed_tokens.weight"].shallow_clone();
        all.insert("language_model.lm_head.weight".to_owned(), table);
    });
    assert!(redundant.is_ok());
}

#[test]
fn an_untied_output_table_is_needed() {
    let mut all = FIXTURES.load("saved").weights();
    assert!(all.remove("lm_head.weight").is_some());
    let config = Config::from_folder(&folder("saved")).unwrap();
    let error = Gemma3::new(config, &Weights::from_tensors(all))
        .unwrap_err()
        .to_string();
    assert!(error.contains("lm_head.weight"), "{error}");
}
