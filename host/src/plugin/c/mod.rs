//! A plugin in plain C, made into what every other plugin is: its components become [`ComponentBox`]es, and nothing beyond this
//! folder knows the difference.

#![allow(unsafe_code, reason = "functions of plugins in C are called")]

mod message;
mod services;

use std::ffi::c_void;

use medfocus_c_abi as c;
use medfocus_plugin_api::{
    Error, Result,
    abi::{
        self, AbiError, AbiMessage, ComponentBox, HostBox,
        std_types::{RErr, ROk, RResult, RStr},
        type_level::downcasting::TD_Opaque,
    },
};

use self::{
    message::{broken, failure, give, lend, take, text},
    services::Services,
};

/// The symbol under which such a plugin exports its root.
pub const ROOT_SYMBOL: &str = c::ROOT_SYMBOL;

/// What such a plugin exports.
#[derive(Clone)]
pub struct Root {
    describe: c::Describe,
    create: c::Create,
}

impl Root {
    /// Checks a root of another language.
    ///
    /// # Safety
    ///
    /// A library that stays has it under [`ROOT_SYMBOL`], as the header says.
    ///
    /// # Errors
    ///
    /// One sentence on why this host cannot use it.
    pub unsafe fn new(root: *const c::Root) -> Result<Self> {
        if root.is_null() || !root.is_aligned() {
            return Err(Error::invalid(format!("has no root under `{ROOT_SYMBOL}`")));
        }
        // SAFETY: these two every version has. The rest is read once they are known.
        let (size, epoch) = unsafe { ((*root).size, (*root).epoch) };
        if epoch != c::EPOCH {
            return Err(Error::unsupported(format!(
                "exports a root of epoch {epoch}, this host reads epoch {}; build it again with this host's \
                 medfocus_plugin.h",
                c::EPOCH
            )));
        }
        let least = size_of::<c::Root>();
        if (size as usize) < least {
            return Err(Error::invalid(format!(
                "exports a root of {size} bytes, which has at least {least}; set `size` to sizeof(medfocus_root)"
            )));
        }
        // SAFETY: as large as it must be.
        match unsafe { ((*root).describe, (*root).create) } {
            (Some(describe), Some(create)) => Ok(Self { describe, create }),
            _ => Err(Error::invalid(
                "exports a root without `describe` or `create`",
            )),
        }
    }

    /// What it says of itself.
    ///
    /// # Errors
    ///
    /// It says nothing that can be read.
    pub fn describe(&self) -> Result<String> {
        // SAFETY: by the header what it returns is lent for ever.
        Ok(unsafe { text((self.describe)()) }?.to_owned())
    }

    /// Makes a component.
    ///
    /// # Errors
    ///
    /// What the component's own `create` fails with.
    pub fn create(&self, name: &str, params: &str, host: HostBox) -> Result<ComponentBox> {
        let services = Services::new(host);
        let (mut component, mut error) = (c::Component::NONE, c::Message::NONE);
        // SAFETY: all that is lent outlives the call; the services outlive the component.
        let status = unsafe {
            (self.create)(
                lend(name),
                lend(params),
                services.table(),
                &raw mut component,
                &raw mut error,
            )
        };
        if status != c::OK {
            // SAFETY: the plugin wrote it, or nobody.
            let error = unsafe { failure(error) };
            return Err(error.unwrap_or_else(|broken| broken));
        }
        let (Some(invoke), Some(drop)) = (component.invoke, component.drop) else {
            return Err(broken("its component lacks `invoke` or `drop`"));
        };
        let component = Component {
            name: name.to_owned(),
            this: component.this,
            invoke,
            drop,
            _services: services,
        };
        Ok(ComponentBox::from_value(component, TD_Opaque))
    }
}

/// A component in C.
struct Component {
    name: String,
    this: *mut c_void,
    invoke: c::Invoke,
    drop: c::Release,
    /// Lent to it.
    _services: Services,
}

// SAFETY: by the header any thread may call it, and several at once; the services are only read.
unsafe impl Send for Component {}
// SAFETY: as above.
unsafe impl Sync for Component {}

impl abi::Component for Component {
    fn invoke(&self, op: RStr<'_>, message: AbiMessage) -> RResult<AbiMessage, AbiError> {
        let mut answer = c::Message::NONE;
        // SAFETY: the operation's name outlives the call; the message is C's from now on.
        let status =
            unsafe { (self.invoke)(self.this, lend(op.as_str()), give(message), &raw mut answer) };
        let result = if status == c::OK {
            // SAFETY: the plugin wrote it, or nobody.
            unsafe { take(answer) }.map(Ok)
        } else {
            // SAFETY: as above.
            unsafe { failure(answer) }.map(Err)
        };
        let result = result.map_err(|broken| broken.context(format!("`{}`", self.name)));
        match result.flatten() {
            Ok(answer) => ROk(answer),
            Err(error) => RErr(AbiError::from(&error)),
        }
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        // SAFETY: the last call; what it was lent is there until it returns.
        unsafe { (self.drop)(self.this) };
    }
}
