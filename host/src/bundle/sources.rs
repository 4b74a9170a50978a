//! What goes into a kit, and from where.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use medfocus_plugin_api::{Error, Result, file};
use toml_edit::{DocumentMut, value};

use super::manifest::check;
use crate::{
    libtorch,
    output::failed,
    plugin::{Inspected, PluginId},
    trust::SUFFIX,
    workbench::Workbench,
};

/// The program's path in a kit.
pub const PROGRAM: &str = "medfocus";
/// Where the program looks for libtorch beside itself.
const LIBTORCH: &str = ".libtorch/torch";
/// Where it looks for models, from the folder where it runs.
const MODELS: &str = "configs/models";
/// Where their checkpoints are put.
const CHECKPOINTS: &str = "configs/checkpoints";

/// What is asked for besides program and plugins.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Models, by their names in a model folder.
    pub models: Vec<String>,
    /// Whether libtorch.
    pub libtorch: bool,
    /// Files and folders, each by its path in the kit.
    pub others: Vec<(String, PathBuf)>,
}

/// One file's content.
#[derive(Clone, Debug)]
pub enum Source {
    /// What a file holds.
    File(PathBuf),
    /// This.
    Bytes(Vec<u8>),
}

/// Everything that goes into a kit, by its path there.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The files.
    pub files: BTreeMap<String, Source>,
    /// Which plugins they are.
    pub plugins: Vec<PluginId>,
    /// Version of libtorch, if it is among them.
    pub libtorch: Option<String>,
    /// Which models.
    pub models: Vec<String>,
}

impl Sources {
    /// This program, the plugins that it finds, and what is wanted.
    ///
    /// # Errors
    ///
    /// Something is not there, may not be loaded, or two files would be one.
    pub fn gather(bench: &Workbench, wanted: &Wanted) -> Result<Self> {
        let mut sources = Self::default();
        let program = std::env::current_exe()
            .map_err(|error| Error::internal(format!("this program is not found: {error}")))?;
        sources.add(PROGRAM.to_owned(), Source::File(program))?;
        if let Some(error) = bench.registry.refused().first() {
            return Err(error.clone());
        }
        for plugin in bench.registry.plugins() {
            bench.voucher(plugin)?;
            sources.plugins.push(bench.identity(plugin)?);
            sources.plugin(plugin)?;
        }
        if wanted.libtorch {
            sources.libtorch(&bench.libtorch.locate()?)?;
        }
        for name in &wanted.models {
            sources.model(bench, name)?;
        }
        for (path, place) in &wanted.others {
            sources.tree(path, place, &|_| true)?;
        }
        Ok(sources)
    }

    fn add(&mut self, path: String, source: Source) -> Result<()> {
        check(&path).map_err(|error| error.context("the kit"))?;
        match self.files.insert(path.clone(), source) {
            None => Ok(()),
            Some(_) => Err(
                Error::invalid(format!("two files would be {path} in the kit"))
                    .with_hint("leave one out, or give it another name"),
            ),
        }
    }

    /// A file, or all files in a folder whose names are wanted; links are followed.
    fn tree(&mut self, path: &str, place: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
        if !place.is_dir() {
            return self.add(path.to_owned(), Source::File(place.to_owned()));
        }
        let entries = place
            .read_dir()
            .map_err(|error| failed("read", place, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed("read", place, &error))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                Error::invalid(format!("{} is not named in UTF-8", entry.path().display()))
            })?;
            let whole = entry.path();
            if whole.is_dir() || wanted(name) {
                self.tree(&format!("{path}/{name}"), &whole, wanted)?;
            }
        }
        Ok(())
    }

    fn plugin(&mut self, plugin: &Inspected) -> Result<()> {
        for file in plugin.files() {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            self.add(format!("plugins/{name}"), Source::File(file.clone()))?;
            let signature = PathBuf::from(format!("{}{SUFFIX}", file.display()));
            if signature.is_file() {
                self.add(format!("plugins/{name}{SUFFIX}"), Source::File(signature))?;
            }
        }
        Ok(())
    }

    /// Its libraries, and NVIDIA's beside it, which they look for there.
    fn libtorch(&mut self, folder: &Path) -> Result<()> {
        let library = folder.join("lib/libtorch_cpu.so");
        let library = library
            .canonicalize()
            .map_err(|error| failed("read", &library, &error))?;
        let lib = library.parent().unwrap_or(Path::new("/"));
        let is_library = |name: &str| name.contains(".so");
        self.tree(&format!("{LIBTORCH}/lib"), lib, &is_library)?;
        let nvidia = lib.join("../../nvidia");
        if nvidia.is_dir() {
            self.tree(".libtorch/nvidia", &nvidia, &is_library)?;
        }
        let version = libtorch::version(folder).unwrap_or_else(|| "unknown".to_owned());
        let text = format!("{version}\n").into_bytes();
        self.add(format!("{LIBTORCH}/build-version"), Source::Bytes(text))?;
        self.libtorch = Some(version);
        Ok(())
    }

    /// A model's file and its checkpoint, which that file then names where it is in the kit.
    fn model(&mut self, bench: &Workbench, name: &str) -> Result<()> {
        let file = bench.model_place(name)?;
        let text = file::read_to_string(&file).map_err(|error| failed("read", &file, &error))?;
        let mut text: DocumentMut = text
            .parse()
            .map_err(|error| Error::invalid(format!("model {}: {error}", file.display())))?;
        if let Some(path) = text
            .get_mut("params")
            .and_then(|params| params.get_mut("path"))
        {
            let folder = path.as_str().unwrap_or_default();
            let place = file.parent().unwrap_or(Path::new(".")).join(folder);
            if !place.exists() {
                return Err(Error::missing(format!(
                    "the checkpoint of `{name}` is not in {}",
                    place.display()
                ))
                .with_hint(format!("see `medfocus model check {name}`")));
            }
            *path = value(format!("../checkpoints/{name}"));
            self.tree(&format!("{CHECKPOINTS}/{name}"), &place, &|_| true)?;
        }
        self.models.push(name.to_owned());
        self.add(
            format!("{MODELS}/{name}.toml"),
            Source::Bytes(text.to_string().into_bytes()),
        )
    }
}
