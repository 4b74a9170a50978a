//! From an author's components to the exported symbols.

#![allow(
    unsafe_code,
    reason = "symbols that the host looks up, and what comes in through them"
)]

use std::{
    cell::RefCell,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Once},
};

use crate::{
    abi::{
        self, AbiError, AbiMessage, ComponentBox, HostBox,
        std_types::{RErr, ROk, RResult, RStr, RString},
        type_level::downcasting::TD_Opaque,
    },
    component::Component,
    context::{Context, Services},
    error::{Error, ErrorKind, Result},
    logging::{self, Speaking},
    manifest::{Kind, render},
    message::Message,
    params::Params,
};

/// Exports a plugin's components: one line each, its kind and its type.
///
/// A plugin that links libtorch names the version first: `libtorch = "2.13.0";`. One that opens the network says so:
/// `network = true;`.
/// See the [crate's example](crate).
#[macro_export]
macro_rules! export_plugin {
    (libtorch = $libtorch:literal; $($kind:ident $component:ty;)+) => {
        $crate::export_plugin!(@emit Some($libtorch), false, $($kind $component;)+);
    };
    (network = true; $($kind:ident $component:ty;)+) => {
        $crate::export_plugin!(@emit None, true, $($kind $component;)+);
    };
    (@emit $libtorch:expr, $network:literal, $($kind:ident $component:ty;)+) => {
        const _: () = {
            use $crate::abi::std_types::{RResult, RStr, RString};

            const PLUGIN: $crate::manifest::render::Plugin = $crate::manifest::render::Plugin {
                name: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                libtorch: $libtorch,
                network: $network,
                components: &[$(
                    $crate::export::declare::<$component>($crate::protocol::$kind::KIND),
                )+],
            };
            const LENGTH: usize = $crate::manifest::render::length(&PLUGIN);

            #[used]
            #[unsafe(link_section = ".medfocus.manifest")]
            static MANIFEST: [u8; LENGTH] = $crate::manifest::render::json(&PLUGIN);

            extern "C" fn describe() -> RString {
                $crate::export::describe(&MANIFEST)
            }

            extern "C" fn create(
                name: RStr<'_>,
                params: RStr<'_>,
                host: $crate::abi::HostBox,
            ) -> RResult<$crate::abi::ComponentBox, $crate::abi::AbiError> {
                $crate::export::create(name, params, host, |name, params, host| match name {
                    $(<$component as $crate::Component>::NAME => $crate::export::make::<$component>(
                        params,
                        host,
                        |component, op, message| $crate::protocol::$kind::serve(component, op, message),
                    ),)+
                    _ => Err($crate::export::no_such_component(name)),
                })
            }

            fn root() -> $crate::abi::RootRef {
                $crate::export::root(describe, create)
            }

            extern "C" fn load() -> $crate::abi::RootModuleResult {
                $crate::abi::__call_root_module_loader(root)
            }

            // SAFETY: the name is the one under which `abi_stable` looks for a root module of this type.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: $crate::abi::LibHeader = unsafe {
                $crate::abi::LibHeader::from_constructor::<$crate::abi::RootRef>(
                    load,
                    $crate::abi::CheckTypeLayout::Yes,
                )
            };
        };
    };
    ($($kind:ident $component:ty;)+) => {
        $crate::export_plugin!(@emit None, false, $($kind $component;)+);
    };
}

#[doc(hidden)]
pub const fn declare<T: Component>(kind: Kind) -> render::Component {
    render::Component {
        kind,
        name: T::NAME,
        summary: T::SUMMARY,
        slots: T::SLOTS,
        abilities: T::ABILITIES,
        fields: <T::Params as Params>::FIELDS,
    }
}

#[doc(hidden)]
pub fn describe(manifest: &[u8]) -> RString {
    RString::from(&*String::from_utf8_lossy(manifest))
}

#[doc(hidden)]
pub fn root(
    describe: extern "C" fn() -> RString,
    create: extern "C" fn(RStr<'_>, RStr<'_>, HostBox) -> RResult<ComponentBox, AbiError>,
) -> abi::RootRef {
    abi::Root {
        epoch: abi::EPOCH,
        describe,
        create,
    }
    .leak()
}

#[doc(hidden)]
pub fn no_such_component(name: &str) -> Error {
    Error::missing(format!("this plugin has no component `{name}`"))
}

