//! `medfocus image`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use medfocus_plugin_api::Result;

use super::place;
use crate::workbench::Workbench;

#[derive(Args)]
pub struct Image {
    /// PNG, JPEG, TIFF or DICOM
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// PNG to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The letterboxed 224 x 224 image that models and methods see
    #[arg(long)]
    working: bool,
}

impl Image {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let study = bench.study(&self.file)?;
        for warning in &study.warnings {
            eprintln!("warning: {warning}");
        }
        let image = if self.working {
            &study.working
        } else {
            &study.native
        };
        let (folder, name) = place(&self.out)?;
        folder.png_grey(&name, image)?;
        Ok(ExitCode::SUCCESS)
    }
}
