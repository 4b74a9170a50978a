//! Every part of the network against the reference.

mod common;

use common::{Fixture, IMAGES, TOLERANCE, copy, edit_weights, folder, largest_difference};
use medfocus_plugin_api::Mask;
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use medfocus_vision_medsam::regions::{Layout, probabilities, region};
use medfocus_vision_medsam::{Error, Result, Sam};
use std::cell::RefCell;
use std::collections::HashMap;

fn go_on(_: usize) -> Result<()> {
    Ok(())
}

fn load(folder: &std::path::Path) -> Result<Sam> {
    Sam::from_folder(folder, Device::Cpu, Kind::Float)
}

fn refusal(folder: &std::path::Path) -> String {
    load(folder).unwrap_err().to_string()
}

/// The embedding of an image, from its pixels.
fn encode(sam: &Sam, fixture: &Fixture, index: usize) -> Tensor {
    let image = fixture.image(index);
    let pixels = fixture.processor().pixels(image.view()).unwrap();
    sam.encode(&pixels.unsqueeze(0), &go_on).unwrap()
}

fn corners(fixture: &Fixture, index: usize) -> Vec<[f64; 4]> {
    let (processor, image) = (fixture.processor(), fixture.image(index));
    let (height, width) = image.view().dim();
    let boxes = fixture.boxes(index);
    boxes
        .iter()
        .map(|bbox| processor.corners(bbox, height, width).unwrap())
        .collect()
}

#[test]
fn embeddings_are_those_of_the_reference() {
    for fixture in Fixture::all() {
        let sam = fixture.sam();
        for index in 0..IMAGES {
            let embedding = encode(&sam, &fixture, index).squeeze_dim(0);
            let name = format!("embedding.{index}");
            fixture.check(&name, &embedding, fixture.tensor(&name));
        }
    }
}

#[test]
fn masks_and_scores_are_those_of_the_reference_together_or_alone() {
    for fixture in Fixture::all() {
        let sam = fixture.sam();
        for index in 0..IMAGES {
            let embedding = encode(&sam, &fixture, index);
            let corners = corners(&fixture, index);
            let masks = fixture.tensor(&format!("masks.{index}"));
            let scores = fixture.tensor(&format!("scores.{index}"));
            let together = sam.decode(&embedding, &corners).unwrap();
            fixture.check("masks", &together.masks, masks);
            fixture.check("scores", &together.scores, scores);
            for (number, corners) in corners.iter().enumerate() {
                let alone = sam.decode(&embedding, &[*corners]).unwrap();
                let at = |all: &Tensor| all.narrow(0, number as i64, 1);
                fixture.check("masks alone", &alone.masks, &at(masks));
                fixture.check("scores alone", &alone.scores, &at(scores));
            }
        }
    }
}

#[test]
fn regions_are_those_of_the_reference() {
    for fixture in Fixture::all() {
        let processor = fixture.processor();
        let side = fixture.sam().config().vision.image_size;
        for index in 0..IMAGES {
            let (height, width) = fixture.image(index).view().dim();
            let (rows, columns) = processor.scaled(height, width);
            let layout = Layout {
                side,
                scaled: (rows as i64, columns as i64),
                image: (height as i64, width as i64),
            };
            let masks = fixture.tensor(&format!("masks.{index}"));
            let found = fixture.found(index);
            for (prompt, best) in fixture.best(index).into_iter().enumerate() {
                let logits = masks.select(0, prompt as i64).select(0, best);
                let probabilities = probabilities(&logits, layout).unwrap();
                let region = region(&probabilities).unwrap();
                let mask = Mask::from_array(region.view()).unwrap();
                assert_eq!(mask.tight_box(), found[prompt]);
                let expected = fixture.mask(index, prompt);
                for ((y, x), &inside) in region.indexed_iter() {
                    let probability = probabilities.double_value(&[y as i64, x as i64]);
                    // Another rounding may decide only what is undecided.
                    assert!(
                        inside == expected[(y, x)] || (probability - 0.5).abs() < 1e-6,
                        "{} {index} {prompt} ({x}, {y}): {probability}",
                        fixture.name
                    );
                }
            }
        }
    }
}

#[test]
fn probabilities_are_interpolated_and_not_logits() {
    // Between a sure yes and a mild no the middle of the logits says yes, the middle of the probabilities too,
    // but not with the same certainty.
    let logits = Tensor::from_slice(&[20.0_f32, -1.0])
        .reshape([1, 2])
        .expand([2, 2], false);
    let layout = Layout {
        side: 4,
        scaled: (4, 4),
        image: (4, 4),
    };
    let found = probabilities(&logits, layout).unwrap().select(0, 0);
    let (sure, mild) = (1.0, 1.0 / (1.0 + 1.0_f64.exp()));
    let expected = [
        sure,
        0.75 * sure + 0.25 * mild,
        0.25 * sure + 0.75 * mild,
        mild,
    ];
    assert!(largest_difference(&found, &Tensor::from_slice(&expected)) < 1e-6);
}

