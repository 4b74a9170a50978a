//! The host as a component in C sees it.

#![allow(unsafe_code, reason = "functions that C calls with raw parts")]

use std::{ffi::c_void, ptr};

use medfocus_c_abi as c;
use medfocus_plugin_api::{
    Result,
    abi::{AbiMessage, HostBox},
};

use super::message::{broken, give, give_error, take, text};

/// What a component is lent, at an address that stays.
pub struct Services(*mut Lent);

struct Lent {
    table: c::Host,
    host: HostBox,
}

impl Services {
    pub fn new(host: HostBox) -> Self {
        let table = c::Host {
            size: size_of::<c::Host>() as u32,
            epoch: c::EPOCH,
            this: ptr::null_mut(),
            log,
            progress,
            cancelled,
            call,
        };
        let lent = Box::into_raw(Box::new(Lent { table, host }));
        // SAFETY: nobody else knows it yet.
        unsafe { (*lent).table.this = lent.cast() };
        Self(lent)
    }

    /// As long as these services are.
    pub fn table(&self) -> *const c::Host {
        // SAFETY: it is there until the services are dropped.
        unsafe { &raw const (*self.0).table }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw`, given back once.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// The host behind a table's `self`; nothing if C passed none.
///
/// # Safety
///
/// `this` is null or a table's, whose services are for as long as `'a`.
unsafe fn host<'a>(this: *mut c_void) -> Option<&'a HostBox> {
    // SAFETY: the caller's promise.
    unsafe { this.cast_const().cast::<Lent>().as_ref() }.map(|lent| &lent.host)
}

unsafe extern "C" fn log(this: *mut c_void, level: u32, target: c::Text, line: c::Text) {
    // SAFETY: the header's promise for all arguments, here and below.
    let (host, target, line) = unsafe { (host(this), text(target), text(line)) };
    if let (Some(host), Ok(target), Ok(line)) = (host, target, line) {
        host.log(
            level.try_into().unwrap_or(u8::MAX),
            target.into(),
            line.into(),
        );
    }
}

unsafe extern "C" fn progress(this: *mut c_void, done: u64, total: u64, note: c::Text) {
    // SAFETY: as above.
    if let (Some(host), Ok(note)) = unsafe { (host(this), text(note)) } {
        host.progress(done, total, note.into());
    }
}

unsafe extern "C" fn cancelled(this: *mut c_void) -> bool {
    // SAFETY: as above.
    unsafe { host(this) }.is_some_and(|host| host.cancelled())
}

unsafe extern "C" fn call(
    this: *mut c_void,
    slot: c::Text,
    op: c::Text,
    message: c::Message,
    answer: *mut c::Message,
) -> i32 {
    // SAFETY: as above. The message is taken first: it is the host's now, whatever is wrong with the rest.
    let parts = unsafe { (take(message), host(this), text(slot), text(op)) };
    if answer.is_null() {
        return c::ERROR;
    }
    let (status, message) = match perform(parts) {
        Ok(message) => (c::OK, give(message)),
        Err(error) => (c::ERROR, give_error(&error)),
    };
    // SAFETY: not null; by the header it may be written.
    unsafe { answer.write(message) };
    status
}

fn perform(
    (message, host, slot, op): (
        Result<AbiMessage>,
        Option<&HostBox>,
        Result<&str>,
        Result<&str>,
    ),
) -> Result<AbiMessage> {
    let host = host.ok_or_else(|| broken("a call of the host lacks its `self`"))?;
    let answer = host.call(slot?.into(), op?.into(), message?);
    Ok(answer.into_result()?)
}
