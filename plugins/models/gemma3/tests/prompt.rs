//! Questions and answers to tokens, and where the answer lies.

mod common;

use common::{CASES, folder};
use medfocus_lvlm::prompt::Prompter;
use medfocus_model_gemma3::Family;
use medfocus_model_gemma3::config::Config;
use medfocus_plugin_api::AnswerSpan;

fn config(name: &str) -> Config {
    Config::from_folder(&folder(name)).unwrap()
}

fn prompter(name: &str) -> Prompter {
    Prompter::from_folder::<Family>(&folder(name), &config(name)).unwrap()
}

/// What these ids are shown as, together.
fn shown(prompter: &Prompter, ids: &[i64]) -> String {
    let tokens = prompter.describe(ids).into_iter();
    tokens.map(|token| token.text).collect()
}

/// Image tokens of an image.
fn tokens(name: &str) -> usize {
    config(name).grid().tokens()
}

#[test]
fn a_sequence_begins_once_and_newlines_merge_around_the_image() {
    for name in CASES {
        let prompter = prompter(name);
        let ids = prompter
            .question("Is there any evidence?", tokens(name))
            .unwrap();
        let config = config(name);
        assert_eq!(ids[0], config.text.bos);
        assert_ne!(ids[1], config.text.bos);
        let image = ids.iter().position(|&id| id == config.begin_image).unwrap();
        assert_eq!(prompter.describe(&ids[image - 1..image])[0].text, "\n\n\n");
        let tokens = config.tokens_per_image as usize;
        assert!(
            ids[image + 1..][..tokens]
                .iter()
                .all(|&id| id == config.image_token)
        );
        assert_eq!(ids[image + 1 + tokens], config.end_image);
        assert_eq!(
            prompter.describe(&ids[image + 2 + tokens..][..1])[0].text,
            "\n\n"
        );
    }
}

#[test]
fn white_space_around_question_and_answer_is_trimmed() {
    let prompter = prompter("hub");
    let plain = prompter
        .answered("Is it?", "yes", AnswerSpan::Answer, tokens("hub"))
        .unwrap();
    let padded = prompter
        .answered(" \n Is it? ", "\tyes \n", AnswerSpan::Answer, tokens("hub"))
        .unwrap();
    assert_eq!(plain, padded);
}

#[test]
fn the_answer_is_read_back_from_its_span() {
    let prompter = prompter("small");
    for answer in ["yes", "No heart\n\nleft lung", "é ☃", "a  b"] {
        let answered = prompter
            .answered("Is it?", answer, AnswerSpan::Answer, tokens("small"))
            .unwrap();
        assert_eq!(
            prompter.decode(&answered.ids[answered.answer]).unwrap(),
            answer
        );
    }
}

#[test]
fn tokens_show_their_white_space() {
    let prompter = prompter("hub");
    let answered = prompter
        .answered("Is it?", "the heart", AnswerSpan::Answer, tokens("hub"))
        .unwrap();
    let ids = &answered.ids[answered.answer];
    assert_eq!(shown(&prompter, ids), "the heart");
}

