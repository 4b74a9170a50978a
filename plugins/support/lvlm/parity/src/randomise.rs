//! Cascading randomisation: noise in the top layers, from the decoder's last to where patches come in, and in nothing else.

use medfocus_lvlm::network::Family;
use medfocus_lvlm::plugin::{Lvlm, Settings};
use medfocus_plugin_api::{
    Component, Context, ErrorKind, Result, TraceRequest, VisionLanguageModel,
};
use medfocus_torch::tch::Tensor;

use crate::fixture::{Fixture, Fixtures, host, torch};

fn plugin<F: Family>(fixture: &Fixture<F>, randomise: i64, randomise_seed: u64) -> Result<Lvlm<F>> {
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
fn states<F: Family>(fixture: &Fixture<F>, randomise: i64, randomise_seed: u64) -> Vec<Tensor> {
    let plugin = plugin(fixture, randomise, randomise_seed).unwrap();
    let depth = plugin.info().unwrap().layers.len();
    let wants = (0..=depth).map(|layer| format!("hidden:{layer}"));
    captured(fixture, &plugin, wants)
}

/// What the decoder is given of the image.
fn features<F: Family>(fixture: &Fixture<F>, randomise: i64) -> Tensor {
    let plugin = plugin(fixture, randomise, 3).unwrap();
    captured(fixture, &plugin, ["features".to_owned()]).remove(0)
}

fn captured<F: Family>(
    fixture: &Fixture<F>,
    plugin: &Lvlm<F>,
    wants: impl IntoIterator<Item = String>,
) -> Vec<Tensor> {
    let wants = wants.into_iter().map(|want| want.parse().unwrap());
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
        let found = states(&fixture, layers as i64, 3);
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

pub fn below_the_decoder_the_images_features_change<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let depth = states(&fixture, 0, 0).len() as i64 - 1;
    let tower = image_stages(&fixture);
    assert!(tower > 2, "projector, layers and patches");
    let mut seen = vec![features(&fixture, depth)];
    assert_eq!(seen[0], features(&fixture, 0));
    for stage in 1..=tower {
        seen.push(features(&fixture, depth + stage));
    }
    // All there is: the same features, and the table of words as well.
    assert_eq!(features(&fixture, -1), seen[tower as usize]);
    for (at, one) in seen.iter().enumerate() {
        assert!(seen[..at].iter().all(|other| other != one), "stage {at}");
    }
    let first = |layers| states(&fixture, layers, 3).remove(0);
    assert_ne!(first(-1), first(depth + tower));
}

/// Stages below the decoder: the most that is not refused.
fn image_stages<F: Family>(fixture: &Fixture<F>) -> i64 {
    let depth = states(fixture, 0, 0).len() as i64 - 1;
    let allowed = |stage: &i64| plugin(fixture, depth + stage, 0).is_ok();
    (1..).take_while(allowed).count() as i64
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
    let digests = [(0, 0), (1, 0), (2, 0), (1, 1), (-1, 0)];
    let digests = digests.map(|(layers, seed)| digest(layers, seed));
    for (at, one) in digests.iter().enumerate() {
        assert!(digests[..at].iter().all(|other| other != one));
    }
}

pub fn more_layers_than_there_are_is_refused<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let error = plugin(&fixture, 1000, 0).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains("1000 layers") && text.contains("2 are the decoder's"),
        "{text}"
    );
}
