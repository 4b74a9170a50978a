//! Every part of the network against the reference.

mod common;

use common::{Fixture, IMAGES, SOUGHT, TOLERANCE, copy, edit_weights, folder, largest_difference};
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use medfocus_vision_owlvit::{Error, OwlVit, Result};
use std::cell::RefCell;
use std::collections::HashMap;

fn go_on(_: usize) -> Result<()> {
    Ok(())
}

fn refusal(folder: &std::path::Path) -> String {
    OwlVit::from_folder(folder, Device::Cpu, Kind::Float)
        .unwrap_err()
        .to_string()
}

fn pixels(fixture: &Fixture, index: usize) -> Tensor {
    let pixels = fixture.processor().pixels(fixture.image(index).view());
    pixels.unwrap().unsqueeze(0)
}

#[test]
fn features_and_boxes_are_those_of_the_reference() {
    for fixture in Fixture::all() {
        let owl = fixture.owl(Kind::Float);
        for index in 0..IMAGES {
            let features = owl.encode(&pixels(&fixture, index), &go_on).unwrap();
            let boxes = owl.boxes(&features).unwrap();
            for (name, found) in [("features", features), ("boxes", boxes)] {
                let name = format!("{name}.{index}");
                fixture.check(&name, &found.squeeze_dim(0), fixture.tensor(&name));
            }
        }
    }
}

#[test]
fn phrases_and_logits_are_those_of_the_reference_together_or_alone() {
    for fixture in Fixture::all() {
        let owl = fixture.owl(Kind::Float);
        let phrases: Vec<Tensor> = fixture.facts.phrases[..SOUGHT]
            .iter()
            .map(|phrase| owl.phrase(&phrase.ids).unwrap())
            .collect();
        let all = Tensor::cat(&phrases, 0);
        for index in 0..IMAGES {
            let features = owl.encode(&pixels(&fixture, index), &go_on).unwrap();
            let together = owl.logits(&features, &all).unwrap();
            for (number, phrase) in phrases.iter().enumerate() {
                let query = fixture.tensor(&format!("query.{number}"));
                fixture.check("query", &phrase.squeeze_dim(0), query);
                let name = format!("logits.{index}.{number}");
                let alone = owl.logits(&features, phrase).unwrap();
                fixture.check(&name, &alone.flatten(0, -1), fixture.tensor(&name));
                let here = together.select(2, number as i64);
                fixture.check(&name, &here.flatten(0, -1), fixture.tensor(&name));
            }
        }
    }
}

#[test]
fn several_images_are_seen_as_one_each() {
    let fixture = Fixture::load("hub");
    let owl = fixture.owl(Kind::Float);
    let all: Vec<Tensor> = (0..IMAGES).map(|index| pixels(&fixture, index)).collect();
    let together = owl.encode(&Tensor::cat(&all, 0), &go_on).unwrap();
    for index in 0..IMAGES {
        let name = format!("features.{index}");
        fixture.check(&name, &together.get(index as i64), fixture.tensor(&name));
    }
}

#[test]
fn bf16_comes_near() {
    let fixture = Fixture::load("hub");
    let narrow = fixture.owl(Kind::BFloat16);
    let features = narrow.encode(&pixels(&fixture, 0), &go_on).unwrap();
    assert_eq!(features.kind(), Kind::BFloat16);
    let phrase = narrow.phrase(&fixture.facts.phrases[0].ids).unwrap();
    let logits = narrow.logits(&features, &phrase).unwrap().flatten(0, -1);
    let boxes = narrow.boxes(&features).unwrap().squeeze_dim(0);
    assert_eq!([logits.kind(), boxes.kind()], [Kind::Float; 2]);
    for (name, found, near) in [("logits.0.0", logits, 0.3), ("boxes.0", boxes, 0.05)] {
        let difference = largest_difference(&found, fixture.tensor(name));
        assert!(
            difference > TOLERANCE && difference < near,
            "{name}: {difference}"
        );
    }
}

