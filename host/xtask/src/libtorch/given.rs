//! A libtorch the user names, by the variables torch-sys knows: LIBTORCH (or LIBTORCH_LIB with
//! LIBTORCH_INCLUDE), or LIBTORCH_USE_PYTORCH for the one of the active Python.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Libtorch, VERSION, view};

/// A named libtorch whose version was checked.
#[derive(Debug)]
pub struct Given {
    /// The folder that holds `lib`.
    runtime: PathBuf,
    include: PathBuf,
}

/// What the environment names, or None. `variable` looks one up (`std::env::var_os`); `home` is our
/// own installation folder, which cargo's configuration may have named.
///
/// # Errors
/// What is named is incomplete, of unknown version, or of another version than [`VERSION`].
pub fn from_environment(
    variable: &dyn Fn(&str) -> Option<OsString>,
    home: &Path,
) -> Result<Option<Given>> {
    let path = |name: &str| {
        let value = variable(name).filter(|value| !value.is_empty());
        value.and_then(|value| std::path::absolute(value).ok())
    };
    let (runtime, include) = if variable("LIBTORCH_USE_PYTORCH").is_some() {
        let folder = pytorch_folder(variable("VIRTUAL_ENV").is_some())?;
        (folder.clone(), folder)
    } else {
        let whole = path("LIBTORCH").filter(|folder| !folder.starts_with(home));
        let lib = path("LIBTORCH_LIB").or_else(|| whole.clone());
        let include = path("LIBTORCH_INCLUDE").or(whole);
        match (lib, include) {
            (Some(lib), Some(include)) => (lib, include),
            (None, None) => return Ok(None),
            _ => bail!(
                "LIBTORCH_LIB and LIBTORCH_INCLUDE belong together: set both, or LIBTORCH alone"
            ),
        }
    };
    let include = include.join("include");
    for needed in [&runtime.join("lib/libtorch_cpu.so"), &include] {
        if let Err(cause) = needed.metadata() {
            bail!(
                "LIBTORCH names no libtorch {VERSION}: {} cannot be read ({cause})",
                needed.display()
            );
        }
    }
    match version(&runtime, &include) {
        Some(found) if found == VERSION => Ok(Some(Given { runtime, include })),
        Some(found) => {
            bail!(
                "the libtorch in {} is {found}, but {VERSION} is needed: unset LIBTORCH to have it installed",
                runtime.display()
            )
        }
        None => bail!(
            "the libtorch in {} does not say its version; {VERSION} is needed",
            runtime.display()
        ),
    }
}

impl Given {
    /// Makes (or finds made) a view of this libtorch under `home` to link against. NVIDIA's libraries
    /// are linked in beside it, where the run paths of libtorch look for them.
    pub fn into_libtorch(self, home: &Path) -> Result<Libtorch> {
        let base = home.join("given");
        let link = base.join("link");
        let is_current = fs::read_link(base.join("origin"))
            .is_ok_and(|origin| origin == self.runtime)
            && fs::read_link(link.join("include")).is_ok_and(|include| include == self.include);
        if !is_current {
            self.show_in(&base, &link)
                .with_context(|| format!("could not prepare {}", base.display()))?;
        }
        Ok(Libtorch {
            link,
            runtime: self.runtime,
        })
    }

    fn show_in(&self, base: &Path, link: &Path) -> std::io::Result<()> {
        if base.exists() {
            fs::remove_dir_all(base)?;
        }
        let lib = self.runtime.join("lib");
        view::create(link, &lib, &lib, &self.include)?;
        if let Some(nvidia) = self
            .runtime
            .parent()
            .map(|folder| folder.join("nvidia"))
            .filter(|path| path.is_dir())
        {
            symlink(nvidia, base.join("nvidia"))?;
        }
        symlink(&self.runtime, base.join("origin"))
    }
}

/// Where the active Python would import torch from; found without the seconds importing it takes.
fn pytorch_folder(in_virtual_environment: bool) -> Result<PathBuf> {
    let python = if in_virtual_environment {
        "python"
    } else {
        "python3"
    };
    let question =
        "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])";
    let output = Command::new(python).args(["-c", question]).output();
    let output = output
        .with_context(|| format!("LIBTORCH_USE_PYTORCH is set, but {python} cannot be started"))?;
    if !output.status.success() {
        bail!(
            "LIBTORCH_USE_PYTORCH is set, but {python} has no torch: install torch=={VERSION}, or unset it"
        );
    }
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}

