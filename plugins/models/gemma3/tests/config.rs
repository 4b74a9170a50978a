//! `config.json`: sparse hub files, the spellings of later versions, and refusals.

use medfocus_model_gemma3::Gemma3;
use medfocus_model_gemma3::config::{Config, Reach, Rope};

/// What the hub stores for the 4B model; everything else is left to the defaults.
const HUB_4B: &str = r#"{
  "architectures": ["Gemma3ForConditionalGeneration"],
  "boi_token_index": 255999, "eoi_token_index": 256000, "eos_token_id": [1, 106],
  "image_token_index": 262144, "initializer_range": 0.02, "mm_tokens_per_image": 256,
  "model_type": "gemma3",
  "text_config": {
    "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
    "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024
  },
  "torch_dtype": "bfloat16",
  "vision_config": {
    "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model",
    "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": false
  }
}"#;

fn edited(path: &[&str], value: serde_json::Value) -> String {
    let mut json: serde_json::Value = serde_json::from_str(HUB_4B).unwrap();
    let (last, parents) = path.split_last().unwrap();
    let mut place = &mut json;
    for key in parents {
        place = &mut place[*key];
    }
    place[*last] = value;
    json.to_string()
}

#[test]
fn a_sparse_file_takes_the_class_defaults() {
    let config = Config::parse(HUB_4B).unwrap();
    let text = &config.text;
    assert_eq!((text.heads, text.kv_heads, text.head_dim), (8, 4, 256));
    assert_eq!(
        (text.vocab_size, text.query_pre_attn_scalar),
        (262_208, 256.0)
    );
    assert_eq!(
        text.rope_full,
        Rope {
            theta: 1e6,
            factor: 8.0
        }
    );
    assert_eq!(
        text.rope_sliding,
        Rope {
            theta: 1e4,
            factor: 1.0
        }
    );
    assert_eq!((text.rms_norm_eps, text.tied, text.bos), (1e-6, true, 2));
    let full: Vec<usize> = (0..34)
        .filter(|&layer| text.layers[layer] == Reach::Full)
        .collect();
    assert_eq!(full, [5, 11, 17, 23, 29]);
    assert_eq!(config.eos, [1, 106]);
    assert_eq!(config.vision.layer_norm_eps, 1e-6);
    assert_eq!(
        (config.grid_side(), config.vision.patches_per_side()),
        (16, 64)
    );
}

#[test]
fn an_empty_text_config_is_the_class_default() {
    let config = Config::parse(&edited(&["text_config"], serde_json::json!({}))).unwrap();
    assert_eq!(
        (config.text.hidden_size, config.text.sliding_window),
        (2304, 4096)
    );
    assert_eq!(
        (config.text.intermediate_size, config.text.layers.len()),
        (9216, 26)
    );
    assert_eq!(config.text.rope_full.factor, 1.0);
}

#[test]
fn the_parameters_of_the_real_models_are_counted() {
    let count = |config: &Config| {
        let shapes = Gemma3::parameters(config).unwrap();
        let total: i64 = shapes
            .values()
            .map(|shape| shape.iter().product::<i64>())
            .sum();
        (shapes.len(), total)
    };
    let mut config = Config::parse(HUB_4B).unwrap();
    assert_eq!(count(&config), (883, 4_300_079_472));

    config.text.hidden_size = 3840;
    config.text.intermediate_size = 15_360;
    config.text.layers = vec![Reach::Sliding; 48];
    (config.text.heads, config.text.kv_heads) = (16, 8);
    assert_eq!(count(&config), (1065, 12_187_325_040));
}

#[test]
fn later_spellings_mean_the_same() {
    let hub = Config::parse(HUB_4B).unwrap();
    let types: Vec<&str> = (1..=34)
        .map(|n| {
            if n % 6 == 0 {
                "full_attention"
            } else {
                "sliding_attention"
            }
        })
        .collect();
    let saved = edited(&["text_config", "layer_types"], serde_json::json!(types));
    assert_eq!(Config::parse(&saved).unwrap(), hub);

    let pattern = edited(
        &["text_config", "_sliding_window_pattern"],
        serde_json::json!(6),
    );
    assert_eq!(Config::parse(&pattern).unwrap(), hub);

    let both = serde_json::json!({"factor": 8.0, "type": "linear", "rope_type": "linear"});
    assert_eq!(
        Config::parse(&edited(&["text_config", "rope_scaling"], both)).unwrap(),
        hub
    );

    let per_kind = serde_json::json!({
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    });
    assert_eq!(
        Config::parse(&edited(&["text_config", "rope_parameters"], per_kind)).unwrap(),
        hub
    );
}

#[test]
fn another_pattern_is_followed() {
    let config = Config::parse(&edited(
        &["text_config", "sliding_window_pattern"],
        serde_json::json!(2),
    ))
    .unwrap();
    assert_eq!(
        config.text.layers[..4],
        [Reach::Sliding, Reach::Full, Reach::Sliding, Reach::Full]
    );
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    let cases: [(&[&str], serde_json::Value, &str); 8] = [
        (&["model_type"], "qwen2_5_vl".into(), "qwen2_5_vl"),
        (
            &["text_config", "num_key_value_heads"],
            3.into(),
            "8 query heads",
        ),
        (&["text_config", "hidden_activation"], "silu".into(), "silu"),
        (
            &["text_config", "rope_scaling"],
            serde_json::json!({"rope_type": "yarn", "factor": 2.0}),
            "yarn",
        ),
        (
            &["text_config", "layer_types"],
            serde_json::json!(["full_attention"]),
            "layer_types lists 1",
        ),
        (
            &["text_config", "use_bidirectional_attention"],
            true.into(),
            "bidirectional",
        ),
        (&["mm_tokens_per_image"], 200.into(), "200 image tokens"),
        (
            &["vision_config", "patch_size"],
            0.into(),
            "patch_size is 0",
        ),
    ];
    for (path, value, expected) in cases {
        let error = Config::parse(&edited(path, value)).unwrap_err().to_string();
        assert!(error.contains(expected), "{path:?}: {error}");
    }
}

#[test]
fn the_image_token_may_stand_under_both_keys() {
    let image_token = |id: i64| {
        let mut json: serde_json::Value = serde_json::from_str(HUB_4B).unwrap();
        json["image_token_index"] = 262_144.into();
        json["image_token_id"] = id.into();
        Config::parse(&json.to_string())
    };
    assert_eq!(image_token(262_144).unwrap().image_token, 262_144);
    let error = image_token(7).unwrap_err().to_string();
    assert!(error.contains("image_token_id 7"), "{error}");
}