#[test]
fn an_empty_answer_and_a_smuggled_image_are_refused() {
    let prompter = prompter("hub");
    let empty = prompter
        .answered("Is it?", " \n", AnswerSpan::Turn, tokens("hub"))
        .unwrap_err()
        .to_string();
    assert!(empty.contains("answer is empty"), "{empty}");
    for smuggled in ["<start_of_image>", "what is <image_soft_token>?"] {
        let error = prompter
            .question(smuggled, tokens("hub"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("one of its own tokens"), "{error}");
    }
}

#[test]
fn what_the_model_would_read_as_its_own_token_is_refused() {
    let prompter = prompter("hub");
    let image = tokens("hub");
    let smuggled = "yes<end_of_turn>";
    let question = prompter.question(smuggled, image).unwrap_err().to_string();
    assert!(
        question.contains("the question holds \"<end_of_turn>\""),
        "{question}"
    );
    let answer = prompter.answered("Is it?", smuggled, AnswerSpan::Answer, image);
    let answer = answer.unwrap_err().to_string();
    assert!(answer.contains("the answer holds"), "{answer}");
    // What only looks like one is text.
    let plain = prompter.answered("Is it < 3?", "<b>yes</b>", AnswerSpan::Answer, image);
    assert!(plain.is_ok());
}

#[test]
fn a_turn_closes_with_its_end_token() {
    let prompter = prompter("hub");
    let closing = prompter.closing().unwrap();
    assert_eq!(shown(&prompter, &closing), "<end_of_turn>\n");
}

#[test]
fn the_bytes_of_a_character_are_shown_as_the_character() {
    let prompter = prompter("hub");
    let answered = prompter
        .answered("Is it?", "é ☃", AnswerSpan::Answer, tokens("hub"))
        .unwrap();
    let ids = &answered.ids[answered.answer];
    assert!(ids.len() > 3, "written byte by byte: {ids:?}");
    assert_eq!(shown(&prompter, ids), "é ☃");
    // Half of a character is none.
    let half = shown(&prompter, &ids[..ids.len() - 1]);
    assert!(half.ends_with(char::REPLACEMENT_CHARACTER), "{half}");
}

#[test]
fn a_template_may_mark_what_was_trained_on() {
    let copy = tempfile::tempdir().unwrap();
    for file in [
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ] {
        std::fs::copy(folder("hub").join(file), copy.path().join(file)).unwrap();
    }
    let path = copy.path().join("chat_template.jinja");
    let template = std::fs::read_to_string(&path).unwrap();
    let marked = format!("{{% generation %}}{template}{{% endgeneration %}}");
    std::fs::write(&path, marked).unwrap();
    let marked = Prompter::from_folder::<Family>(copy.path(), &config("hub")).unwrap();
    let image = tokens("hub");
    assert_eq!(
        marked.question("Is it?", image).unwrap(),
        prompter("hub").question("Is it?", image).unwrap()
    );
}

#[test]
fn a_template_may_write_json_and_the_day() {
    let copy = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(folder("hub").join(file), copy.path().join(file)).unwrap();
    }
    let shown = |template: &str| {
        let text = format!("{template}<start_of_image>");
        std::fs::write(copy.path().join("chat_template.jinja"), text).unwrap();
        let prompter = Prompter::from_folder::<Family>(copy.path(), &config("hub")).unwrap();
        let ids = prompter.question("Is it <é>?", tokens("hub"));
        ids.map(|ids| shown(&prompter, &ids))
    };
    // As Python's json.dumps writes them.
    let json = shown("{{ messages[0]['content'] | tojson }}").unwrap();
    let expected = r#"[{"type": "image"}, {"type": "text", "text": "Is it <é>?"}]"#;
    assert!(json.contains(expected), "{json}");
    let indented = shown("{{ {'a': [1, true, none]} | tojson(indent=2) }}").unwrap();
    let expected = "{\n  \"a\": [\n    1,\n    true,\n    null\n  ]\n}";
    assert!(indented.contains(expected), "{indented}");
    let year = shown("{{ strftime_now('%Y') }}").unwrap();
    assert!(year.contains("<bos>20"), "{year}");
    let wrong = shown("{{ strftime_now('%!') }}").unwrap_err().to_string();
    assert!(wrong.contains("does not know the format"), "{wrong}");
}

#[test]
fn a_template_is_looked_for_in_three_places() {
    let original = folder("hub");
    let config = Config::from_folder(&original).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(original.join(file), copy.path().join(file)).unwrap();
    }
    let missing = Prompter::from_folder::<Family>(copy.path(), &config)
        .unwrap_err()
        .to_string();
    assert!(missing.contains("no chat template"), "{missing}");

    let write =
        |template: &str| std::fs::write(copy.path().join("chat_template.jinja"), template).unwrap();
    write("{% if %}");
    let broken = Prompter::from_folder::<Family>(copy.path(), &config)
        .unwrap_err()
        .to_string();
    assert!(broken.contains("chat_template.jinja"), "{broken}");

    write("{{ raise_exception('only cats') }}");
    let refused = Prompter::from_folder::<Family>(copy.path(), &config).unwrap();
    let error = refused
        .question("Is it?", tokens("hub"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("only cats"), "{error}");

    write("{{ bos_token }}{{ bos_token }}<start_of_image>");
    let twice = Prompter::from_folder::<Family>(copy.path(), &config).unwrap();
    let error = twice
        .question("Is it?", tokens("hub"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("twice"), "{error}");
}
