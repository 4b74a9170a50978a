//! What the host is told of a checkpoint.

mod common;

use common::folder;
use medfocus_lvlm::plugin::Settings;
use medfocus_lvlm_parity::fixture::host;
use medfocus_model_gemma3::Gemma3Plugin;
use medfocus_plugin_api::{AttentionKind, Component, Context, VisionLanguageModel};

fn settings(name: &str) -> Settings {
    Settings {
        path: folder(name).display().to_string(),
        device: "cpu".to_owned(),
        ..Settings::default()
    }
}

fn plugin(name: &str) -> Gemma3Plugin {
    Gemma3Plugin::new(settings(name), Context::new(host())).unwrap()
}

#[test]
fn the_description_follows_the_checkpoint() {
    let info = plugin("hub").info().unwrap();
    assert_eq!(
        (
            info.family.as_str(),
            info.device.as_str(),
            info.dtype.as_str()
        ),
        ("gemma3", "cpu", "f32")
    );
    assert_eq!((info.input, info.grid), (Some((56, 56)), (2, 2)));
    assert_eq!((info.heads, info.hidden), (4, 32));
    let mut layers = [AttentionKind::Sliding(9); 7];
    layers[5] = AttentionKind::Full;
    assert_eq!(info.layers, layers);
    assert!(info.parameters > 100_000);
    assert!(info.memory.is_some_and(|memory| memory.score > 0));
}
