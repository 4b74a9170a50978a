//! `config.json`: sparse hub files and refusals.

use medfocus_torch::nn::Activation;
use medfocus_vision_owlvit::OwlVit;
use medfocus_vision_owlvit::config::Config;
use serde_json::{Value, json};

fn refusal(path: &[&str], value: Value) -> String {
    let mut json = json!({"model_type": "owlvit", "text_config": {}, "vision_config": {}});
    let (last, parents) = path.split_last().unwrap();
    let mut place = &mut json;
    for key in parents {
        place = &mut place[*key];
    }
    place[*last] = value;
    Config::parse(&json.to_string()).unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_base_with_patches_of_32() {
    for text in [
        r#"{"model_type": "owlvit"}"#,
        r#"{"model_type": "owlvit", "text_config": null, "vision_config": {}, "text_config_dict": null}"#,
    ] {
        let config = Config::parse(text).unwrap();
        let (text, vision) = (&config.text, &config.vision);
        assert_eq!((text.vocab_size, text.hidden_size), (49408, 512));
        assert_eq!(
            (text.num_attention_heads, text.max_position_embeddings),
            (8, 16)
        );
        assert_eq!((vision.hidden_size, vision.num_hidden_layers), (768, 12));
        assert_eq!((vision.grid(), vision.num_attention_heads), (24, 12));
        assert_eq!(
            [text.hidden_act, vision.hidden_act],
            [Activation::QuickGelu; 2]
        );
        assert_eq!([text.layer_norm_eps, vision.layer_norm_eps], [1e-5; 2]);
        assert_eq!(config.projection, 512);
    }
}

/// What the sizes of the published configuration imply.
#[test]
fn base_has_as_many_parameters_as_published() {
    let config = Config::parse(r#"{"model_type": "owlvit"}"#).unwrap();
    let parameters = OwlVit::parameters(&config).unwrap();
    assert_eq!(
        parameters["owlvit.vision_model.embeddings.position_embedding.weight"],
        [577, 768]
    );
    assert_eq!(parameters["class_head.logit_scale.weight"], [1, 768]);
    let count: i64 = parameters
        .values()
        .map(|shape| shape.iter().product::<i64>())
        .sum();
    assert_eq!(count, COUNT);
}

/// Of `OwlViTForObjectDetection(OwlViTConfig())`.
const COUNT: i64 = 153_231_879;

#[test]
fn what_cannot_run_is_refused_by_name() {
    for (path, value, named) in [
        (vec!["model_type"], json!("owlv2"), "owlv2"),
        (vec!["projection_dim"], json!(256), "projection_dim is 256"),
        (vec!["text_config", "hidden_act"], json!("tanh"), "tanh"),
        (
            vec!["vision_config", "num_channels"],
            json!(1),
            "1 channels",
        ),
        (
            vec!["vision_config", "num_attention_heads"],
            json!(7),
            "multiple of 7",
        ),
        (
            vec!["text_config", "num_attention_heads"],
            json!(0),
            "num_attention_heads is 0",
        ),
        (
            vec!["text_config", "max_position_embeddings"],
            json!(2),
            "max_position_embeddings is 2",
        ),
        (
            vec!["vision_config", "patch_size"],
            json!(0),
            "patch_size is 0",
        ),
        (
            vec!["vision_config", "image_size"],
            json!(31),
            "image_size is 31",
        ),
        (
            vec!["vision_config", "hidden_size"],
            json!(i64::MAX),
            "hidden_size",
        ),
        (
            vec!["text_config", "vocab_size"],
            json!(i64::MIN),
            "vocab_size",
        ),
    ] {
        let error = refusal(&path, value);
        assert!(
            error.contains(named) && !error.contains('\n'),
            "{path:?}: {error}"
        );
    }
    assert!(Config::parse("{").is_err());
}
