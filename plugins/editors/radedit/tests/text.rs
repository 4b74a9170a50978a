//! Tokens and states of prompts against transformers.

mod editor;

use std::fs;
use std::path::Path;

use editor::{Tensors, check, copy, edit_weights, fixture, read_json};
use medfocus_editor_radedit::Error;
use medfocus_editor_radedit::text::config::Config;
use medfocus_editor_radedit::text::tokenizer::WordPiece;
use medfocus_editor_radedit::text::{LENGTH, TextMask, TextModel};
use medfocus_torch::tch::{Device, Kind, Tensor};

/// As saved today, and as CXR-BERT's files are spelt.
const FOLDERS: [&str; 2] = ["checkpoint/text_encoder", "cxr"];

fn load(folder: &Path) -> Result<TextModel, Error> {
    TextModel::load(folder, Device::Cpu, Kind::Float)
}

fn refusal(folder: &Path) -> String {
    let refused = load(folder).expect_err("a folder that cannot be read");
    let said = refused.to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn tokens_are_the_references() {
    let facts = read_json(&fixture("text.json"));
    for name in FOLDERS {
        let tokenizer = WordPiece::from_folder(&fixture(name), LENGTH).unwrap();
        let key = name.rsplit('/').next().unwrap();
        let prompts = facts["prompts"].as_array().unwrap();
        assert_eq!(prompts.len(), 15);
        for (prompt, expected) in prompts.iter().zip(facts[key].as_array().unwrap()) {
            let prompt = prompt.as_str().unwrap();
            let found = tokenizer.read(prompt).unwrap();
            let ids: Vec<i64> = serde_json::from_value(expected["ids"].clone()).unwrap();
            assert_eq!(found.ids, ids, "{name} {prompt:?}");
            assert_eq!(found.own as u64, expected["own"].as_u64().unwrap());
            // 126 words fit, 127 do not.
            let words = prompt.matches("lung").count();
            assert_eq!(found.cut, words == 60 || words == 127, "{prompt:?}");
        }
    }
}

#[test]
fn states_are_the_references_with_and_without_a_mask() {
    let facts = read_json(&fixture("text.json"));
    let tensors = Tensors::of("text.safetensors");
    for name in FOLDERS {
        let model = load(&fixture(name)).unwrap();
        let key = name.rsplit('/').next().unwrap();
        for at in [0, 1, 3] {
            let prompt = facts["prompts"][at].as_str().unwrap();
            let states = |mask| model.states(prompt, mask).unwrap();
            let (all, own) = (states(TextMask::None), states(TextMask::Tokenizer));
            check(name, &all, tensors.get(&format!("{key}.{at}.none")), 1e-5);
            check(
                name,
                &own,
                tensors.get(&format!("{key}.{at}.tokenizer")),
                1e-5,
            );
            assert!(editor::largest_difference(&all, &own) > 1e-3);
        }
    }
}

#[test]
fn the_parameters_of_the_encoder_are_counted_without_its_heads() {
    let model = load(&fixture("checkpoint/text_encoder")).unwrap();
    let all = Tensor::read_safetensors(fixture("checkpoint/text_encoder/model.safetensors"));
    let body = all.unwrap().into_iter();
    let body = body.filter(|(name, _)| !name.starts_with("pooler"));
    let count: usize = body.map(|(_, tensor)| tensor.numel()).sum();
    assert_eq!(model.parameters(), count as u64);
    assert_eq!(model.width(), 12);
}

#[test]
fn a_whole_tokenizer_comes_before_its_vocabulary() {
    let folder = copy("checkpoint/text_encoder");
    let plain = WordPiece::from_folder(folder.path(), LENGTH).unwrap();
    let whole = serde_json::json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[PAD]": 0, "[UNK]": 1, "lung": 2}},
    });
    fs::write(folder.path().join("tokenizer.json"), whole.to_string()).unwrap();
    let found = WordPiece::from_folder(folder.path(), LENGTH).unwrap();
    assert_eq!(found.read("lung").unwrap().ids[..2], [2, 0]);
    assert_ne!(plain.read("lung").unwrap().ids[..2], [2, 0]);
}

