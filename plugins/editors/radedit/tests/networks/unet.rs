//! Every part of the UNet against the reference.

use std::path::Path;

use crate::reference::{
    Reference, TOLERANCE, copy, edit_weights, edited_config, folder, largest_difference, read_json,
};
use medfocus_editor_radedit::diffusers::count;
use medfocus_editor_radedit::diffusers::layers::Conv;
use medfocus_editor_radedit::diffusers::resnet::Resnet;
use medfocus_editor_radedit::unet::UNet;
use medfocus_editor_radedit::unet::blocks::{Condition, DownBlock, MidBlock, UpBlock};
use medfocus_editor_radedit::unet::config::{Config, Level};
use medfocus_editor_radedit::unet::time::TimeEmbedding;
use medfocus_editor_radedit::unet::transformer::Transformer;
use medfocus_editor_radedit::{Error, Result};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use serde_json::json;

const CASES: [&str; 3] = ["unet_three", "unet_four", "unet_five"];
const F32: (Kind, Device) = (Kind::Float, Device::Cpu);

fn load(folder: &Path) -> Result<UNet> {
    UNet::load(folder, Device::Cpu, Kind::Float)
}

fn weights(name: &str) -> Weights {
    Weights::open(&folder(name), Device::Cpu, Kind::Float).unwrap()
}

fn timestep(reference: &Reference, run: usize) -> i64 {
    reference.facts["timesteps"][run].as_i64().unwrap()
}

#[test]
fn noise_is_that_of_the_reference_at_any_size() {
    for name in CASES {
        let (reference, network) = (Reference::of(name), load(&folder(name)).unwrap());
        for run in 0..3 {
            let latents = reference.tensor(&format!("latents.{run}"));
            let text = reference.tensor(&format!("text.{run}"));
            let noise = network
                .forward(latents, timestep(&reference, run), text)
                .unwrap();
            reference.check(&format!("noise.{run}"), &noise);
        }
        assert_eq!(json!(network.parameters()), reference.facts["parameters"]);
    }
}

#[test]
fn every_block_leaves_what_the_reference_leaves() {
    for name in CASES {
        let (reference, weights) = (Reference::of(name), weights(name));
        let config = Config::from_folder(&folder(name)).unwrap();
        let time = TimeEmbedding::new(&weights, &config).unwrap();
        let time = time.forward(timestep(&reference, 0), F32).unwrap();
        reference.check("time_embedding.out", &time);
        let condition = Condition {
            time: &time,
            text: reference.tensor("text.0"),
        };
        let (inputs, levels) = (config.in_channels, config.levels.len());
        let conv_in = Conv::same(&weights, "conv_in", inputs, config.levels[0].channels).unwrap();
        let mut x = conv_in.forward(reference.tensor("latents.0")).unwrap();
        reference.check("conv_in.out", &x);
        let mut kept = vec![x.shallow_clone()];
        for number in 0..levels {
            let block = DownBlock::new(&weights, &config, number).unwrap();
            x = block.forward(x, condition, &mut kept).unwrap();
            reference.check(&format!("down_blocks.{number}.out"), &x);
        }
        let middle = MidBlock::new(&weights, &config).unwrap();
        x = middle.forward(&x, condition).unwrap();
        reference.check("mid_block.out", &x);
        for number in 0..levels {
            let block = UpBlock::new(&weights, &config, number).unwrap();
            x = block.forward(x, condition, &mut kept).unwrap();
            reference.check(&format!("up_blocks.{number}.out"), &x);
        }
        assert!(kept.is_empty());
    }
}

#[test]
fn residual_blocks_and_transformers_are_those_of_the_reference() {
    for name in CASES {
        let (reference, weights) = (Reference::of(name), weights(name));
        let config = Config::from_folder(&folder(name)).unwrap();
        let time = reference.tensor("time_embedding.out");
        let text = reference.tensor("text.0");
        let parts = reference.facts["parts"].as_array().unwrap();
        assert_eq!(parts.len(), 3);
        for part in parts {
            let part = part.as_str().unwrap();
            let x = reference.tensor(&format!("{part}.in"));
            let out = if part.contains("resnets") {
                let outputs = reference.tensor(&format!("{part}.out")).size()[1];
                let resnet = Resnet::new(&weights, part, x.size()[1], outputs, config.resnet());
                resnet.unwrap().forward(x, Some(time))
            } else {
                let level: usize = part.split('.').nth(1).unwrap().parse().unwrap();
                let level: &Level = &config.levels[level];
                let only_cross = level.only_cross_attention;
                let transformer = Transformer::new(&weights, part, &config, level, only_cross);
                transformer.unwrap().forward(x, text)
            };
            reference.check(&format!("{part}.out"), &out.unwrap());
        }
    }
}