/// The version without its build tag. A libtorch archive has a `build-version` file; a wheel says it
/// only in its headers.
fn version(runtime: &Path, include: &Path) -> Option<String> {
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let from_file =
        read(runtime.join("build-version")).map(|text| without_build_tag(&text).to_owned());
    let headers = [
        "torch/headeronly/version.h",
        "torch/csrc/api/include/torch/version.h",
    ];
    from_file.or_else(|| {
        headers
            .iter()
            .find_map(|header| version_in_header(&read(include.join(header))?))
    })
}

/// `2.13.0` of `2.13.0+cu130`.
fn without_build_tag(version: &str) -> &str {
    version.trim().split('+').next().unwrap_or_default()
}

/// The version that the macros TORCH_VERSION_MAJOR, _MINOR and _PATCH spell.
fn version_in_header(header: &str) -> Option<String> {
    let part = |name: &str| {
        header.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(name)).then(|| words.next())?
        })
    };
    let [major, minor, patch] =
        ["MAJOR", "MINOR", "PATCH"].map(|name| part(&format!("TORCH_VERSION_{name}")));
    Some(format!("{}.{}.{}", major?, minor?, patch?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A libtorch as far as this module looks.
    fn fake(folder: &Path, minor: u32) {
        let header = format!(
            "#pragma once\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR {minor}\n\
             #define TORCH_VERSION_PATCH 0\n#define TORCH_VERSION_ABI_TAG 0\n"
        );
        let headers = folder.join("include/torch/headeronly");
        fs::create_dir_all(&headers).unwrap();
        fs::write(headers.join("version.h"), header).unwrap();
        fs::create_dir_all(folder.join("lib")).unwrap();
        for name in ["libtorch_cpu.so", "libtorch_cuda.so"] {
            fs::write(folder.join("lib").join(name), "").unwrap();
        }
    }

    fn look(variables: &[(&str, &Path)], home: &Path) -> Result<Option<Given>> {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.as_os_str().to_owned())
        };
        from_environment(&variable, home)
    }

    #[test]
    fn a_build_tag_is_no_part_of_the_version() {
        assert_eq!(without_build_tag("2.13.0+cu130\n"), "2.13.0");
        assert_eq!(without_build_tag("2.13.0"), "2.13.0");
    }

    #[test]
    fn a_header_without_all_three_macros_has_no_version() {
        assert_eq!(
            version_in_header("#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n"),
            None
        );
        assert_eq!(
            version_in_header("#include <torch/headeronly/version.h>\n"),
            None
        );
    }

    #[test]
    fn without_variables_or_with_our_own_folder_nothing_is_given() {
        let home = tempfile::tempdir().unwrap();
        assert!(look(&[], home.path()).unwrap().is_none());
        assert!(
            look(&[("LIBTORCH", &home.path().join("link"))], home.path())
                .unwrap()
                .is_none()
        );
        assert!(
            look(&[("LIBTORCH", Path::new(""))], home.path())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_right_version_is_taken_and_viewed_without_cuda() {
        let dir = tempfile::tempdir().unwrap();
        let (home, torch) = (dir.path().join("home"), dir.path().join("site/torch"));
        fs::create_dir_all(dir.path().join("site/nvidia")).unwrap();
        fake(&torch, 13);
        for _ in 0..2 {
            let libtorch = look(&[("LIBTORCH", &torch)], &home)
                .unwrap()
                .unwrap()
                .into_libtorch(&home)
                .unwrap();
            assert_eq!(libtorch.runtime, torch);
            assert!(libtorch.link.join("lib/libtorch_cpu.so").exists());
            assert!(!libtorch.link.join("lib/libtorch_cuda.so").exists());
            assert!(
                libtorch
                    .link
                    .join("include/torch/headeronly/version.h")
                    .exists()
            );
            assert!(libtorch.link.join("lib/../../nvidia").is_dir());
        }
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fake(dir.path(), 12);
        let error = look(&[("LIBTORCH", dir.path())], Path::new("/nowhere"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("is 2.12.0, but 2.13.0 is needed"), "{error}");

        fs::write(dir.path().join("build-version"), "2.13.0+cpu\n").unwrap();
        assert!(
            look(&[("LIBTORCH", dir.path())], Path::new("/nowhere"))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn half_a_setting_or_a_missing_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = look(&[("LIBTORCH_LIB", dir.path())], Path::new("/nowhere"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("LIBTORCH_INCLUDE"), "{error}");
        let error = look(
            &[("LIBTORCH", &dir.path().join("gone"))],
            Path::new("/nowhere"),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("gone"), "{error}");
    }
}
