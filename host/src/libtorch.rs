//! The one libtorch of the process.
//!
//! The host links none of it: it opens `libtorch_cpu.so` by absolute path before the first plugin
//! that needs it, which then finds it in the process by its name. No search path is touched.

#![allow(unsafe_code, reason = "libtorch is opened as code")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use medfocus_plugin_api::{Error, Result};

/// Where libtorch may be, and whether it is open.
#[derive(Debug, Default)]
pub struct Libtorch {
    configured: Option<PathBuf>,
    open: Mutex<Option<(PathBuf, Option<String>)>>,
}

const LIBRARY: &str = "libtorch_cpu.so";

impl Libtorch {
    /// `configured`: the config's `libtorch.dir`.
    pub fn new(configured: Option<PathBuf>) -> Self {
        Self {
            configured,
            open: Mutex::default(),
        }
    }

    /// The folder whose `lib` holds libtorch: the configured one, or that of `LIBTORCH`,
    /// `LIBTORCH_LIB` or `LIBTORCH_USE_PYTORCH`, or `.libtorch/torch` here, above, or above this program.
    ///
    /// # Errors
    ///
    /// None of these holds one.
    pub fn locate(&self) -> Result<PathBuf> {
        let env = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let named = [
            (self.configured.clone(), "the config's `libtorch.dir`"),
            (env("LIBTORCH"), "LIBTORCH"),
            (env("LIBTORCH_LIB"), "LIBTORCH_LIB"),
            (
                env("LIBTORCH_USE_PYTORCH").and_then(|_| python_torch()),
                "Python's torch",
            ),
        ];
        for (dir, source) in named {
            let Some(dir) = dir else { continue };
            if dir.join("lib").join(LIBRARY).is_file() {
                return dir.canonicalize().map_err(|error| {
                    Error::missing(format!(
                        "libtorch's folder {} is not accessible: {error}",
                        dir.display()
                    ))
                });
            }
            return Err(Error::missing(format!(
                "{source} names {}, which holds no lib/{LIBRARY}",
                dir.display()
            ))
            .with_hint("point it to a libtorch 2.13.0"));
        }
        let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
        starts
            .iter()
            .flatten()
            .flat_map(|start| start.ancestors())
            .map(|folder| folder.join(".libtorch/torch"))
            .find(|folder| folder.join("lib").join(LIBRARY).is_file())
            .ok_or_else(|| {
                Error::missing("libtorch was not found").with_hint(
                    "run `cargo xtask setup`, or set LIBTORCH to the folder of a libtorch 2.13.0",
                )
            })
    }

    /// Makes libtorch ready for a plugin that links this version.
    ///
    /// # Errors
    ///
    /// There is none, or it is of another version, or the system cannot load it.
    pub fn open(&self, version: &str) -> Result<()> {
        let mut open = self
            .open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (dir, found) = match open.take() {
            Some(found) => found,
            None => load(
                &self
                    .locate()
                    .map_err(|error| error.context("needs libtorch"))?,
            )?,
        };
        let fits = found
            .as_deref()
            .is_none_or(|found| base(found) == base(version));
        let result = if fits {
            Ok(())
        } else {
            Err(Error::unsupported(format!(
                "needs libtorch {version}, the one in {} is {}",
                dir.display(),
                found.as_deref().unwrap_or("unknown")
            ))
            .with_hint("point `libtorch.dir` or LIBTORCH to the right one"))
        };
        *open = Some((dir, found));
        result
    }
}

/// Whether a libtorch folder holds the half that computes on GPUs.
pub fn has_cuda(dir: &Path) -> bool {
    dir.join("lib/libtorch_cuda.so").is_file()
}

/// The version a libtorch folder states, if it does.
pub fn version(dir: &Path) -> Option<String> {
    if let Ok(text) = std::fs::read_to_string(dir.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let places = [
        "include/torch/headeronly/version.h",
        "include/torch/csrc/api/include/torch/version.h",
        "version.py",
    ];
    let text = places
        .iter()
        .find_map(|place| std::fs::read_to_string(dir.join(place)).ok())?;
    let part = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("#define TORCH_VERSION_{name} ")))?;
        line.split_whitespace().nth(2).map(str::to_owned)
    };
    if let (Some(major), Some(minor), Some(patch)) = (part("MAJOR"), part("MINOR"), part("PATCH")) {
        return Some(format!("{major}.{minor}.{patch}"));
    }
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    line.split(['\'', '"']).nth(1).map(str::to_owned)
}

fn load(dir: &Path) -> Result<(PathBuf, Option<String>)> {
    let path = dir.join("lib").join(LIBRARY);
    // SAFETY: trusted as the plugins are: the user named it.
    let library =
        unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
            Error::unsupported(format!(
                "libtorch at {} cannot be loaded: {error}",
                path.display()
            ))
            .with_hint("run `cargo xtask setup` again, or set LIBTORCH to a whole libtorch 2.13.0")
        })?;
    std::mem::forget(library);
    Ok((dir.to_owned(), version(dir)))
}

/// Without the build's suffix: 2.13.0+cu130 is 2.13.0.
fn base(version: &str) -> &str {
    version.split('+').next().unwrap_or(version)
}

fn python_torch() -> Option<PathBuf> {
    let script =
        "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])";
    let output = Command::new("python3").args(["-c", script]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_states_its_version_in_one_of_three_ways() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(version(folder.path()), None);
        let write = |place: &str, text: &str| {
            let file = folder.path().join(place);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("version.py", "__version__ = '2.9.0+cu130'\n");
        assert_eq!(version(folder.path()).as_deref(), Some("2.9.0+cu130"));
        write(
            "include/torch/headeronly/version.h",
            "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 0\n",
        );
        assert_eq!(version(folder.path()).as_deref(), Some("2.13.0"));
        write("build-version", "2.14.0\n");
        assert_eq!(version(folder.path()).as_deref(), Some("2.14.0"));
    }

    #[test]
    fn a_folder_without_libtorch_is_named_with_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let error = Libtorch::new(Some(folder.path().to_owned()))
            .open("2.13.0")
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("needs libtorch: the config's `libtorch.dir` names"),
            "{text}"
        );
        assert!(text.contains("holds no lib/libtorch_cpu.so"), "{text}");
    }

    #[test]
    fn builds_of_one_version_are_the_same() {
        assert_eq!(base("2.13.0+cu130"), base("2.13.0"));
        assert_ne!(base("2.13.1"), base("2.13.0"));
    }
}
