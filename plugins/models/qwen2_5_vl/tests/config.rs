//! `config.json` in every spelling, and what is refused.

use medfocus_model_qwen2_5_vl::Qwen2_5Vl;
use medfocus_model_qwen2_5_vl::config::Config;
use medfocus_torch::nn::Activation;
use serde_json::{Value, json};

/// As the released 3B has it on the hub.
fn hub() -> Value {
    json!({
        "model_type": "qwen2_5_vl", "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "tie_word_embeddings": true,
        "max_window_layers": 70, "sliding_window": 32768, "use_sliding_window": false, "eos_token_id": 151645,
        "image_token_id": 151655,
        "vision_config": {
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "in_chans": 3, "patch_size": 14,
            "out_hidden_size": 2048, "spatial_merge_size": 2, "temporal_patch_size": 2, "spatial_patch_size": 14,
            "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2, "hidden_act": "silu"
        }
    })
}

fn parse(json: &Value) -> Config {
    Config::parse(&json.to_string()).unwrap()
}

fn refusal(json: &Value) -> String {
    Config::parse(&json.to_string()).unwrap_err().to_string()
}

/// The decoder's fields one level down.
fn nested(rope: Value, key: &str) -> Value {
    let mut json = hub();
    let top = json.as_object_mut().unwrap();
    let mut text = serde_json::Map::new();
    for name in [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
        "rms_norm_eps",
        "rope_theta",
        "tie_word_embeddings",
        "eos_token_id",
    ] {
        text.extend(top.remove(name).map(|value| (name.to_owned(), value)));
    }
    top.remove("rope_scaling");
    text.insert(key.to_owned(), rope);
    json["text_config"] = Value::Object(text);
    json
}

#[test]
fn the_released_model_has_as_many_parameters_as_it_has() {
    let config = parse(&hub());
    let count = |config: &Config| {
        let shapes = Qwen2_5Vl::parameters(config).unwrap();
        let numbers: i64 = shapes
            .values()
            .map(|shape| shape.iter().product::<i64>())
            .sum();
        (shapes.len(), numbers)
    };
    assert_eq!(count(&config), (824, 3_754_622_976));
    let mut larger = hub();
    for (key, value) in [
        ("hidden_size", json!(3584)),
        ("intermediate_size", json!(18944)),
        ("num_hidden_layers", json!(28)),
        ("num_attention_heads", json!(28)),
        ("num_key_value_heads", json!(4)),
        ("vocab_size", json!(152_064)),
        ("tie_word_embeddings", json!(false)),
    ] {
        larger[key] = value;
    }
    larger["vision_config"]["out_hidden_size"] = json!(3584);
    assert_eq!(count(&parse(&larger)), (729, 8_292_166_656));
}

#[test]
fn three_spellings_are_one_configuration() {
    let config = parse(&hub());
    assert_eq!((config.text.head_dim(), config.vision.window()), (128, 8));
    assert_eq!(config.vision.token_side(), 28);
    let older = json!({"type": "default", "rope_type": "default", "mrope_section": [16, 24, 24]});
    assert_eq!(parse(&nested(older, "rope_scaling")), config);
    let mut newer = nested(
        json!({"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}),
        "rope_parameters",
    );
    newer["text_config"]
        .as_object_mut()
        .unwrap()
        .remove("rope_theta");
    assert_eq!(parse(&newer), config);
}

#[test]
fn what_a_file_leaves_out_takes_the_class_default() {
    let config = parse(&json!({
        "model_type": "qwen2_5_vl", "rope_scaling": {"mrope_section": [16, 24, 24]},
        "vision_config": {"out_hidden_size": 8192}
    }));
    let (text, vision) = (&config.text, &config.vision);
    assert_eq!(
        (text.hidden_size, text.layers, text.kv_heads),
        (8192, 80, 8)
    );
    assert_eq!(
        (text.rms_norm_eps, text.rope_theta, text.tied),
        (1e-5, 1e6, false)
    );
    assert_eq!((vision.hidden_size, vision.depth), (3584, 32));
    assert_eq!(vision.hidden_act, Activation::Silu);
    assert_eq!((config.image_token, config.eos), (151_655, vec![151_645]));
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    let with = |path: &[&str], value: Value| {
        let mut json = hub();
        let mut place = &mut json;
        for key in path {
            place = &mut place[*key];
        }
        *place = value;
        refusal(&json)
    };
    for (path, value, named) in [
        (&["model_type"][..], json!("qwen2_vl"), "qwen2_vl"),
        (&["hidden_size"], json!(0), "hidden_size is 0"),
        (&["num_attention_heads"], json!(5), "5 heads"),
        (&["num_key_value_heads"], json!(3), "3 key heads"),
        (&["rope_scaling"], json!(null), "mrope_section is missing"),
        (&["rope_scaling", "type"], json!("yarn"), "yarn"),
        (
            &["rope_scaling", "mrope_section"],
            json!([16, 24, 20]),
            "[16, 24, 20]",
        ),
        (&["layer_types"], json!(["sliding_attention"]), "sliding"),
        (&["vision_config", "in_chans"], json!(1), "1 channels"),
        (&["vision_config", "out_hidden_size"], json!(8), "8 wide"),
        (
            &["vision_config", "window_size"],
            json!(20),
            "window_size 20",
        ),
        (
            &["vision_config", "num_heads"],
            json!(640),
            "by row and column",
        ),
        (&["hidden_act"], json!("tanh"), "tanh"),
    ] {
        let refused = with(path, value);
        assert!(refused.contains(named), "{named}: {refused}");
    }
    let mut sliding = hub();
    sliding["use_sliding_window"] = json!(true);
    sliding["max_window_layers"] = json!(20);
    assert!(refusal(&sliding).contains("sliding"));
}
