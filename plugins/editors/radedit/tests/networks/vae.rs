//! Every part of the autoencoder against the reference.

use std::collections::HashMap;
use std::path::Path;

use crate::reference::{
    Reference, copy, edit_weights, edited_config, folder, largest_difference, read_json,
};
use medfocus_editor_radedit::diffusers::count;
use medfocus_editor_radedit::diffusers::resnet::Resnet;
use medfocus_editor_radedit::vae::Vae;
use medfocus_editor_radedit::vae::config::Config;
use medfocus_editor_radedit::vae::decoder::Decoder;
use medfocus_editor_radedit::vae::encoder::Encoder;
use medfocus_editor_radedit::vae::middle::Middle;
use medfocus_editor_radedit::{Error, Result};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use serde_json::json;

const CASES: [&str; 2] = ["vae_four", "vae_old"];

fn load(folder: &Path) -> Result<Vae> {
    Vae::load(folder, Device::Cpu, Kind::Float)
}

#[test]
fn moments_and_images_are_those_of_the_reference_at_any_size() {
    for name in CASES {
        let (reference, network) = (Reference::of(name), load(&folder(name)).unwrap());
        for run in 0..3 {
            let posterior = network
                .encode(reference.tensor(&format!("image.{run}")))
                .unwrap();
            reference.check(&format!("mean.{run}"), &posterior.mean);
            reference.check(&format!("std.{run}"), &posterior.std);
            let latents = reference.tensor(&format!("latents.{run}"));
            let decoded = network.decode(latents).unwrap();
            reference.check(&format!("decoded.{run}"), &decoded);
        }
        assert_eq!(json!(network.parameters()), reference.facts["parameters"]);
    }
    assert_eq!(load(&folder("vae_four")).unwrap().scaling(), 0.13025);
    assert_eq!(load(&folder("vae_old")).unwrap().scaling(), 0.18215);
}

#[test]
fn a_variance_beyond_reason_is_cut_off() {
    for name in CASES {
        let (reference, network) = (Reference::of(name), load(&folder(name)).unwrap());
        let std = network.encode(reference.tensor("image.0")).unwrap().std;
        // Half the logarithm of the largest and the smallest variance.
        for (channel, limit) in [10.0_f64, -15.0].into_iter().enumerate() {
            let found = std.select(1, channel as i64).to_kind(Kind::Double);
            let error = (found / limit.exp() - 1.0).abs().max().double_value(&[]);
            assert!(error < 1e-6, "{name} {limit}: {error:e}");
        }
    }
}

#[test]
fn parts_are_those_of_the_reference() {
    for name in CASES {
        let reference = Reference::of(name);
        let weights = Weights::open(&folder(name), Device::Cpu, Kind::Float).unwrap();
        let config = Config::from_folder(&folder(name)).unwrap();
        let encoder = Encoder::new(&weights, &config).unwrap();
        let moments = encoder.forward(reference.tensor("encoder.in")).unwrap();
        reference.check("encoder.out", &moments);
        let decoder = Decoder::new(&weights, &config).unwrap();
        let image = decoder.forward(reference.tensor("decoder.in")).unwrap();
        reference.check("decoder.out", &image);
        let parts = reference.facts["parts"].as_array().unwrap();
        assert_eq!(parts.len(), 3);
        for part in parts {
            let part = part.as_str().unwrap();
            let x = reference.tensor(&format!("{part}.in"));
            let out = match part.strip_suffix(".mid_block") {
                Some(side) => Middle::new(&weights, side, &config).unwrap().forward(x),
                None => {
                    let outputs = reference.tensor(&format!("{part}.out")).size()[1];
                    let resnet = Resnet::new(&weights, part, x.size()[1], outputs, config.resnet());
                    resnet.unwrap().forward(x, None)
                }
            };
            reference.check(&format!("{part}.out"), &out.unwrap());
        }
    }
}

#[test]
fn the_network_too_large_to_commit_has_the_parameters_of_the_reference() {
    let sizes = read_json(&folder("sizes.json"));
    let mut kinds = sizes.as_array().unwrap().iter();
    let sizes = kinds
        .find(|sizes| sizes["config"]["_class_name"] == "AutoencoderKL")
        .unwrap();
    let config = Config::parse(&sizes["config"].to_string()).unwrap();
    let shapes = Vae::shapes(&config).unwrap();
    assert_eq!(json!(shapes.len()), sizes["tensors"]);
    assert_eq!(json!(count(&shapes)), sizes["parameters"]);
    assert_eq!(count(&shapes), 83_653_863);
}

