//! Cascading randomisation: noise in the top layers, and in nothing else.

mod common;

use common::{Fixture, folder, host, torch};
use medfocus_lvlm::plugin::Settings;
use medfocus_model_gemma3::Gemma3Plugin;
use medfocus_plugin_api::{
    Component, Context, ErrorKind, Result, TraceRequest, VisionLanguageModel,
};
use medfocus_torch::tch::Tensor;

fn plugin(randomise: u32, randomise_seed: u64) -> Result<Gemma3Plugin> {
    let settings = Settings {
        path: folder("small").display().to_string(),
        device: "cpu".to_owned(),
        randomise,
        randomise_seed,
        ..Settings::default()
    };
    Gemma3Plugin::new(settings, Context::new(host()))
}

/// The states entering each layer, and the one after the final norm.
fn states(plugin: &Gemma3Plugin) -> Vec<Tensor> {
    let fixture = Fixture::load("small");
    let depth = plugin.info().unwrap().layers.len();
    let wants = (0..=depth).map(|layer| format!("hidden:{layer}").parse().unwrap());
    let trace = plugin
        .trace(&TraceRequest::new(
            fixture.image(0),
            fixture.question(),
            fixture.answer(1).text,
            wants.collect(),
        ))
        .unwrap();
    trace
        .captures
        .iter()
        .map(|capture| torch(&capture.tensor))
        .collect()
}

#[test]
fn only_the_top_layers_change() {
    let plain = states(&plugin(0, 0).unwrap());
    let depth = plain.len() - 1;
    for layers in 0..=depth {
        let found = states(&plugin(layers as u32, 3).unwrap());
        // The state entering the lowest layer with noise is the last that is the same.
        for (at, (found, plain)) in found.iter().zip(&plain).enumerate() {
            assert_eq!(
                found == plain,
                at <= depth - layers,
                "{layers} layers, state {at}"
            );
        }
    }
}

#[test]
fn the_seed_decides_the_noise() {
    let last = |seed| states(&plugin(1, seed).unwrap()).pop().unwrap();
    assert_eq!(last(3), last(3));
    assert_ne!(last(3), last(4));
}

#[test]
fn the_digest_tells_the_models_apart() {
    let digest = |layers, seed| plugin(layers, seed).unwrap().info().unwrap().digest;
    // Without noise there is nothing to seed.
    assert_eq!(digest(0, 0), digest(0, 1));
    let digests = [digest(0, 0), digest(1, 0), digest(2, 0), digest(1, 1)];
    for (at, one) in digests.iter().enumerate() {
        assert!(digests[..at].iter().all(|other| other != one));
    }
}

#[test]
fn more_layers_than_there_are_is_refused() {
    let error = plugin(3, 0).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains("3 decoder layers") && text.contains("has 2"),
        "{text}"
    );
}
