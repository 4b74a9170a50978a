//! The frozen binary surface, version 1.
//!
//! Nothing here may ever change, the version of this crate included: the loader compares name and
//! version of the crate that defines a type, and refuses a plugin in which a field or a method is
//! missing. A new ability is a new operation name or an optional JSON field. This is the one crate
//! that names `abi_stable`; authors never see it.

// `abi_stable`'s derives trip lints of compilers newer than they are.
#![allow(
    non_local_definitions,
    non_camel_case_types,
    clippy::all,
    missing_docs,
    unsafe_code,
    unsafe_op_in_unsafe_fn
)]

use abi_stable::{
    StableAbi,
    library::RootModule,
    sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RBox, RResult, RStr, RString, RVec},
};

pub use abi_stable::{
    library::{
        __call_root_module_loader, AbiHeaderRef, CheckTypeLayout, LibHeader, LibraryError,
        RootModuleResult,
    },
    std_types, type_level,
};

/// The generation of this surface. A plugin of another epoch is refused before it is opened.
pub const EPOCH: u32 = 1;

/// The symbol under which a plugin exports its [`LibHeader`].
pub const ROOT_SYMBOL: &str = abi_stable::library::ROOT_MODULE_LOADER_NAME;

/// What a plugin exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef)))]
#[sabi(missing_field(panic))]
pub struct Root {
    /// [`EPOCH`] of the plugin.
    pub epoch: u32,
    /// The manifest, as embedded in the library's `.medfocus.manifest` section.
    pub describe: extern "C" fn() -> RString,
    /// Makes a component: name, parameters (JSON object), the host's services.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(RStr<'_>, RStr<'_>, HostBox) -> RResult<ComponentBox, AbiError>,
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "medfocus_plugin";
    const NAME: &'static str = "medfocus_plugin";
    // The surface's own version, not the crate's: it stays 1.0.0 as long as the epoch is 1.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// One component of a plugin.
#[sabi_trait]
pub trait Component: Send + Sync {
    /// Performs operation `op`.
    fn invoke(&self, op: RStr<'_>, message: AbiMessage) -> RResult<AbiMessage, AbiError>;
}

/// What the host offers a component.
#[sabi_trait]
pub trait Host: Send + Sync {
    /// Level: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>);
    /// `done` of `total` steps (0: unknown) with a short note.
    fn progress(&self, done: u64, total: u64, note: RStr<'_>);
    /// Whether the user asked to stop.
    fn cancelled(&self) -> bool;
    /// Performs operation `op` of whatever fills `slot`; the empty slot is the host itself.
    fn call(
        &self,
        slot: RStr<'_>,
        op: RStr<'_>,
        message: AbiMessage,
    ) -> RResult<AbiMessage, AbiError>;
}

/// A boxed [`Component`].
pub type ComponentBox = Component_TO<'static, RBox<()>>;
/// A boxed [`Host`].
pub type HostBox = Host_TO<'static, RBox<()>>;

/// A message: JSON, and the tensors it refers to by index.
#[repr(C)]
#[derive(StableAbi)]
pub struct AbiMessage {
    pub body: RVec<u8>,
    pub tensors: RVec<TensorHandle>,
}

/// An error: the JSON of `medfocus_plugin_api::Error`.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct AbiError {
    pub json: RString,
}

/// A strided array in CPU memory and the function that gives it back, after DLPack.
///
/// `strides` count elements. `release(owner)` is called exactly once, from any thread.
#[repr(C)]
#[derive(StableAbi)]
pub struct TensorHandle {
    pub data: *const u8,
    pub dtype: u8,
    pub shape: RVec<u64>,
    pub strides: RVec<i64>,
    pub owner: *mut u8,
    pub release: extern "C" fn(*mut u8),
}

// SAFETY: the memory is immutable while shared, and its release function may be called from any thread.
unsafe impl Send for TensorHandle {}
// SAFETY: as above.
unsafe impl Sync for TensorHandle {}

impl Drop for TensorHandle {
    fn drop(&mut self) {
        (self.release)(self.owner);
    }
}

/// Operation of the empty slot: whether a slot (JSON string) is filled (JSON boolean).
pub const FILLED: &str = "filled";

impl Root {
    /// Makes the module that a plugin exports.
    pub fn leak(self) -> RootRef {
        use abi_stable::prefix_type::PrefixTypeTrait;
        self.leak_into_prefix()
    }
}
