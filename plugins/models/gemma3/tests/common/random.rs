//! The tokenizer of a fixture around a larger network with random weights.

use std::{collections::HashMap, fs, path::Path};

use medfocus_model_gemma3::{Backend, Gemma3, config::Config};
use medfocus_torch::{
    tch::{self, Device, Kind, Tensor},
    weights::Weights,
};
use serde_json::{Value, json};

/// A decoder 256 wide, of this many layers, that takes this many images at once.
pub fn backend(vocabulary: i64, layers: i64, batch: usize) -> (tempfile::TempDir, Backend) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/gemma3/hub");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in fs::read_dir(&source)
        .expect("the fixture is there")
        .flatten()
    {
        let target = folder.path().join(file.file_name());
        fs::copy(file.path(), target).expect("the folder is writable");
    }
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(source.join(name)).expect("the fixture is there");
        serde_json::from_str(&text).expect("it is JSON")
    };
    let mut processor = read("preprocessor_config.json");
    processor["size"] = json!({"height": 224, "width": 224});
    fs::write(
        folder.path().join("preprocessor_config.json"),
        processor.to_string(),
    )
    .expect("the folder is writable");
    let mut config = read("config.json");
    config["mm_tokens_per_image"] = json!(256);
    for (key, value) in [
        ("hidden_size", 256),
        ("intermediate_size", 1024),
        ("num_hidden_layers", layers),
        ("head_dim", 64),
        ("sliding_window", 512),
        ("vocab_size", vocabulary),
    ] {
        config["text_config"][key] = json!(value);
    }
    config["vision_config"]["image_size"] = json!(224);
    let config = Config::parse(&config.to_string()).expect("a valid config");
    tch::manual_seed(0);
    let tensors: HashMap<_, _> = Gemma3::parameters(&config)
        .expect("a valid config")
        .into_iter()
        .map(|(name, shape)| {
            (
                name,
                Tensor::randn(shape, (Kind::Float, Device::Cpu)) * 0.02,
            )
        })
        .collect();
    let model = Gemma3::new(config.clone(), &Weights::from_tensors(tensors))
        .expect("all weights are there");
    let backend =
        Backend::with_network(model, config, folder.path(), batch).expect("the tokenizer fits");
    (folder, backend)
}