#[test]
fn no_key_is_without_effect() {
    let reference = Reference::of("unet_four");
    let (latents, text) = (reference.tensor("latents.1"), reference.tensor("text.1"));
    for (key, value) in [
        ("norm_eps", json!(1e-5)),
        ("attention_head_dim", json!([1, 2, 3, 2])),
        ("attention_head_dim", json!([1, 4, 3, 4])),
        ("flip_sin_to_cos", json!(true)),
        ("freq_shift", json!(0)),
        ("downsample_padding", json!(1)),
        ("mid_block_scale_factor", json!(1)),
        ("norm_num_groups", json!(1)),
    ] {
        let text_of_config = edited_config("unet_four", &json!({ key: value }));
        let config = Config::parse(&text_of_config).unwrap();
        let network = UNet::new(config, &weights("unet_four")).unwrap();
        let noise = network
            .forward(latents, timestep(&reference, 1), text)
            .unwrap();
        let difference = largest_difference(&noise, reference.tensor("noise.1"));
        assert!(difference > 10.0 * TOLERANCE, "{key}: {difference:e}");
    }
}

#[test]
fn networks_too_large_to_commit_have_the_parameters_of_the_reference() {
    let mut compared = 0;
    for sizes in read_json(&folder("sizes.json")).as_array().unwrap() {
        if sizes["config"]["_class_name"] == "UNet2DConditionModel" {
            let config = Config::parse(&sizes["config"].to_string()).unwrap();
            let shapes = UNet::shapes(&config).unwrap();
            assert_eq!(json!(shapes.len()), sizes["tensors"]);
            assert_eq!(json!(count(&shapes)), sizes["parameters"]);
            compared += 1;
        }
    }
    assert_eq!(compared, 4);
}

