//! Every part of the network against the reference, in f32 and bf16.

mod common;

use std::collections::HashMap;

use common::{Fixture, TOLERANCE, check_within, folder, ids};
use medfocus_lvlm::forward;
use medfocus_lvlm::mask::{Mask, image_blocks};
use medfocus_lvlm::network::{Attend, Network};
use medfocus_model_gemma3::Gemma3;
use medfocus_model_gemma3::config::{Config, Rope};
use medfocus_model_gemma3::rope::Rotary;
use medfocus_torch::checkpoint::Checkpoint;
use medfocus_torch::tch::{Device, IndexOp, Kind, Tensor};
use medfocus_torch::weights::Weights;

fn model(name: &str, kind: Kind) -> Gemma3 {
    Gemma3::from_folder(&folder(name), Device::Cpu, kind).unwrap()
}

fn pixels(fixture: &Fixture, index: usize) -> Tensor {
    let image = fixture.image(index);
    fixture
        .backend(1)
        .processor()
        .pixels(image.view())
        .unwrap()
        .unsqueeze(0)
}

/// Hidden states entering each layer and after the norm, and the attention map of each layer.
fn walk(
    model: &Gemma3,
    ids: &[i64],
    features: &Tensor,
    mapped: bool,
) -> (Vec<Tensor>, Vec<Tensor>) {
    let pass = model.prefill(ids, model.config().grid()).unwrap();
    let decoder = model.decoder();
    let mut hidden = vec![forward::embed(model, ids, features).unwrap()];
    let mut maps = Vec::new();
    for layer in 0..decoder.depth() {
        let mut keep = |map: Tensor| {
            maps.push(map.shallow_clone());
            Ok(map)
        };
        let attend = if mapped {
            Attend::Map(&mut keep)
        } else {
            Attend::Fused
        };
        let next = decoder
            .layer(layer, hidden.last().unwrap(), &pass, attend, None)
            .unwrap();
        hidden.push(next);
    }
    let last = hidden.pop().unwrap();
    hidden.push(decoder.finish(&last).unwrap());
    (hidden, maps)
}

#[test]
fn the_tower_and_projector_match() {
    for fixture in Fixture::all() {
        let model = model(fixture.name, Kind::Float);
        let pixels = pixels(&fixture, 0);
        let patches = model.vision().forward(&pixels).unwrap();
        fixture.check("patches", &patches.i(0), fixture.tensor("patches"));
        let features = forward::features(&model, &pixels).unwrap();
        fixture.check("features", &features.i(0), fixture.tensor("features"));
    }
}

#[test]
fn every_layer_matches_fused_and_mapped() {
    for fixture in Fixture::all() {
        let model = model(fixture.name, Kind::Float);
        let answer = fixture.answer(1);
        let features = fixture.tensor("features").unsqueeze(0);
        for mapped in [true, false] {
            let (hidden, maps) = walk(&model, &answer.ids, &features, mapped);
            for (layer, hidden) in hidden.iter().enumerate() {
                fixture.check(
                    &format!("hidden {layer}, mapped {mapped}"),
                    &hidden.i(0),
                    fixture.tensor(&format!("hidden.{layer}")),
                );
            }
            for (layer, map) in maps.iter().enumerate() {
                let expected = fixture.tensor(&format!("attention.{layer}"));
                let map = match expected.dim() {
                    3 => map.i(0),
                    _ => map.i(0).mean_dim(0, false, Kind::Float).slice(
                        0,
                        answer.start as i64 - 1,
                        None,
                        1,
                    ),
                };
                fixture.check(&format!("attention {layer}"), &map, expected);
            }
            let logits = model.decoder().logits(hidden.last().unwrap()).unwrap();
            let rows = logits.i(0).slice(0, answer.start as i64 - 1, None, 1);
            fixture.check("logits", &rows, fixture.tensor("logits"));
        }
    }
}

