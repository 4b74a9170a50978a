//! The surface of plugins in plain C, version 1: `include/medfocus_plugin.h`, as the host sees it.
//!
//! The header says what each field means, who owns what and which thread calls what; a test compares the two field by field.
//! Nothing here may ever change, as in `medfocus-abi`: fields are added only to the end of [`Root`] and [`Host`], whose `size`
//! says which are there. A plugin is a stranger's memory: every pointer from one may be null, and functions are `Option`s.

use std::ffi::{c_char, c_void};

/// Of [`Root::epoch`] and [`Host::epoch`].
pub const EPOCH: u32 = 1;

/// The symbol under which a plugin exports its [`Root`].
pub const ROOT_SYMBOL: &str = "medfocus_plugin_root_c1";

/// What a function returns that did what it was asked to; everything else is an error.
pub const OK: i32 = 0;
/// What the host's own functions return else.
pub const ERROR: i32 = 1;

/// Most axes of a tensor.
pub const MOST_AXES: u32 = 32;
/// Most tensors of a message.
pub const MOST_TENSORS: usize = 1 << 20;
/// Most bytes of a text.
pub const MOST_BYTES: usize = 1 << 30;

/// Gives something back, or ends a component.
pub type Release = unsafe extern "C" fn(*mut c_void);
/// Performs an operation of a component; writes the answer or the error.
pub type Invoke = unsafe extern "C" fn(*mut c_void, Text, Message, *mut Message) -> i32;
/// The manifest.
pub type Describe = unsafe extern "C" fn() -> Text;
/// Makes a component: name, parameters, the host's services; writes the component or the error.
pub type Create =
    unsafe extern "C" fn(Text, Text, *const Host, *mut Component, *mut Message) -> i32;

/// UTF-8, lent.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    pub data: *const c_char,
    pub length: usize,
}

/// A strided array.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Tensor {
    pub data: *const c_void,
    pub dtype: u32,
    pub rank: u32,
    pub shape: *const u64,
    pub strides: *const i64,
    pub owner: *mut c_void,
    pub release: Option<Release>,
}

/// JSON, and the tensors it refers to by index; belongs to whoever received it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub body: Text,
    pub tensors: *const Tensor,
    pub tensor_count: usize,
    pub owner: *mut c_void,
    pub release: Option<Release>,
}

/// What the host offers a component.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Host {
    pub size: u32,
    pub epoch: u32,
    pub this: *mut c_void,
    pub log: unsafe extern "C" fn(*mut c_void, u32, Text, Text),
    pub progress: unsafe extern "C" fn(*mut c_void, u64, u64, Text),
    pub cancelled: unsafe extern "C" fn(*mut c_void) -> bool,
    pub call: unsafe extern "C" fn(*mut c_void, Text, Text, Message, *mut Message) -> i32,
}

/// One component.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Component {
    pub this: *mut c_void,
    pub invoke: Option<Invoke>,
    pub drop: Option<Release>,
}

/// What a plugin exports.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Root {
    pub size: u32,
    pub epoch: u32,
    pub describe: Option<Describe>,
    pub create: Option<Create>,
}

impl Message {
    /// No message at all, as before a function writes one.
    pub const NONE: Self = Self {
        body: Text {
            data: std::ptr::null(),
            length: 0,
        },
        tensors: std::ptr::null(),
        tensor_count: 0,
        owner: std::ptr::null_mut(),
        release: None,
    };
}

impl Component {
    /// No component at all, as before `create` writes one.
    pub const NONE: Self = Self {
        this: std::ptr::null_mut(),
        invoke: None,
        drop: None,
    };
}
