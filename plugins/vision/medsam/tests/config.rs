//! `config.json`: sparse hub files and refusals.

use medfocus_torch::nn::Activation;
use medfocus_vision_medsam::config::Config;
use serde_json::{Value, json};

fn refusal(path: &[&str], value: Value) -> String {
    let mut json = json!({"model_type": "sam", "vision_config": {}, "prompt_encoder_config": {}, "mask_decoder_config": {}});
    let (last, parents) = path.split_last().unwrap();
    let mut place = &mut json;
    for key in parents {
        place = &mut place[*key];
    }
    place[*last] = value;
    Config::parse(&json.to_string()).unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_vit_b() {
    let config = Config::parse(r#"{"model_type": "sam"}"#).unwrap();
    let (vision, decoder) = (&config.vision, &config.decoder);
    assert_eq!((vision.hidden_size, vision.num_hidden_layers), (768, 12));
    assert_eq!((vision.grid(), vision.mlp_dim()), (64, 3072));
    let global: Vec<i64> = (0..12)
        .filter(|&layer| vision.window(layer).is_none())
        .collect();
    assert_eq!((global, vision.window(0)), (vec![2, 5, 8, 11], Some(14)));
    assert_eq!(vision.hidden_act, Activation::Gelu);
    assert_eq!((decoder.hidden_size, decoder.mlp_dim), (256, 2048));
    assert_eq!(decoder.hidden_act, Activation::Relu);
    assert_eq!(config.prompt.num_point_embeddings, 4);
}

#[test]
fn a_ratio_gives_the_width_of_the_mlps_unless_it_is_written() {
    let with = |vision: Value| {
        let json = json!({"model_type": "sam", "vision_config": vision});
        Config::parse(&json.to_string()).unwrap().vision
    };
    assert_eq!(with(json!({"mlp_ratio": 2.0})).mlp_dim(), 1536);
    assert_eq!(
        with(json!({"mlp_ratio": 2.0, "mlp_dim": 100})).mlp_dim(),
        100
    );
    assert_eq!(with(json!({"mlp_dim": null})).mlp_dim(), 3072);
    assert_eq!(with(json!({"window_size": 0})).window(0), None);
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    for (path, value, named) in [
        (vec!["model_type"], json!("sam2"), "sam2"),
        (vec!["vision_config", "hidden_act"], json!("tanh"), "tanh"),
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
            vec!["vision_config", "num_attention_heads"],
            json!(0),
            "num_attention_heads is 0",
        ),
        (
            vec!["vision_config", "patch_size"],
            json!(0),
            "patch_size is 0",
        ),
        (
            vec!["vision_config", "patch_size"],
            json!(i64::MAX),
            "patch_size",
        ),
        (
            vec!["vision_config", "image_size"],
            json!(1020),
            "multiple of 16",
        ),
        (
            vec!["vision_config", "image_size"],
            json!(512),
            "prompt image_size is 1024",
        ),
        (
            vec!["vision_config", "window_size"],
            json!(-1),
            "window_size is -1",
        ),
        (vec!["vision_config", "mlp_ratio"], json!(1e300), "mlp_dim"),
        (
            vec!["vision_config", "num_pos_feats"],
            json!(64),
            "num_pos_feats is 64",
        ),
        (
            vec!["vision_config", "num_pos_feats"],
            json!(i64::MIN),
            "num_pos_feats",
        ),
        (
            vec!["vision_config", "output_channels"],
            json!(128),
            "output_channels is 128",
        ),
        (
            vec!["prompt_encoder_config", "num_point_embeddings"],
            json!(3),
            "num_point_embeddings is 3",
        ),
        (
            vec!["mask_decoder_config", "iou_head_depth"],
            json!(1),
            "iou_head_depth is 1",
        ),
        (
            vec!["mask_decoder_config", "attention_downsample_rate"],
            json!(64),
            "multiple of 512",
        ),
        (
            vec!["mask_decoder_config", "num_multimask_outputs"],
            json!(0),
            "num_multimask_outputs is 0",
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
