//! The user's own plugins: put into one folder, and taken out of it.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use medfocus_plugin_api::{Error, Result, file};

use super::{
    contents::Contents,
    folders::{Source, of_user},
    inspect::{Inspected, inspect},
    registry::{Registry, libraries, nearest},
    script::{self, Copies, Script},
};
use crate::{
    output::{OutDir, failed},
    trust::SUFFIX,
};

/// The user's own folder of plugins. Nothing but libraries, descriptions with their files, and signatures is kept there.
pub struct Installed {
    folder: PathBuf,
}

/// What became of a plugin that was to be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there before.
    New,
    /// It took the place of another build.
    Replaced,
    /// The same bytes were there already.
    Already,
}

impl Installed {
    /// The folder of whoever runs the program; it need not exist yet.
    ///
    /// # Errors
    ///
    /// The environment names no home.
    pub fn of_user() -> Result<Self> {
        let folder = of_user().ok_or_else(|| {
            Error::missing("there is no folder for your plugins")
                .with_hint("set HOME or XDG_DATA_HOME")
        })?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies a plugin and its signature into the folder, each whole or not at all, after the checks that need none of its code. `registry` is
    /// what there is besides; with `force`, another build of the same plugin in the folder is replaced.
    ///
    /// # Errors
    ///
    /// It cannot be a plugin of this host, another plugin offers one of its components, it is there already in another
    /// build, or the disk fails.
    pub fn install(
        &self,
        library: &Path,
        registry: &Registry,
        force: bool,
    ) -> Result<(Inspected, Outcome)> {
        let mut plugin = inspect(library)?.ok_or_else(|| no_plugin(library))?;
        if plugin.manifest.components.is_empty() {
            let why = plugin.refused.into_iter().next();
            return Err(why.unwrap_or_else(|| no_plugin(library)));
        }
        let contents = Contents::read(&plugin)?;
        let ours = Registry::discover(std::slice::from_ref(&self.folder));
        let others = registry.plugins().iter().chain(ours.plugins());
        let others = others.filter(|other| !same_file(&other.path, library));
        for other in others {
            check(&plugin, other)?;
        }

        let name = plugin.manifest.name.replace('-', "_");
        let name = match plugin.script {
            None => format!("lib{name}.so"),
            Some(_) => format!("{name}{}", script::SUFFIX),
        };
        let place = self.folder.join(&name);
        let mut former = self.named(&plugin.manifest.name);
        if place.exists() && !former.contains(&place) {
            former.push(place.clone());
        }
        let outcome = match former.first() {
            None => Outcome::New,
            Some(former) if is(former, &contents) => Outcome::Already,
            Some(_) if force => Outcome::Replaced,
            Some(former) => {
                return Err(Error::invalid(format!(
                    "another build of plugin `{}` is installed already, {}",
                    plugin.manifest.name,
                    former.display()
                ))
                .with_hint("replace it with --force"));
            }
        };
        if outcome != Outcome::Already {
            self.put(&name, &contents, &former)?;
            plugin.path = place;
        }
        self.sign(&name, library)?;
        Ok((plugin, outcome))
    }

    /// Writes a plugin in the place of its former builds.
    fn put(&self, name: &str, contents: &Contents, former: &[PathBuf]) -> Result<()> {
        let beside = || contents.copies.iter().flat_map(Copies::files);
        let mut old: Vec<_> = former.iter().flat_map(|plugin| files_of(plugin)).collect();
        for (file, _) in beside() {
            let place = self.folder.join(file);
            if place.exists() && !old.contains(&place) {
                return Err(Error::invalid(format!(
                    "{} belongs to another plugin",
                    place.display()
                ))
                .with_hint("give the file another name"));
            }
        }
        let folder = OutDir::create(&self.folder)?;
        // The description comes last, so that it never speaks of what is not there.
        let new: Vec<_> = beside().chain([(name, &*contents.bytes)]).collect();
        for (file, bytes) in &new {
            folder.write(file, |out| out.write_all(bytes))?;
        }
        old.extend_from_slice(former);
        old.retain(|old| new.iter().all(|(file, _)| self.folder.join(file) != *old));
        old.iter().try_for_each(|old| self.delete(old))
    }

    /// Puts the signature of a library beside the copy of this name, in the place of a former one.
    fn sign(&self, name: &str, library: &Path) -> Result<()> {
        let (theirs, ours) = (signature_of(library), signature_of(&self.folder.join(name)));
        match file::read(&theirs) {
            Ok(bytes) => {
                let folder = OutDir::create(&self.folder)?;
                folder.write(&format!("{name}{SUFFIX}"), |out| out.write_all(&bytes))?;
                Ok(())
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("read", &theirs, &error))
            }
            // One of a former build fits no more.
            Err(_) if ours.exists() => self.delete(&ours),
            Err(_) => Ok(()),
        }
    }

