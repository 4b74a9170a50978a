//! The two roots that a plugin may export: that of `export_plugin!`, and the one in plain C.

#![allow(unsafe_code, reason = "symbols of plugins are looked up")]

use libloading::os::unix::Library as OsLibrary;
use medfocus_plugin_api::{
    Error, Result,
    abi::{self, ComponentBox, HostBox},
};

use super::c;

/// What an opened plugin exports.
#[derive(Clone)]
pub enum Root {
    /// Its layout is checked by `abi_stable`.
    Rust(abi::RootRef),
    /// See `plugin-api/c`.
    C(c::Root),
}

impl Root {
    /// Looks for a root.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be used.
    pub fn of(library: &OsLibrary) -> Result<Self> {
        // SAFETY: whatever the symbol is, its layout is checked before it is used.
        if let Ok(header) = unsafe { library.get::<abi::AbiHeaderRef>(abi::ROOT_SYMBOL.as_bytes()) }
        {
            let root = header
                .upgrade()
                .and_then(|header| header.init_root_module());
            return root.map(Self::Rust).map_err(|error| {
                tracing::debug!("{error}");
                Error::unsupported(
                    "was built with an incompatible medfocus-plugin-api; build it again with the host's version",
                )
            });
        }
        // SAFETY: a symbol of this name is what the header says.
        if let Ok(root) = unsafe { library.get(c::ROOT_SYMBOL.as_bytes()) } {
            // SAFETY: as above; an opened plugin is never closed.
            return unsafe { c::Root::new(*root) }.map(Self::C);
        }
        Err(Error::unsupported(
            "exports no root module; list its components with `export_plugin!`, or in C define `medfocus_plugin_root_c1`",
        ))
    }

    /// What the plugin says of itself.
    ///
    /// # Errors
    ///
    /// It says nothing that can be read.
    pub fn describe(&self) -> Result<String> {
        match self {
            Self::Rust(root) => Ok((root.describe())().into_string()),
            Self::C(root) => root.describe(),
        }
    }

    /// Makes a component.
    ///
    /// # Errors
    ///
    /// What the component's own constructor fails with.
    pub fn create(&self, component: &str, params: &str, host: HostBox) -> Result<ComponentBox> {
        match self {
            Self::Rust(root) => (root.create())(component.into(), params.into(), host)
                .into_result()
                .map_err(Error::from),
            Self::C(root) => root.create(component, params, host),
        }
    }
}
