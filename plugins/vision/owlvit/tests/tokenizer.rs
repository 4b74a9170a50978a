//! Phrases to tokens.

mod common;

use common::{Fixture, copy};
use medfocus_vision_owlvit::tokenizer::Phrases;
use medfocus_vision_owlvit::{Error, Result};

fn open(folder: &std::path::Path) -> Result<Phrases> {
    Phrases::from_folder(folder, &Fixture::load("hub").config().text)
}

fn refusal(folder: &std::path::Path) -> String {
    let error = open(folder).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    error.to_string()
}

#[test]
fn tokens_are_those_of_the_reference_and_a_long_phrase_is_cut() {
    for fixture in Fixture::all() {
        let tokenizer = fixture.tokenizer();
        for phrase in &fixture.facts.phrases {
            let read = tokenizer.read(&phrase.text).unwrap();
            assert_eq!(read.ids, phrase.cut, "{} {:?}", fixture.name, phrase.text);
            let longer = phrase.ids.len() > phrase.cut.len();
            assert_eq!(read.cut, longer, "{} {:?}", fixture.name, phrase.text);
        }
        let last = fixture.facts.phrases.last().unwrap();
        let limit = fixture.config().text.max_position_embeddings as usize;
        assert_eq!(last.cut.len(), limit);
        assert!(last.ids.len() > limit);
    }
}

#[test]
fn one_vocabulary_in_either_form_gives_the_same_tokens() {
    let [hub, saved] = ["hub", "saved"].map(Fixture::load);
    for phrase in &hub.facts.phrases[..common::SOUGHT] {
        let [a, b] = [&hub, &saved].map(|fixture| fixture.tokenizer().read(&phrase.text).unwrap());
        assert_eq!(a, b);
    }
}

#[test]
fn what_is_no_tokenizer_of_clip_is_refused_by_name() {
    let without = |name: &str| {
        let folder = copy("hub");
        std::fs::remove_file(folder.path().join(name)).unwrap();
        refusal(folder.path())
    };
    assert!(without("vocab.json").contains("vocab.json: cannot be read"));
    assert!(without("merges.txt").contains("merges.txt: cannot be read"));

    let with = |name: &str, text: &str| {
        let folder = copy("hub");
        std::fs::write(folder.path().join(name), text).unwrap();
        refusal(folder.path())
    };
    assert!(with("vocab.json", r#"{"a": 0}"#).contains("no <|startoftext|>"));
    assert!(with("vocab.json", "[]").contains("vocab.json"));
    assert!(with("merges.txt", "version\nno such\n").contains("not a readable tokenizer"));
    assert!(with("tokenizer.json", "{}").contains("tokenizer.json: is not a readable tokenizer"));
    let marks = r#"{"<|startoftext|>": 1, "<|endoftext|>": 0}"#;
    let folder = copy("hub");
    std::fs::write(folder.path().join("merges.txt"), "version").unwrap();
    std::fs::write(folder.path().join("vocab.json"), marks).unwrap();
    assert!(refusal(folder.path()).contains("is not CLIP's tokenizer"));
    let large = marks.replace('0', "100000");
    std::fs::write(folder.path().join("vocab.json"), large).unwrap();
    assert!(refusal(folder.path()).contains("has a token 100000"));
}
