//! Which shared libraries a build product may ask the loader for.
//!
//! The manifest of dependencies cannot tell: a C++ library drawn in by a build script shows only in
//! the finished file. One that needs libtorch_cuda.so, say, loads on no machine without CUDA.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Present on every glibc Linux.
const SYSTEM: &[&str] = &[
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
];

/// libtorch and the C++ and OpenMP runtimes its bindings use. Not the umbrella libtorch.so, which in a
/// build with CUDA needs libtorch_cuda.so.
const TORCH: &[&str] = &[
    "libc10.so",
    "libgomp.so.1",
    "libstdc++.so.6",
    "libtorch.so",
    "libtorch_cpu.so",
];

/// The folders of `plugins/` whose plugins run networks.
const TORCH_KINDS: [&str; 3] = ["models", "vision", "editors"];

/// What a build product is, hence what it may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The executable: opens libtorch by path, links none of it.
    Host,
    /// A plugin that computes without libtorch.
    Plugin,
    /// A plugin that runs a network.
    TorchPlugin,
}

impl Role {
    /// The role of a plugin whose crate lies in `plugins/<kind>/`.
    pub fn of_plugin(kind: &str) -> Self {
        if TORCH_KINDS.contains(&kind) {
            Self::TorchPlugin
        } else {
            Self::Plugin
        }
    }

    fn may_need(self, library: &str) -> bool {
        let is_loader = library.starts_with("ld-linux");
        is_loader
            || SYSTEM.contains(&library)
            || (self == Self::TorchPlugin && TORCH.contains(&library))
    }
}

/// Refuses a file that needs a library its role does not allow.
pub fn check(file: &Path, role: Role) -> Result<()> {
    // binutils come with the C++ compiler the build needs anyway.
    let output = Command::new("readelf")
        .args(["--dynamic", "--wide"])
        .arg(file)
        .env("LC_ALL", "C")
        .output();
    let output = output.context("could not start readelf: install binutils")?;
    if !output.status.success() {
        bail!("readelf cannot read {}", file.display());
    }
    let listing = String::from_utf8_lossy(&output.stdout);
    match needed(&listing).find(|library| !role.may_need(library)) {
        Some(library) => bail!(
            "{} links {library}, which {} may not (see host/xtask/src/rules/libraries.rs)",
            file.display(),
            match role {
                Role::Host => "the host",
                Role::Plugin => "a plugin that is not under plugins/{models,vision,editors}",
                Role::TorchPlugin => "no plugin",
            }
        ),
        None => Ok(()),
    }
}

/// The names in `0x... (NEEDED)  Shared library: [libc.so.6]`.
fn needed(listing: &str) -> impl Iterator<Item = &str> {
    listing
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| {
            let (_, name) = line.split_once('[')?;
            name.split(']').next()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_libraries_are_read_off_the_dynamic_section() {
        let listing = "Dynamic section at offset 0x2df0 contains 2 entries:\n  Tag        Type     Name/Value\n \
                       0x01 (NEEDED)             Shared library: [libtorch_cpu.so]\n \
                       0x01 (NEEDED)             Shared library: [libc.so.6]\n \
                       0x0f (RPATH)              Library rpath: [$ORIGIN]\n";
        assert_eq!(
            needed(listing).collect::<Vec<_>>(),
            ["libtorch_cpu.so", "libc.so.6"]
        );
    }

    #[test]
    fn only_network_plugins_may_need_libtorch_and_nothing_may_need_cuda() {
        for (role, torch) in [
            (Role::Host, false),
            (Role::Plugin, false),
            (Role::TorchPlugin, true),
        ] {
            assert!(role.may_need("libc.so.6") && role.may_need("ld-linux-x86-64.so.2"));
            assert_eq!(role.may_need("libtorch_cpu.so"), torch, "{role:?}");
            assert!(!role.may_need("libtorch_cuda.so"), "{role:?}");
        }
        assert_eq!(Role::of_plugin("methods"), Role::Plugin);
        assert_eq!(Role::of_plugin("models"), Role::TorchPlugin);
    }

    #[test]
    fn a_running_executable_passes_and_a_text_file_is_refused() {
        let this = std::env::current_exe().unwrap();
        check(&this, Role::Host).unwrap();
        let text = tempfile::NamedTempFile::new().unwrap();
        assert!(check(text.path(), Role::Host).is_err());
    }
}