#[test]
fn bf16_is_exact_where_the_operations_are_the_same() {
    let fixture = Fixture::load("hub");
    let model = model("hub", Kind::BFloat16);
    let features = fixture.tensor("bf16.features").unsqueeze(0);
    let (hidden, _) = walk(&model, &fixture.answer(1).ids, &features, true);
    for (layer, hidden) in hidden.iter().enumerate() {
        let name = format!("bf16.hidden.{layer}");
        check_within(&name, &hidden.i(0), fixture.tensor(&name), 0.0);
    }
    let logits = model.decoder().logits(hidden.last().unwrap()).unwrap();
    check_within(
        "bf16.logits",
        &logits.i(0).slice(0, -4, None, 1),
        fixture.tensor("bf16.logits"),
        0.0,
    );
}

#[test]
fn the_embedding_scale_is_rounded_and_spares_the_image() {
    let fixture = Fixture::load("hub");
    let model = model("hub", Kind::BFloat16);
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
fn two_images_see_themselves_and_not_each_other() {
    for fixture in Fixture::all() {
        let model = model(fixture.name, Kind::Float);
        let ids = ids(&fixture.facts["two_images_ids"]);
        let both = Tensor::cat(&[pixels(&fixture, 0), pixels(&fixture, 1)], 0);
        let batch = Tensor::from_slice(&ids).unsqueeze(0);
        let logits = model.forward(&batch, &both).unwrap();
        fixture.check(
            "two images",
            &logits.i(0).slice(0, -3, None, 1),
            fixture.tensor("two_images.logits"),
        );

        let features = forward::features(&model, &both).unwrap();
        let layer = fixture
            .layers("attention")
            .into_iter()
            .find(|layer| fixture.tensor(&format!("attention.{layer}")).dim() == 3);
        let embedded = forward::embed_batch(&model, &batch, &features).unwrap();
        let pass = model.prefill(&ids, model.config().grid()).unwrap();
        let mut hidden = embedded;
        for index in 0..=layer.unwrap() as usize {
            let mut map = None;
            let mut keep = |tensor: Tensor| {
                map = Some(tensor.shallow_clone());
                Ok(tensor)
            };
            hidden = model
                .decoder()
                .layer(index, &hidden, &pass, Attend::Map(&mut keep), None)
                .unwrap();
            if index == layer.unwrap() as usize {
                let mean = map.unwrap().i(0).mean_dim(0, false, Kind::Float);
                fixture.check(
                    "two images attention",
                    &mean,
                    fixture.tensor("two_images.attention"),
                );
            }
        }
    }
}

#[test]
fn a_batch_is_its_members() {
    for fixture in Fixture::all() {
        let model = model(fixture.name, Kind::Float);
        let ids = Tensor::from_slice(&fixture.answer(0).ids).unsqueeze(0);
        let images: Vec<Tensor> = (0..3).map(|index| pixels(&fixture, index)).collect();
        let together = model
            .forward(&ids.repeat([3, 1]), &Tensor::cat(&images, 0))
            .unwrap();
        for (index, image) in images.iter().enumerate() {
            let alone = model.forward(&ids, image).unwrap();
            fixture.check(
                &format!("batch member {index}"),
                &together.i(index as i64),
                &alone.i(0),
            );
        }
    }
}

#[test]
fn padding_on_the_right_changes_nothing_before_it() {
    let fixture = Fixture::load("saved");
    let model = model("saved", Kind::Float);
    let ids = Tensor::from_slice(&fixture.answer(0).ids).unsqueeze(0);
    let padded = Tensor::cat(
        &[
            ids.shallow_clone(),
            Tensor::zeros([1, 5], (Kind::Int64, Device::Cpu)),
        ],
        1,
    );
    let pixels = pixels(&fixture, 0);
    let alone = model.forward(&ids, &pixels).unwrap();
    let longer = model
        .forward(&padded, &pixels)
        .unwrap()
        .narrow(1, 0, ids.size()[1]);
    fixture.check("padded", &longer, &alone);
}

#[test]
fn rotary_tables_match_at_far_positions() {
    let fixture = Fixture::load("hub");
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
        let rotary = Rotary::new(rope, 256, 0, 3001, (Kind::Float, Device::Cpu)).unwrap();
        let positions = Tensor::from_slice(&[0i64, 1, 1000, 3000]);
        let (cos, sin) = rotary.tables();
        for (table, part) in [(cos, "cos"), (sin, "sin")] {
            let name = format!("rotary.{name}.{part}");
            check_within(
                &name,
                &table.index_select(0, &positions),
                fixture.tensor(&name),
                0.0,
            );
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

/// The tensors of a fixture by name, in f32.
fn tensors(name: &str) -> HashMap<String, Tensor> {
    let checkpoint = Checkpoint::open(&folder(name)).unwrap();
    checkpoint
        .names()
        .map(|name| {
            (
                name.to_owned(),
                checkpoint.read(name).unwrap().to_kind(Kind::Float),
            )
        })
        .collect()
}

fn newer(name: &str) -> String {
    match name.strip_prefix("language_model.model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None => format!("model.{name}"),
    }
}

#[test]
fn one_model_in_every_spelling_is_one_model() {
    let fixture = Fixture::load("hub");
    let config = Config::from_folder(&folder("hub")).unwrap();
    let spelt = |spell: &dyn Fn(&str) -> String| {
        let renamed = tensors("hub")
            .into_iter()
            .map(|(name, tensor)| (spell(&name), tensor))
            .collect();
        let model = Gemma3::new(config.clone(), &Weights::from_tensors(renamed)).unwrap();
        let features = forward::features(&model, &pixels(&fixture, 0)).unwrap();
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
    let mut all = tensors("hub");
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
        let mut all = tensors("hub");
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
    let mut all = tensors("saved");
    assert!(all.remove("lm_head.weight").is_some());
    let config = Config::from_folder(&folder("saved")).unwrap();
    let error = Gemma3::new(config, &Weights::from_tensors(all))
        .unwrap_err()
        .to_string();
    assert!(error.contains("lm_head.weight"), "{error}");
}

#[test]
fn training_reaches_every_parameter() {
    let fixture = Fixture::load("saved");
    let config = Config::from_folder(&folder("saved")).unwrap();
    let leaves: HashMap<String, Tensor> = tensors("saved")
        .into_iter()
        .map(|(name, tensor)| (name, tensor.set_requires_grad(true)))
        .collect();
    let shared = leaves
        .iter()
        .map(|(name, leaf)| (name.clone(), leaf.shallow_clone()))
        .collect();
    let model = Gemma3::new(config, &Weights::from_tensors(shared)).unwrap();
    let ids = Tensor::from_slice(&fixture.answer(1).ids).unsqueeze(0);
    let logits = model.forward(&ids, &pixels(&fixture, 0)).unwrap();
    let (rows, next) = (
        logits.i(0).slice(0, 0, -1, 1),
        ids.i(0).slice(0, 1, None, 1),
    );
    rows.cross_entropy_for_logits(&next).backward();
    for (name, leaf) in &leaves {
        let gradient = leaf.grad();
        assert!(gradient.defined(), "{name} has no gradient");
        assert!(gradient.isfinite().all().int64_value(&[]) == 1, "{name}");
        // A bias added to every key moves all scores of a query alike, which softmax ignores.
        if !name.ends_with("k_proj.bias") {
            assert!(
                gradient.abs().max().double_value(&[]) > TOLERANCE * 1e-3,
                "{name} has gradient 0"
            );
        }
    }
}

#[test]
fn sequences_of_a_batch_must_align() {
    let fixture = Fixture::load("small");
    let model = model("small", Kind::Float);
    let ids = fixture.answer(0).ids;
    let mut moved = ids.clone();
    moved.rotate_right(1);
    let batch = Tensor::stack(&[Tensor::from_slice(&ids), Tensor::from_slice(&moved)], 0);
    let images = Tensor::cat(&[pixels(&fixture, 0), pixels(&fixture, 1)], 0);
    let error = model.forward(&batch, &images).unwrap_err().to_string();
    assert!(error.contains("different places"), "{error}");
    let one = Tensor::from_slice(&ids).unsqueeze(0);
    let error = model.forward(&one, &images).unwrap_err().to_string();
    assert!(error.contains("2 images"), "{error}");
}