#[test]
fn only_a_network_that_says_so_is_kept_in_f32() {
    for (name, exact) in [("vae_four", true), ("vae_old", false)] {
        let reference = Reference::of(name);
        let network = Vae::load(&folder(name), Device::Cpu, Kind::BFloat16).unwrap();
        let decoded = network.decode(reference.tensor("latents.0")).unwrap();
        assert_eq!(decoded.kind(), Kind::Float);
        let difference = largest_difference(&decoded, reference.tensor("decoded.0"));
        assert_eq!(difference < 1e-4, exact, "{name}: {difference:e}");
        assert!(difference < 0.3, "{name}: {difference:e}");
    }
}

#[test]
fn what_is_not_run_is_refused_by_its_key() {
    for (key, value) in [
        ("latents_mean", json!([0.1, 0.2, 0.3, 0.4])),
        ("latents_std", json!([1.0, 1.0, 1.0, 1.0])),
        ("shift_factor", json!(0.1)),
        ("act_fn", json!("mish")),
        ("in_channels", json!(1)),
        ("out_channels", json!(4)),
        ("use_quant_conv", json!(false)),
        ("use_post_quant_conv", json!(false)),
        ("mid_block_add_attention", json!(false)),
        ("down_block_types", json!(["DownEncoderBlock2D"])),
        (
            "up_block_types",
            json!(["UpDecoderBlock2D", "AttnUpDecoderBlock2D"]),
        ),
        ("block_out_channels", json!([])),
        ("block_out_channels", json!([6, 10])),
        ("block_out_channels", json!([6.5, 9])),
        ("layers_per_block", json!([1, 1])),
        ("layers_per_block", json!(-1)),
        ("latent_channels", json!(0)),
        ("norm_num_groups", json!(4)),
        ("scaling_factor", json!(0)),
        ("scaling_factor", json!(null)),
        ("force_upcast", json!("yes")),
        ("a_later_key", json!(1)),
    ] {
        let error = Config::parse(&edited_config("vae_old", &json!({ key: value }))).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{key}: {error:?}");
        let said = error.to_string();
        assert!(said.contains(key) && !said.contains('\n'), "{key}: {said}");
    }
    let other = edited_config("vae_old", &json!({"_class_name": "AutoencoderTiny"}));
    let error = Config::parse(&other).unwrap_err();
    assert!(matches!(error, Error::Architecture(_)), "{error:?}");
}

#[test]
fn spoilt_weights_are_refused_by_name() {
    let spoilt = |edit: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let folder = copy("vae_old");
        let file = folder.path().join("diffusion_pytorch_model.safetensors");
        edit_weights(&file, edit);
        load(folder.path()).unwrap_err().to_string()
    };
    let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
    let attention = "encoder.mid_block.attentions.0";
    // Half of one naming and half of the other.
    let key = format!("{attention}.key.weight");
    let missing = spoilt(&|tensors| {
        let tensor = tensors.remove(&key).unwrap();
        tensors.insert(format!("{attention}.to_k.weight"), tensor);
    });
    assert!(
        missing.contains(&format!("tensor {key} is missing")),
        "{missing}"
    );
    let out = format!("{attention}.proj_attn.weight");
    let misshaped = spoilt(&|tensors| drop(tensors.insert(out.clone(), zeros(&[9, 9, 1, 1]))));
    assert!(
        misshaped.contains(&out) && misshaped.contains("[9, 9]"),
        "{misshaped}"
    );
    let extra = spoilt(&|tensors| drop(tensors.insert("loss.logvar".to_owned(), zeros(&[1]))));
    assert!(extra.contains("loss.logvar"), "{extra}");
}

#[test]
fn a_unet_is_no_autoencoder() {
    let error = load(&folder("unet_three")).unwrap_err().to_string();
    assert!(
        error.contains("UNet2DConditionModel") && error.contains("AutoencoderKL"),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    let error = load(empty.path()).unwrap_err().to_string();
    assert!(
        error.contains("give the folder of a diffusers autoencoder"),
        "{error}"
    );
}