#[test]
fn padding_is_cut_off_whichever_way_it_lies() {
    // Sure of the padding, of nothing else.
    let below = Tensor::from_slice(&[-30.0_f32, -30.0, 30.0, 30.0])
        .reshape([4, 1])
        .expand([4, 4], false);
    for (logits, scaled) in [
        (below.shallow_clone(), (2, 4)),
        (below.transpose(0, 1), (4, 2)),
    ] {
        let layout = Layout {
            side: 4,
            scaled,
            image: (3, 3),
        };
        let found = probabilities(&logits, layout).unwrap();
        assert!(found.max().double_value(&[]) < 1e-6, "{scaled:?}");
        assert!(!region(&found).unwrap().iter().any(|&inside| inside));
    }
}

#[test]
fn bf16_comes_near() {
    let fixture = Fixture::load("hub");
    let narrow = Sam::from_folder(&folder("hub"), Device::Cpu, Kind::BFloat16).unwrap();
    let embedding = encode(&narrow, &fixture, 0);
    assert_eq!(embedding.kind(), Kind::BFloat16);
    let expected = fixture.tensor("embedding.0");
    let difference = largest_difference(&embedding.squeeze_dim(0), expected);
    assert!(difference > TOLERANCE && difference < 0.3, "{difference}");
    let decoded = narrow.decode(&embedding, &corners(&fixture, 0)).unwrap();
    assert_eq!(decoded.scores.size(), [5, 3]);
}

#[test]
fn gradients_reach_the_given_tensors_and_no_checkpoint() {
    let fixture = Fixture::load("hub");
    let config = fixture.sam().config().clone();
    let stored: HashMap<String, Tensor> =
        Tensor::read_safetensors(folder("hub").join("model.safetensors"))
            .unwrap()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.to_kind(Kind::Float).set_requires_grad(true)))
            .collect();
    let leaves = [
        "vision_encoder.layers.0.attn.rel_pos_h",
        "prompt_encoder.point_embed.2.weight",
        "prompt_encoder.no_mask_embed.weight",
        "mask_decoder.mask_tokens.weight",
    ]
    .map(|name| stored[name].shallow_clone());
    let pixels = fixture.processor().pixels(fixture.image(0).view()).unwrap();
    let masks = |sam: &Sam| {
        let embedding = sam.encode(&pixels.unsqueeze(0), &go_on).unwrap();
        sam.decode(&embedding, &[[0.0, 0.0, 9.0, 9.0]])
            .unwrap()
            .masks
    };
    let _recording = GradMode::recording();
    assert!(!masks(&fixture.sam()).requires_grad());
    let trained = Sam::new(config, &Weights::from_tensors(stored)).unwrap();
    masks(&trained).sum(Kind::Float).backward();
    for leaf in leaves {
        assert!(leaf.grad().abs().max().double_value(&[]) > 0.0);
    }
}

#[test]
fn every_layer_is_announced_and_can_be_stopped() {
    let fixture = Fixture::load("hub");
    let sam = fixture.sam();
    let pixels = fixture.processor().pixels(fixture.image(0).view()).unwrap();
    let seen = RefCell::new(Vec::new());
    let stopped = sam.encode(&pixels.unsqueeze(0), &|layer| {
        seen.borrow_mut().push(layer);
        if layer == 1 {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!((seen.into_inner(), sam.depth()), (vec![0, 1], 3));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let missing = copy("hub");
    edit_weights(missing.path(), |tensors| {
        let removed = tensors.remove("vision_encoder.neck.conv2.weight");
        assert!(removed.is_some());
    });
    assert!(refusal(missing.path()).contains("vision_encoder.neck.conv2.weight is missing"));

    let more = copy("hub");
    edit_weights(more.path(), |tensors| {
        let extra = Tensor::zeros([3], (Kind::Float, Device::Cpu));
        tensors.insert("vision_encoder.layers.3.norm.weight".to_owned(), extra);
    });
    assert!(refusal(more.path()).contains("vision_encoder.layers.3.norm.weight"));

    let unused_prompt = copy("hub");
    edit_weights(unused_prompt.path(), |tensors| {
        let wrong = Tensor::zeros([5], (Kind::Float, Device::Cpu));
        tensors.insert("prompt_encoder.mask_embed.conv1.bias".to_owned(), wrong);
    });
    let error = refusal(unused_prompt.path());
    assert!(
        error.contains("mask_embed.conv1.bias") && error.contains("[5]"),
        "{error}"
    );

    let positions = copy("saved");
    edit_weights(positions.path(), |tensors| {
        let repeated = "prompt_encoder.shared_embedding.positional_embedding";
        let changed = tensors[repeated].copy() + 1e-3;
        tensors.insert(repeated.to_owned(), changed);
    });
    assert!(refusal(positions.path()).contains("should repeat"));

    // Swapped configurations: another model's weights.
    let other = copy("hub");
    std::fs::copy(
        folder("saved").join("config.json"),
        other.path().join("config.json"),
    )
    .unwrap();
    for error in [refusal(other.path()), error] {
        assert!(!error.contains('\n'), "{error}");
    }
}
