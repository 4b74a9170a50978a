//! What the host is told of a checkpoint, and how tokens are shown.

mod common;

use common::FIXTURES;
use medfocus_lvlm::plugin::Settings;
use medfocus_lvlm_parity::fixture::host;
use medfocus_model_qwen2_5_vl::Qwen2_5VlPlugin;
use medfocus_plugin_api::{
    AnswerSpan, AttentionKind, Component, Context, Coordinates, VisionLanguageModel,
};

#[test]
fn the_description_follows_the_checkpoint() {
    let settings = Settings {
        path: FIXTURES.folder("hub").display().to_string(),
        device: "cpu".to_owned(),
        ..Settings::default()
    };
    let plugin = Qwen2_5VlPlugin::new(settings, Context::new(host())).unwrap();
    let info = plugin.info().unwrap();
    assert_eq!(info.family, "qwen2_5_vl");
    assert_eq!((info.input, info.grid), (Some((224, 224)), (8, 8)));
    assert_eq!(info.coordinates, Coordinates::XyxyPixels);
    assert_eq!((info.heads, info.hidden), (6, 48));
    assert_eq!(info.layers, [AttentionKind::Full; 4]);
    assert!(info.memory.is_some_and(|memory| memory.score > 0));
}

#[test]
fn the_bytes_of_a_character_are_shown_as_the_character() {
    let backend = FIXTURES.load("hub").backend(1);
    let prompter = backend.prompter();
    let text = " the heart é ☃";
    let answered = prompter
        .answered("Is it?", text, AnswerSpan::Answer, 12)
        .unwrap();
    let ids = &answered.ids[answered.answer];
    let tokens = prompter.describe(ids);
    let shown: String = tokens.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(shown, text);
    assert!(tokens[0].text.starts_with(" t"), "{tokens:?}");
    assert!(
        tokens.iter().any(|token| token.text.is_empty()),
        "{tokens:?}"
    );
    assert_eq!(prompter.decode(ids).unwrap(), text);
}

#[test]
fn text_is_not_trimmed_and_a_system_turn_comes_first() {
    let backend = FIXTURES.load("hub").backend(1);
    let prompter = backend.prompter();
    let ids = prompter.question(" Is it? ", 12).unwrap();
    let text: String = prompter
        .describe(&ids)
        .into_iter()
        .map(|token| token.text)
        .collect();
    let image = "<|image_pad|>".repeat(12);
    assert_eq!(
        text,
        format!(
            "<|im_start|>system\nYou are right.<|im_end|>\n<|im_start|>user\n<|vision_start|>{image}<|vision_end|> Is it? <|im_end|>\n<|im_start|>assistant\n"
        )
    );
}
