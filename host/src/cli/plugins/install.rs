//! `medfocus plugins install` and `remove`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use medfocus_plugin_api::Result;

use crate::{
    plugin::{Installed, Outcome},
    workbench::Workbench,
};

#[derive(Args)]
pub struct Install {
    /// The library, as `target/release/libmy_plugin.so`, or the description of a plugin that another program runs, as `mine.medfocus.json`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Replace another build of the same plugin
    #[arg(long)]
    force: bool,
}

impl Install {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let installed = Installed::of_user()?;
        for file in &self.files {
            let (plugin, outcome) = installed.install(file, &bench.registry, self.force)?;
            let word = match outcome {
                Outcome::New => "installed",
                Outcome::Replaced => "replaced by",
                Outcome::Already => "installed already:",
            };
            let manifest = &plugin.manifest;
            println!("{word} {} {}", manifest.name, manifest.version);
            for component in &manifest.components {
                println!("  {:<10} {}", component.kind.name(), component.name);
            }
            if let Err(error) = bench.voucher(&plugin) {
                tracing::warn!("{error}");
            }
        }
        let folder = installed.folder();
        let mut searched = bench.layers.config.plugins.paths.iter();
        if !searched.any(|path| path == folder) {
            tracing::warn!(
                "the config's `plugins.paths` leaves out {}: what is installed there is not used",
                folder.display()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
pub struct Remove {
    /// Name of the plugin, or of its file
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

impl Remove {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let installed = Installed::of_user()?;
        for name in &self.names {
            for file in installed.remove(name, &bench.registry)? {
                println!("removed {}", file.display());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