    /// Takes a plugin out of the folder, by its name or its file's; touches nothing elsewhere. Gives the files that were
    /// deleted.
    ///
    /// # Errors
    ///
    /// There is none of that name in the folder, or the disk fails.
    pub fn remove(&self, name: &str, registry: &Registry) -> Result<Vec<PathBuf>> {
        let found = self.named(name);
        if found.is_empty() {
            return Err(self.unknown(name, registry));
        }
        let mut deleted = Vec::new();
        for plugin in found {
            let files = files_of(&plugin);
            for file in [plugin.clone(), signature_of(&plugin)]
                .into_iter()
                .chain(files)
            {
                if file.exists() {
                    self.delete(&file)?;
                    deleted.push(file);
                }
            }
        }
        Ok(deleted)
    }

    /// The files in the folder that bear the name or hold the plugin of that name.
    fn named(&self, name: &str) -> Vec<PathBuf> {
        let is = |file: &PathBuf| {
            file.file_name().is_some_and(|file| file == name)
                || matches!(inspect(file), Ok(Some(plugin)) if plugin.manifest.name == name)
        };
        libraries(&self.folder).into_iter().filter(is).collect()
    }

    fn delete(&self, file: &Path) -> Result<()> {
        fs::remove_file(file).map_err(|error| failed("delete", file, &error))?;
        // Only then does the file stay away after a power cut; not every file system can do this for a folder.
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    fn unknown(&self, name: &str, registry: &Registry) -> Error {
        let mut others = registry.plugins().iter();
        if let Some(other) = others.find(|other| other.manifest.name == name) {
            return Error::invalid(format!(
                "plugin `{name}` was not installed by `medfocus plugins install`: it is {}",
                other.path.display()
            ))
            .with_hint("nothing outside your own plugin folder is ever deleted");
        }
        let ours = Registry::discover(std::slice::from_ref(&self.folder));
        let ours = ours.plugins();
        let holds = |plugin: &&Inspected| {
            let mut components = plugin.manifest.components.iter();
            components.any(|component| component.name == name)
        };
        let names = ours.iter().map(|plugin| plugin.manifest.name.as_str());
        let near = ours
            .iter()
            .find(holds)
            .map(|plugin| plugin.manifest.name.as_str());
        let hint = match near.or_else(|| nearest(name, names)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "see `medfocus plugins list`".to_owned(),
        };
        Error::missing(format!("no plugin `{name}` is installed")).with_hint(hint)
    }
}

fn signature_of(library: &Path) -> PathBuf {
    let mut name = library.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// The files of an installed plugin that another program runs.
fn files_of(plugin: &Path) -> Vec<PathBuf> {
    let script = inspect(plugin)
        .ok()
        .flatten()
        .and_then(|found| found.script);
    let script = script.iter().flat_map(Script::files);
    script.map(|file| plugin.with_file_name(file)).collect()
}

/// Whether a file is the plugin that consists of this.
fn is(file: &Path, contents: &Contents) -> bool {
    let found = inspect(file).ok().flatten();
    let found = found.and_then(|found| Contents::read(&found).ok());
    found.is_some_and(|found| found.id == contents.id)
}

fn no_plugin(library: &Path) -> Error {
    Error::invalid(format!(
        "{} is a library but no plugin: it has no manifest",
        library.display()
    ))
}

/// Whether a plugin can stand beside another.
fn check(plugin: &Inspected, other: &Inspected) -> Result<()> {
    let name = &plugin.manifest.name;
    if other.manifest.name == *name {
        // A former build, or one that is under work; the first is replaced, the second only said.
        if Source::of(&other.path) != Source::Beside {
            return Ok(());
        }
        return Err(Error::invalid(format!(
            "plugin `{name}` lies beside the program and would count instead: {}",
            other.path.display()
        ))
        .with_hint("give the crate another name"));
    }
    let mut components = plugin.manifest.components.iter();
    let taken = components.find(|component| {
        let mut theirs = other.manifest.components.iter();
        theirs.any(|their| (their.kind, &their.name) == (component.kind, &component.name))
    });
    match taken {
        None => Ok(()),
        Some(component) => Err(Error::invalid(format!(
            "{} `{}` is offered already by plugin `{}`, {}",
            component.kind.name(),
            component.name,
            other.manifest.name,
            other.path.display()
        ))
        .with_hint("give the component another name, or remove that plugin")),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    a.canonicalize()
        .is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}