#[test]
fn lines_may_end_as_on_windows() {
    let folder = copy("checkpoint/text_encoder");
    let path = folder.path().join("vocab.txt");
    let text = fs::read_to_string(&path).unwrap();
    let before = WordPiece::from_folder(folder.path(), LENGTH).unwrap();
    fs::write(&path, text.replace('\n', "\r\n")).unwrap();
    let after = WordPiece::from_folder(folder.path(), LENGTH).unwrap();
    let read = |tokenizer: &WordPiece| tokenizer.read("the right lung").unwrap();
    assert_eq!(read(&before), read(&after));
}

#[test]
fn what_cannot_be_read_is_refused_in_one_sentence() {
    let spoilt = |spoil: &dyn Fn(&Path)| {
        let folder = copy("checkpoint/text_encoder");
        spoil(folder.path());
        refusal(folder.path())
    };
    let write = |name: &'static str, bytes: &'static [u8]| {
        spoilt(&move |folder| fs::write(folder.join(name), bytes).unwrap())
    };
    let remove =
        |name: &'static str| spoilt(&move |folder| fs::remove_file(folder.join(name)).unwrap());
    let bom = spoilt(&|folder| {
        let path = folder.join("vocab.txt");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("\u{feff}{text}")).unwrap();
    });
    let longer = spoilt(&|folder| {
        let path = folder.join("vocab.txt");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}one\nmore\n")).unwrap();
    });
    let pickle = spoilt(&|folder| {
        let weights = folder.join("model.safetensors");
        fs::rename(weights, folder.join("pytorch_model.bin")).unwrap();
    });
    let weights = |edit: &dyn Fn(&mut std::collections::HashMap<String, Tensor>)| {
        spoilt(&|folder| edit_weights(&folder.join("model.safetensors"), edit))
    };
    let left_over = weights(&|tensors| {
        let more = tensors["encoder.layer.1.output.dense.bias"].copy();
        tensors.insert("encoder.layer.2.output.dense.bias".to_owned(), more);
    });
    let missing = weights(&|tensors| {
        tensors.remove("encoder.layer.1.output.LayerNorm.weight");
    });
    for (said, named) in [
        (remove("config.json"), "config.json"),
        (remove("vocab.txt"), "vocab.txt"),
        (write("vocab.txt", b""), "[UNK]"),
        (write("vocab.txt", b"\xff\xfe"), "vocab.txt"),
        (write("tokenizer.json", b"{}"), "tokenizer.json"),
        (
            write("tokenizer_config.json", b"[1"),
            "tokenizer_config.json",
        ),
        (
            write("tokenizer_config.json", b"{\"pad_token\": \"[NONE]\"}"),
            "[NONE]",
        ),
        (bom, "byte order mark"),
        (longer, "tokenizer has a token"),
        (pickle, "safetensors.torch"),
        (remove("model.safetensors"), "model.safetensors"),
        (write("model.safetensors", b"\x08"), "model.safetensors"),
        (left_over, "encoder.layer.2.output.dense.bias"),
        (missing, "encoder.layer.1.output.LayerNorm.weight"),
    ] {
        assert!(said.contains(named), "{named}: {said}");
    }
}

#[test]
fn configurations_that_cannot_be_run_are_refused() {
    for (text, named) in [
        (r#"{}"#, "model_type"),
        (r#"{"model_type": "roberta"}"#, "roberta"),
        (
            r#"{"model_type": "bert", "position_embedding_type": "relative_key"}"#,
            "position_embedding_type",
        ),
        (
            r#"{"model_type": "bert", "max_position_embeddings": 127}"#,
            "max_position_embeddings",
        ),
        (
            r#"{"model_type": "bert", "num_attention_heads": 7}"#,
            "num_attention_heads",
        ),
        (
            r#"{"model_type": "bert", "num_attention_heads": 0}"#,
            "num_attention_heads",
        ),
        (r#"{"model_type": "bert", "hidden_act": "tanh"}"#, "tanh"),
    ] {
        let said = Config::parse(text).unwrap_err().to_string();
        assert!(said.contains(named), "{named}: {said}");
    }
    let plain = Config::parse(r#"{"model_type": "cxr-bert", "projection_size": 128}"#).unwrap();
    assert_eq!((plain.hidden_size, plain.vocab_size), (768, 30522));
}
