//! Cascading randomisation: noise in the top layers, and in nothing else.

use medfocus_lvlm::network::Family;
use medfocus_lvlm::plugin::{Lvlm, Settings};
use medfocus_plugin_api::{
    Component, Context, ErrorKind, Result, TraceRequest, VisionLanguageModel,
};
use medfocus_torch::tch::Tensor;

use crate::fixture::{Fixture, Fixtures, host, torch};

fn plugin<F: Family>(fixture: &Fixture<F>, randomise: u32, randomise_seed: u64) -> Result<Lvlm<F>> {
    let settings = Settings {
        path: fixture.folder.display().to_string(),
        device: "cpu".to_owned(),
        randomise,
        randomise_seed,
        ..Settings::default()
    };
    Lvlm::new(settings, Context::new(host()))
}

/// The states entering each layer, and the one after the final norm.
fn states<F: Family>(fixture: &Fixture<F>, randomise: u32, randomise_seed: u64) -> Vec<Tensor> {
    let plugin = plugin(fixture, randomise, randomise_seed).unwrap();
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

pub fn only_the_top_layers_change<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let plain = states(&fixture, 0, 0);
    let depth = plain.len() - 1;
    for layers in 0..=depth {
        let found = states(&fixture, layers as u32, 3);
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

pub fn the_seed_decides_the_noise<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let last = |seed| states(&fixture, 1, seed).pop().unwrap();
    assert_eq!(last(3), last(3));
    assert_ne!(last(3), last(4));
}

pub fn the_digest_tells_the_models_apart<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let digest = |layers, seed| {
        plugin(&fixture, layers, seed)
            .unwrap()
            .info()
            .unwrap()
            .digest
    };
    // Without noise there is nothing to seed.
    assert_eq!(digest(0, 0), digest(0, 1));
    let digests = [digest(0, 0), digest(1, 0), digest(2, 0), digest(1, 1)];
    for (at, one) in digests.iter().enumerate() {
        assert!(digests[..at].iter().all(|other| other != one));
    }
}

pub fn more_layers_than_there_are_is_refused<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let error = plugin(&fixture, 3, 0).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains("3 decoder layers") && text.contains("has 2"),
        "{text}"
    );
}
