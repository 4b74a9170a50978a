//! `medfocus plugins new`: a crate that builds, tests itself and can be installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use medfocus_plugin_api::{Error, Result};

use crate::output::OutDir;

/// The kinds of component.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Method,
    Model,
    Dataset,
    Editor,
    Segmenter,
    Detector,
}

#[derive(Args)]
pub struct New {
    /// What it is to be
    kind: Kind,
    /// Name of the crate, as `my-method`; its component is called `my_method`
    name: String,
    /// Folder to write it into [default: NAME]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Folder of medfocus-plugin-api within MedFocus's sources [default: its release on crates.io]
    #[arg(long, value_name = "DIR")]
    plugin_api: Option<PathBuf>,
}

/// What a crate of one kind holds besides what all hold: files of a crate that compiles as it is.
struct Template {
    source: &'static str,
    tests: &'static str,
    readme: &'static str,
}

macro_rules! template {
    ($kind:literal) => {
        Template {
            source: include_str!(concat!("../../../templates/", $kind, "/src/lib.rs")),
            tests: include_str!(concat!(
                "../../../templates/",
                $kind,
                "/tests/conformance.rs"
            )),
            readme: include_str!(concat!("../../../templates/", $kind, "/README.md")),
        }
    };
}

const MANIFEST: &str = include_str!("../../../templates/Cargo.toml");
const IGNORED: &str = include_str!("../../../templates/gitignore");

impl Kind {
    fn template(self) -> Template {
        match self {
            Self::Method => template!("method"),
            Self::Model => template!("model"),
            Self::Dataset => template!("dataset"),
            Self::Editor => template!("editor"),
            Self::Segmenter => template!("segmenter"),
            Self::Detector => template!("detector"),
        }
    }
}

impl New {
    pub fn run(self) -> Result<ExitCode> {
        let library = library(&self.name)?;
        let dependency = match &self.plugin_api {
            Some(folder) => format!("path = {:?}", sources(folder)?),
            None => format!("version = {:?}", env!("CARGO_PKG_VERSION")),
        };
        let named = |text: &str| {
            text.replace("template-name", &self.name)
                .replace("template_name", &library)
        };
        let template = self.kind.template();
        let place = self.path.unwrap_or_else(|| PathBuf::from(&self.name));
        OutDir::whole(&place, |folder| {
            let manifest = named(MANIFEST).replace("version = \"0.0.0\"", &dependency);
            let source = folder.within(&["src"])?;
            let tests = folder.within(&["tests"])?;
            for (folder, file, text) in [
                (folder, "Cargo.toml", manifest),
                (folder, ".gitignore", IGNORED.to_owned()),
                (folder, "README.md", named(template.readme)),
                (&source, "lib.rs", named(template.source)),
                (&tests, "conformance.rs", named(template.tests)),
            ] {
                folder.write(file, |out| out.write_all(text.as_bytes()))?;
            }
            Ok(())
        })?;
        println!("wrote {}", place.display());
        println!("next, in that folder:");
        println!("  cargo test --release");
        println!("  cargo build --release");
        println!("  medfocus plugins install target/release/lib{library}.so");
        Ok(ExitCode::SUCCESS)
    }
}

/// What names no crate, though it is spelt like one.
const RESERVED: [&str; 45] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "match",
    "medfocus_plugin_api",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "type",
    "use",
    "where",
];

/// The name of the crate's library, hence of its component.
fn library(name: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let library = name.replace('-', "_");
    let spelt = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain);
    match spelt && !RESERVED.contains(&&*library) {
        true => Ok(library),
        false => Err(
            Error::invalid(format!("`{name}` cannot be the name of a crate")).with_hint(
                "write lower case letters, digits, `-` and `_`, as `my-method`, and no word of Rust",
            ),
        ),
    }
}

/// The absolute path of the interface's sources.
fn sources(folder: &Path) -> Result<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let absolute = folder.canonicalize().ok();
    let absolute = absolute.and_then(|folder| folder.into_os_string().into_string().ok());
    absolute
        .filter(|_| manifest.contains("name = \"medfocus-plugin-api\""))
        .ok_or_else(|| {
            Error::missing(format!(
                "{} is not the folder of medfocus-plugin-api",
                folder.display()
            ))
            .with_hint("it is `plugin-api` within MedFocus's sources")
        })
}
