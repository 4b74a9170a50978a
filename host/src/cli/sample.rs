//! `medfocus sample`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use medfocus_plugin_api::{DatasetReader, Result};
use serde_json::json;

use super::dataset;
use crate::{output::OutDir, workbench::Workbench};

#[derive(Args)]
pub struct Sample {
    /// Dataset; its parameters come from the config's `dataset` section
    #[arg(long, default_value = "phantom")]
    dataset: String,
    /// Number of the sample
    #[arg(long, default_value_t = 0)]
    index: u64,
    /// Folder for image.png and sample.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Sample {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let reader = dataset::open(bench, &dataset::own(bench, &self.dataset))?;
        let sample = reader.client().sample(self.index)?;
        let out = OutDir::create(&self.out)?;
        out.png_grey("image.png", &sample.image)?;
        let truth = json!({
            "key": sample.key,
            "question": sample.question,
            "finding": sample.finding,
            "present": sample.present,
            "boxes": sample.boxes,
            "masks": sample.masks.keys().collect::<Vec<_>>(),
            "image": "image.png",
        });
        out.json("sample.json", &truth)?;
        println!(
            "{}  {}",
            sample.question,
            sample
                .present
                .map_or("", |present| if present { "yes" } else { "no" })
        );
        Ok(ExitCode::SUCCESS)
    }
}
