//! `medfocus bundle`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use medfocus_plugin_api::{Error, Result};

use super::place;
use crate::{
    bundle::{self, Kit, Sources, Wanted},
    trust::Voucher,
    workbench::Workbench,
};

#[derive(Subcommand)]
pub enum Bundle {
    /// Write a kit: this program, its plugins, libtorch, models, and a manifest to be signed
    Create(Create),
    /// Check a kit, or a folder that was made of one, against its manifest and signature; names the first wrong file
    Verify(Verify),
    /// Check a kit and make a folder of it, whole or not at all
    Install(Install),
}

#[derive(Args)]
pub struct Create {
    /// The kit, a tar file; its manifest is written beside it, as KIT.json
    #[arg(value_name = "KIT.tar")]
    kit: PathBuf,
    /// A model of a model folder, with its checkpoint; once for each
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Another file or folder, and where in the kit, as `medfocus.toml=hospital.toml`; once for each
    #[arg(long = "add", value_name = "PATH=FILE")]
    others: Vec<String>,
    /// Leave libtorch out
    #[arg(long)]
    without_libtorch: bool,
}

#[derive(Args)]
pub struct Verify {
    /// The kit, or the folder
    #[arg(value_name = "KIT")]
    kit: PathBuf,
    /// Ask for a signature by this public key of minisign, besides what the trust files ask for
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

#[derive(Args)]
pub struct Install {
    #[command(flatten)]
    kit: Verify,
    /// The folder; there must be nothing in it
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Bundle {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        match self {
            Self::Create(command) => command.run(bench)?,
            Self::Verify(command) => {
                let kit = command.open(bench)?;
                let (files, by) = (kit.manifest.files.len(), said(&kit.voucher));
                kit.files(|_, content| {
                    std::io::copy(content, &mut std::io::sink())
                        .map(|_| ())
                        .map_err(|error| Error::invalid(format!("cannot be read: {error}")))
                })?;
                println!("whole: {files} files; {by}");
            }
            Self::Install(Install { kit, folder }) => {
                let kit = kit.open(bench)?;
                let (files, by) = (kit.manifest.files.len(), said(&kit.voucher));
                bundle::install(kit, &folder)?;
                println!("installed {files} files in {}; {by}", folder.display());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Create {
    fn run(self, bench: &Workbench) -> Result<()> {
        let (folder, file) = place(&self.kit)?;
        let name = file.strip_suffix(".tar").filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            Error::invalid(format!("`{file}` does not end in .tar"))
                .with_hint("a kit is a tar file, and its manifest is written beside it")
        })?;
        let other = |text: String| match text.split_once('=') {
            Some((path, file)) => Ok((path.to_owned(), PathBuf::from(file))),
            None => Err(Error::invalid(format!(
                "`--add {text}` names no file; write --add PATH=FILE"
            ))),
        };
        let wanted = Wanted {
            models: self.models,
            libtorch: !self.without_libtorch,
            others: self.others.into_iter().map(other).collect::<Result<_>>()?,
        };
        let manifest = bundle::create(Sources::gather(bench, &wanted)?, &folder, name)?;
        let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
        let shown = folder.path().join(name);
        println!(
            "{}.tar: {} files, {:.1} MB\n{}.json: its manifest; sign that with `minisign -S -m {}.json`",
            shown.display(),
            manifest.files.len(),
            bytes as f64 * 1e-6,
            shown.display(),
            shown.display()
        );
        Ok(())
    }
}

impl Verify {
    fn open(&self, bench: &Workbench) -> Result<Kit> {
        let mut trust = bench.layers.trust.clone();
        if let Some(key) = &self.key {
            trust = trust.and_key(key)?;
        }
        Kit::open(&self.kit, &trust)
    }
}

fn said(voucher: &Voucher) -> String {
    match voucher {
        Voucher::Nobody => "no signature was asked for".to_owned(),
        voucher => voucher.to_string(),
    }
}
