//! Prompts and their states against the reference.

use crate::reference::{Loop, TOLERANCE, largest_difference};
use medfocus_editor_radedit::text::TextEncoder;
use medfocus_editor_radedit::text::tokenizer::WordPiece;
use medfocus_torch::tch::{Device, Kind};

#[test]
fn prompts_are_read_as_the_reference_reads_them() {
    let expected = Loop::read();
    let words = WordPiece::open(&expected.folder("text_encoder")).unwrap();
    for (number, prompt) in expected.prompts().enumerate() {
        let found = words.encode(&prompt).unwrap();
        assert_eq!(found.ids, expected.ids(number), "{prompt:?}");
        let padding = found.ids.iter().map(|id| *id != 0);
        assert!(padding.eq(found.seen.iter().copied()), "{prompt:?}");
    }
}

#[test]
fn states_are_those_of_the_reference_with_and_without_padding() {
    let expected = Loop::read();
    let folder = expected.folder("text_encoder");
    let encoder = TextEncoder::load(&folder, Device::Cpu, Kind::Float).unwrap();
    let words = WordPiece::open(&folder).unwrap();
    for (number, prompt) in expected.prompts().enumerate() {
        let read = words.encode(&prompt).unwrap();
        for (name, seen) in [("open", None), ("masked", Some(read.seen.as_slice()))] {
            let found = encoder.forward(&read.ids, seen).unwrap();
            let reference = expected.tensor(&format!("{name}.{number}"));
            let difference = largest_difference(&found, reference);
            assert!(difference < TOLERANCE, "{name} {prompt:?}: {difference:e}");
        }
    }
}

#[test]
fn a_broken_text_encoder_is_named() {
    let copied = || crate::reference::copy("../radedit_loop/text_encoder");
    let words = |folder: &std::path::Path| WordPiece::open(folder).err().map(|e| e.to_string());
    let folder = copied();
    std::fs::remove_file(folder.path().join("vocab.txt")).unwrap();
    assert!(
        words(folder.path())
            .unwrap()
            .contains("vocab.txt: cannot be read")
    );
    std::fs::write(folder.path().join("vocab.txt"), "[PAD]\n[CLS]\n[SEP]\nno\n").unwrap();
    assert!(words(folder.path()).unwrap().contains("has no token [UNK]"));
    std::fs::write(
        folder.path().join("tokenizer_config.json"),
        "{\"do_lower_case\": 3}",
    )
    .unwrap();
    assert!(words(folder.path()).is_some());
    let encoder = |folder: &std::path::Path| {
        TextEncoder::load(folder, Device::Cpu, Kind::Float)
            .unwrap_err()
            .to_string()
    };
    let folder = copied();
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    for (from, to, words) in [
        (
            "\"num_attention_heads\": 3",
            "\"num_attention_heads\": 5",
            "no multiple",
        ),
        ("\"absolute\"", "\"relative_key\"", "only \"absolute\""),
        ("\"hidden_size\": 12", "\"hidden_size\": 24", "has shape"),
        (
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
            "encoder.layer.2",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&config, text.replace(from, to)).unwrap();
        let error = encoder(folder.path());
        assert!(error.contains(words), "{error}");
    }
}
