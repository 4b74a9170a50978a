//! What a path is that is no checkpoint folder.

use std::path::Path;

use medfocus_plugin_api::file;
use serde_json::Value;

const ADAPTER: &str = "adapter_config.json";

/// Says what this path is instead of a checkpoint folder, and what to do; nothing if it is not known.
pub fn instead(path: &Path) -> Option<String> {
    if path.is_file() {
        return Some(match extension(path) {
            Some("gguf") => GGUF.to_owned(),
            _ => "it is a file; give the folder that holds it".to_owned(),
        });
    }
    let names = names(path);
    let any = |test: &dyn Fn(&str) -> bool| names.iter().find(|name| test(name));
    if names.iter().any(|name| name == ADAPTER) {
        return Some(format!(
            "it holds an adapter (LoRA) without the model that it adapts, {}; merge the two (merge_and_unload of peft), save the result and give its folder",
            base(&path.join(ADAPTER)).unwrap_or_else(|| "which it does not name".to_owned())
        ));
    }
    if any(&|name| name.ends_with(".gguf")).is_some() {
        return Some(GGUF.to_owned());
    }
    if names.iter().any(|name| name == "snapshots") {
        return Some(
            "it is a model's folder in the hub's cache; give the one below its snapshots/"
                .to_owned(),
        );
    }
    if let Some(model) = any(&|name| name.starts_with("models--")) {
        return Some(format!(
            "it is the hub's cache; give a folder below {model}/snapshots"
        ));
    }
    any(&|name| name.ends_with(".bin") || name.ends_with(".pth") || name.ends_with(".pt")).map(
        |name| {
            format!(
                "its weights are in {name}, which can hold code and is not read; save the model as safetensors (save_pretrained of transformers or diffusers)"
            )
        },
    )
}

const GGUF: &str = "it is GGUF, the format of llama.cpp; give the folder of the Hugging Face checkpoint that it was made from";

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

/// Names in a folder, sorted; none if it cannot be listed.
fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The model that an adapter says it is for.
fn base(adapter: &Path) -> Option<String> {
    let text = file::read_to_string(adapter).ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    Some(json["base_model_name_or_path"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_no_checkpoint_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(instead(path), None);
        let says = |path: &Path, words: &str| {
            let said = instead(path).unwrap();
            assert!(said.contains(words), "{said}");
        };
        fs::write(path.join("pytorch_model.bin"), "").unwrap();
        says(path, "pytorch_model.bin");
        fs::create_dir(path.join("models--google--medgemma-4b-it")).unwrap();
        says(path, "below models--google--medgemma-4b-it/snapshots");
        fs::create_dir(path.join("snapshots")).unwrap();
        says(path, "below its snapshots/");
        fs::write(path.join("model.gguf"), "").unwrap();
        says(path, "llama.cpp");
        says(&path.join("model.gguf"), "llama.cpp");
        says(&path.join("pytorch_model.bin"), "it is a file");
        fs::write(path.join(ADAPTER), "{}").unwrap();
        says(path, "which it does not name");
        let named = r#"{"base_model_name_or_path": "google/medgemma-4b-it"}"#;
        fs::write(path.join(ADAPTER), named).unwrap();
        says(path, "adapts, google/medgemma-4b-it; merge");
    }
}