#[test]
fn a_phrase_that_cannot_be_read_is_refused() {
    let owl = Fixture::load("hub").owl(Kind::Float);
    let vocabulary = owl.config().text.vocab_size;
    for ids in [vec![], vec![1; 17], vec![vocabulary], vec![-1]] {
        let error = owl.phrase(&ids).unwrap_err().to_string();
        assert!(error.contains("1 to 16 tokens"), "{ids:?}: {error}");
    }
    assert!(owl.phrase(&[1; 16]).is_ok());
}

#[test]
fn a_phrase_is_read_at_its_first_end() {
    let owl = Fixture::load("hub").owl(Kind::Float);
    let end = owl.config().text.vocab_size - 1;
    let read = |ids: &[i64]| owl.phrase(ids).unwrap();
    let plain = read(&[7, 3, end]);
    // What follows the end is never seen.
    assert!(largest_difference(&plain, &read(&[7, 3, end, 5, end])) < 1e-6);
    assert!(largest_difference(&plain, &read(&[3, 7, end])) > 1e-3);
}

#[test]
fn gradients_reach_the_given_tensors_and_no_checkpoint() {
    let fixture = Fixture::load("hub");
    let stored: HashMap<String, Tensor> =
        Tensor::read_safetensors(folder("hub").join("model.safetensors"))
            .unwrap()
            .into_iter()
            .filter(|(name, _)| !name.ends_with("position_ids"))
            .map(|(name, tensor)| (name, tensor.set_requires_grad(true)))
            .collect();
    let leaves = [
        "owlvit.text_model.embeddings.token_embedding.weight",
        "owlvit.vision_model.embeddings.class_embedding",
        "class_head.logit_shift.bias",
        "layer_norm.weight",
    ]
    .map(|name| stored[name].shallow_clone());
    let pixels = pixels(&fixture, 0);
    let logits = |owl: &OwlVit| {
        let features = owl.encode(&pixels, &go_on).unwrap();
        let phrase = owl.phrase(&fixture.facts.phrases[0].ids).unwrap();
        owl.logits(&features, &phrase).unwrap()
    };
    let _recording = GradMode::recording();
    assert!(!logits(&fixture.owl(Kind::Float)).requires_grad());
    let trained = OwlVit::new(fixture.config(), &Weights::from_tensors(stored)).unwrap();
    logits(&trained).sum(Kind::Float).backward();
    for leaf in leaves {
        assert!(leaf.grad().abs().max().double_value(&[]) > 0.0);
    }
}

#[test]
fn every_layer_is_announced_and_can_be_stopped() {
    let fixture = Fixture::load("hub");
    let owl = fixture.owl(Kind::Float);
    let seen = RefCell::new(Vec::new());
    let stopped = owl.encode(&pixels(&fixture, 0), &|layer| {
        seen.borrow_mut().push(layer);
        if layer == 1 {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!((seen.into_inner(), owl.depth()), (vec![0, 1], 3));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let spoilt = |edit: fn(&mut HashMap<String, Tensor>)| {
        let folder = copy("hub");
        edit_weights(folder.path(), edit);
        refusal(folder.path())
    };
    let missing = spoilt(|tensors| {
        assert!(tensors.remove("box_head.dense1.bias").is_some());
    });
    assert!(
        missing.contains("box_head.dense1.bias is missing"),
        "{missing}"
    );
    let more = spoilt(|tensors| {
        let extra = Tensor::zeros([3], (Kind::Float, Device::Cpu));
        tensors.insert("objectness_head.dense0.bias".to_owned(), extra);
    });
    assert!(more.contains("objectness_head.dense0.bias"), "{more}");
    let unused = spoilt(|tensors| {
        let wrong = Tensor::zeros([5], (Kind::Float, Device::Cpu));
        tensors.insert("owlvit.logit_scale".to_owned(), wrong);
    });
    assert!(
        unused.contains("owlvit.logit_scale") && unused.contains("[5]"),
        "{unused}"
    );
    // Swapped configurations: another model's weights.
    let other = copy("hub");
    let config = folder("saved").join("config.json");
    std::fs::copy(config, other.path().join("config.json")).unwrap();
    for error in [missing, more, unused, refusal(other.path())] {
        assert!(!error.contains('\n'), "{error}");
    }
}