#[test]
fn an_empty_configuration_is_the_reference_s_default() {
    let config = Config::parse(r#"{"_class_name": "UNet2DConditionModel"}"#).unwrap();
    let channels: Vec<i64> = config.levels.iter().map(|level| level.channels).collect();
    assert_eq!(channels, [320, 640, 1280, 1280]);
    let last = &config.levels[3];
    assert_eq!((last.heads, last.layers, last.depth), (8, 2, 1));
    assert!(!last.attends_down && !last.attends_up && config.levels[0].attends_up);
    assert_eq!(
        (config.cross_attention_dim, config.time_width),
        (1280, 1280)
    );
    assert!(config.flip_sin_to_cos && config.freq_shift == 0.0);
}

#[test]
fn half_precision_stays_near_and_keeps_the_format_of_the_latents() {
    let reference = Reference::of("unet_three");
    let network = UNet::load(&folder("unet_three"), Device::Cpu, Kind::BFloat16).unwrap();
    let (latents, text) = (reference.tensor("latents.1"), reference.tensor("text.1"));
    let noise = network
        .forward(latents, timestep(&reference, 1), text)
        .unwrap();
    assert_eq!(noise.kind(), Kind::Float);
    let difference = largest_difference(&noise, reference.tensor("noise.1"));
    assert!(difference > 1e-5 && difference < 0.2, "{difference}");
}

#[test]
fn what_is_not_run_is_refused_by_its_key() {
    for (key, value) in [
        ("act_fn", json!("gelu")),
        ("num_attention_heads", json!(8)),
        ("mid_block_type", json!("UNetMidBlock2DSimpleCrossAttn")),
        ("mid_block_type", json!(null)),
        (
            "down_block_types",
            json!(["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"]),
        ),
        (
            "up_block_types",
            json!(["UpBlock2D", "UpBlock2D", "ResnetUpsampleBlock2D"]),
        ),
        ("up_block_types", json!(["UpBlock2D"])),
        ("block_out_channels", json!([])),
        ("down_block_types", json!(["DownBlock2D", "DownBlock2D"])),
        ("block_out_channels", json!([4, 8, 0])),
        ("block_out_channels", json!([4, 8, 9])),
        ("block_out_channels", json!([4, 8, i64::MAX])),
        ("block_out_channels", json!(null)),
        ("attention_head_dim", json!(3)),
        ("attention_head_dim", json!([2, 2])),
        ("attention_head_dim", json!("2")),
        ("layers_per_block", json!(0)),
        ("layers_per_block", json!([1, 1, -1])),
        ("transformer_layers_per_block", json!([1, 1, [1, 2]])),
        ("transformer_layers_per_block", json!(1.5)),
        ("reverse_transformer_layers_per_block", json!([1, 1, 1])),
        ("only_cross_attention", json!([true])),
        ("mid_block_only_cross_attention", json!(true)),
        ("cross_attention_dim", json!([12, 12, 12])),
        ("norm_num_groups", json!(null)),
        ("norm_num_groups", json!(3)),
        ("norm_eps", json!(0)),
        ("downsample_padding", json!(2)),
        ("mid_block_scale_factor", json!(0)),
        ("freq_shift", json!(2)),
        ("time_embedding_type", json!("fourier")),
        ("time_embedding_dim", json!(0)),
        ("time_embedding_act_fn", json!("silu")),
        ("time_cond_proj_dim", json!(256)),
        ("resnet_time_scale_shift", json!("scale_shift")),
        ("resnet_out_scale_factor", json!(2)),
        ("center_input_sample", json!(true)),
        ("class_embed_type", json!("timestep")),
        ("num_class_embeds", json!(10)),
        ("addition_embed_type", json!("text_time")),
        ("encoder_hid_dim", json!(768)),
        ("dual_cross_attention", json!(true)),
        ("attention_type", json!("gated")),
        ("conv_in_kernel", json!(1)),
        ("a_later_key", json!(false)),
    ] {
        let text = edited_config("unet_three", &json!({ key: value }));
        let error = Config::parse(&text).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{key}: {error:?}");
        let said = error.to_string();
        assert!(said.contains(key) && !said.contains('\n'), "{key}: {said}");
    }
    // Nothing, the default however it is written, and what does not change a trained network.
    for changes in [
        json!({"a_later_key": null, "resnet_out_scale_factor": 1}),
        json!({"sample_size": [64, 64], "dropout": 0.5, "upcast_attention": true}),
    ] {
        Config::parse(&edited_config("unet_three", &changes)).unwrap();
    }
    let other = edited_config("unet_three", &json!({"_class_name": "UNet2DModel"}));
    let error = Config::parse(&other).unwrap_err();
    assert!(matches!(error, Error::Architecture(_)), "{error:?}");
    for text in ["", "[]", "{"] {
        assert!(Config::parse(text).is_err(), "{text}");
    }
}

#[test]
fn spoilt_weights_are_refused_by_name() {
    let file = "diffusion_pytorch_model.safetensors";
    let name = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight";
    let spoilt = |edit: &dyn Fn(&mut std::collections::HashMap<String, Tensor>)| {
        let folder = copy("unet_three");
        edit_weights(&folder.path().join(file), edit);
        load(folder.path()).unwrap_err().to_string()
    };
    let zeros = |size: &[i64]| Tensor::zeros(size, F32);
    let missing = spoilt(&|tensors| drop(tensors.remove(name)));
    assert!(
        missing.contains(&format!("tensor {name} is missing")),
        "{missing}"
    );
    let misshaped = spoilt(&|tensors| drop(tensors.insert(name.to_owned(), zeros(&[4, 11]))));
    assert!(
        misshaped.contains(name) && misshaped.contains("[4, 12]"),
        "{misshaped}"
    );
    let extra =
        spoilt(&|tensors| drop(tensors.insert("class_embedding.weight".to_owned(), zeros(&[1]))));
    assert!(extra.contains("class_embedding.weight"), "{extra}");
    // More layers than any file holds.
    let changes = json!({"layers_per_block": 1 << 16, "transformer_layers_per_block": 1 << 16});
    let config = Config::parse(&edited_config("unet_three", &changes)).unwrap();
    let endless = UNet::new(config, &weights("unet_three")).unwrap_err();
    let first = "down_blocks.0.attentions.0.transformer_blocks.1.";
    assert!(endless.to_string().contains(first), "{endless}");
    // A projection stored the other way.
    let proj = "mid_block.attentions.0.proj_in.weight";
    let flat = spoilt(&|tensors| drop(tensors.insert(proj.to_owned(), zeros(&[8, 8]))));
    assert!(
        flat.contains(proj) && flat.contains("[8, 8, 1, 1]"),
        "{flat}"
    );
}

#[test]
fn a_folder_that_is_no_unet_says_what_to_do() {
    let folder = copy("unet_three");
    let weights = folder.path().join("diffusion_pytorch_model.safetensors");
    let refused = || load(folder.path()).unwrap_err().to_string();
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let truncated = refused();
    assert!(
        truncated.contains("diffusion_pytorch_model.safetensors"),
        "{truncated}"
    );
    std::fs::remove_file(&weights).unwrap();
    std::fs::write(folder.path().join("diffusion_pytorch_model.bin"), "pickle").unwrap();
    let pickled = refused();
    assert!(
        pickled.contains("diffusion_pytorch_model.bin") && pickled.contains("save_pretrained"),
        "{pickled}"
    );
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    std::fs::remove_file(folder.path().join("diffusion_pytorch_model.bin")).unwrap();
    let empty = refused();
    assert!(
        empty.contains("give the folder of a diffusers UNet"),
        "{empty}"
    );
}