#[doc(hidden)]
pub fn create(
    name: RStr<'_>,
    params: RStr<'_>,
    host: HostBox,
    make: impl FnOnce(&str, &str, Arc<HostBox>) -> Result<ComponentBox>,
) -> RResult<ComponentBox, AbiError> {
    remember_panics();
    logging::install();
    let host = Arc::new(host);
    let _speaking = Speaking::to(&host);
    into_abi(guarded(name.as_str(), || {
        make(name.as_str(), params.as_str(), host)
    }))
}

#[doc(hidden)]
pub fn make<T: Component>(
    params: &str,
    host: Arc<HostBox>,
    serve: Serve<T>,
) -> Result<ComponentBox> {
    let params = serde_json::from_str(params).map_err(|error| {
        Error::protocol(format!("the parameters are not a JSON object: {error}"))
    })?;
    let context = Context::new(HostServices(host.clone()));
    let component = T::new(T::Params::from_json(params)?, context)?;
    Ok(ComponentBox::from_value(
        Shim {
            component: ManuallyDrop::new(component),
            serve,
            host,
        },
        TD_Opaque,
    ))
}

type Serve<T> = fn(&T, &str, Message) -> Result<Message>;

/// A component that lets no panic out.
struct Shim<T: Component> {
    component: ManuallyDrop<T>,
    serve: Serve<T>,
    host: Arc<HostBox>,
}

impl<T: Component> abi::Component for Shim<T> {
    fn invoke(&self, op: RStr<'_>, message: AbiMessage) -> RResult<AbiMessage, AbiError> {
        let _speaking = Speaking::to(&self.host);
        into_abi(guarded(T::NAME, || {
            // SAFETY: the host's handles are made by `into_abi`.
            let message = unsafe { Message::from_abi(message) }?;
            Ok((self.serve)(&self.component, op.as_str(), message)?.into_abi())
        }))
    }
}

impl<T: Component> Drop for Shim<T> {
    fn drop(&mut self) {
        let _speaking = Speaking::to(&self.host);
        let result = guarded(T::NAME, || {
            // SAFETY: dropped here and nowhere else.
            unsafe { ManuallyDrop::drop(&mut self.component) };
            Ok(())
        });
        if let Err(error) = result {
            tracing::error!("{error}");
        }
    }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps where a panic happened instead of printing it: the host prints the error it becomes.
fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let place = info
                .location()
                .map(|l| format!(" at {}:{}", l.file(), l.line()));
            LAST_PANIC.set(Some(place.unwrap_or_default()));
        }));
    });
}

pub(crate) fn guarded<R>(name: &str, f: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        let what = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".into());
        // A payload may itself panic when dropped.
        std::mem::forget(payload);
        let place = LAST_PANIC.take().unwrap_or_default();
        Err(Error::new(
            ErrorKind::Panicked,
            format!("`{name}` panicked{place}: {what}"),
        )
        .with_hint("this is a defect of the plugin; report it to its author"))
    })
}

/// An error for the crossing.
fn into_abi<T>(result: Result<T>) -> RResult<T, AbiError> {
    match result {
        Ok(value) => ROk(value),
        Err(error) => RErr(AbiError::from(&error)),
    }
}

impl From<&Error> for AbiError {
    fn from(error: &Error) -> Self {
        let json = serde_json::to_string(error).unwrap_or_else(|_| String::new());
        Self { json: json.into() }
    }
}

impl From<AbiError> for Error {
    fn from(error: AbiError) -> Self {
        serde_json::from_str(&error.json).unwrap_or_else(|_| {
            Self::protocol("the other side failed and its error cannot be read")
        })
    }
}

/// The host as a component sees it.
struct HostServices(Arc<HostBox>);

impl Services for HostServices {
    fn progress(&self, done: u64, total: u64, note: &str) {
        self.0.progress(done, total, note.into());
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn filled(&self, slot: &str) -> bool {
        let filled =
            Message::pack(&slot).and_then(|message| self.call("", abi::FILLED, message)?.unpack());
        filled.unwrap_or(false)
    }

    fn call(&self, slot: &str, op: &str, message: Message) -> Result<Message> {
        match self.0.call(slot.into(), op.into(), message.into_abi()) {
            // SAFETY: the other side's handles are made by `into_abi`.
            ROk(message) => unsafe { Message::from_abi(message) },
            RErr(error) => Err(error.into()),
        }
    }
}
