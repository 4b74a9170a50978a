//! `medfocus doctor`.

use std::process::ExitCode;

use medfocus_plugin_api::{Kind, Result};

use crate::{libtorch, workbench::Workbench};

/// Looks at everything a run would need and says what is wrong.
pub fn run(bench: &Workbench) -> Result<ExitCode> {
    let mut sound = true;
    let mut report = |good: bool, line: String| {
        println!("{} {line}", if good { "ok  " } else { "FAIL" });
        sound &= good;
    };

    match bench.libtorch.locate() {
        Ok(dir) => {
            let version = libtorch::version(&dir).unwrap_or_else(|| "of unstated version".into());
            report(true, format!("libtorch {version} in {}", dir.display()));
        }
        Err(error) => report(false, error.to_string()),
    }
    for error in bench.registry.refused() {
        report(false, error.to_string());
    }
    for plugin in bench.registry.plugins() {
        match bench.library(plugin) {
            Ok(library) => report(
                true,
                format!("plugin {} {}", library.id.name, library.id.version),
            ),
            Err(error) => report(false, error.to_string()),
        }
    }
    for kind in [Kind::Method, Kind::Model, Kind::Dataset] {
        let names: Vec<_> = bench
            .registry
            .components(kind)
            .map(|(_, component)| component.name.as_str())
            .collect();
        report(
            !names.is_empty(),
            format!("{}s: {}", kind.name(), names.join(", ")),
        );
    }
    for folder in &bench.layers.config.model_folders {
        match folder.read_dir() {
            Ok(entries) => report(
                true,
                format!(
                    "model folder {}: {} files",
                    folder.display(),
                    entries.count()
                ),
            ),
            Err(error) => report(
                true,
                format!("model folder {} is not used: {error}", folder.display()),
            ),
        }
    }
    Ok(ExitCode::from(u8::from(!sound)))
}
