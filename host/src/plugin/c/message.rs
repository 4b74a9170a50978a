//! Messages to C and back.
//!
//! Tensors go either way without a copy; the JSON is lent to C and copied from it.

#![allow(unsafe_code, reason = "messages of plugins in C are raw parts")]

use std::{ffi::c_void, mem, slice};

use medfocus_c_abi::{self as c, MOST_AXES, MOST_BYTES, MOST_TENSORS};
use medfocus_plugin_api::{
    Error, Message, Result,
    abi::{AbiMessage, TensorHandle, std_types::RVec},
};

/// What of a message is lent until its `release`: the JSON, and shapes and strides of the tensors.
struct Parcel {
    body: RVec<u8>,
    extents: Vec<(RVec<u64>, RVec<i64>)>,
    tensors: Vec<c::Tensor>,
}

/// A text lent to C for a call.
pub fn lend(text: &str) -> c::Text {
    lend_bytes(text.as_bytes())
}

/// A message that belongs to C from now on.
pub fn give(message: AbiMessage) -> c::Message {
    let mut parcel = Box::new(Parcel {
        body: message.body,
        extents: Vec::with_capacity(message.tensors.len()),
        tensors: Vec::with_capacity(message.tensors.len()),
    });
    for mut handle in message.tensors {
        let shape = mem::take(&mut handle.shape);
        let strides = mem::take(&mut handle.strides);
        parcel.tensors.push(c::Tensor {
            data: handle.data.cast(),
            dtype: handle.dtype.into(),
            rank: shape.len() as u32,
            shape: shape.as_ptr(),
            strides: strides.as_ptr(),
            owner: handle.owner.cast(),
            // SAFETY: the two types differ in what the argument points to.
            release: Some(unsafe {
                mem::transmute::<extern "C" fn(*mut u8), c::Release>(handle.release)
            }),
        });
        parcel.extents.push((shape, strides));
        // C gives it back.
        mem::forget(handle);
    }
    let (body, tensors) = (lend_bytes(&parcel.body), parcel.tensors.as_ptr());
    c::Message {
        body,
        tensors,
        tensor_count: parcel.tensors.len(),
        owner: Box::into_raw(parcel).cast(),
        release: Some(release_parcel),
    }
}

/// An error that belongs to C from now on.
pub fn give_error(error: &Error) -> c::Message {
    give(AbiMessage {
        body: serde_json::to_vec(error).unwrap_or_default().into(),
        tensors: RVec::new(),
    })
}

unsafe extern "C" fn release_parcel(owner: *mut c_void) {
    // SAFETY: made by `Box::into_raw` in `give`, given back once.
    drop(unsafe { Box::from_raw(owner.cast::<Parcel>()) });
}

/// The error that a function in C gives.
///
/// # Safety
///
/// That of [`take`].
///
/// # Errors
///
/// It cannot be read.
pub unsafe fn failure(message: c::Message) -> Result<Error> {
    // SAFETY: the caller's promise.
    let message = unsafe { take(message) }?;
    serde_json::from_slice(&message.body)
        .map_err(|error| broken(&format!("an error cannot be read ({error})")))
}

/// Takes a message of C over. Whatever is wrong with it, all of it that can be given back is.
///
/// # Safety
///
/// The message is as the header says, or empty; but null pointers, numbers out of range and texts that are not UTF-8 are found.
///
/// # Errors
///
/// [`Error::protocol`] for these.
pub unsafe fn take(message: c::Message) -> Result<AbiMessage> {
    let Some(release) = message.release else {
        return Err(broken(match message.body.data.is_null() {
            true => "a message is missing",
            false => "a message has no release function",
        }));
    };
    let _received = Received {
        owner: message.owner,
        release,
    };
    // SAFETY: the caller's promise.
    let tensors = unsafe { array(message.tensors, message.tensor_count, MOST_TENSORS) };
    let tensors = tensors.ok_or_else(|| broken("the tensors of a message are null or too many"))?;
    // SAFETY: as above; each is read here alone.
    let tensors = tensors.iter().map(|tensor| unsafe { handle(tensor) });
    // Each is held before any is refused, and so is given back.
    let tensors = Vec::from_iter(tensors).into_iter().collect::<Result<_>>()?;
    // SAFETY: as above.
    let body = unsafe { text(message.body) }?;
    if body.is_empty() {
        return Err(broken("a message is empty"));
    }
    let body = RVec::from(body.as_bytes());
    // SAFETY: the header asks of tensors what this asks of handles.
    let checked = unsafe { Message::from_abi(AbiMessage { body, tensors }) };
    Ok(checked.map_err(blame)?.into_abi())
}

/// A tensor that belongs to the host from now on.
///
/// # Safety
///
/// That of [`take`].
unsafe fn handle(tensor: &c::Tensor) -> Result<TensorHandle> {
    let release = tensor
        .release
        .ok_or_else(|| broken("a tensor has no release function"))?;
    let mut handle = TensorHandle {
        data: tensor.data.cast(),
        // One that is unknown stays so.
        dtype: u8::try_from(tensor.dtype).unwrap_or(u8::MAX),
        shape: RVec::new(),
        strides: RVec::new(),
        owner: tensor.owner.cast(),
        // SAFETY: the two types differ in what the argument points to; by the header any thread may call it.
        release: unsafe { mem::transmute::<c::Release, extern "C" fn(*mut u8)>(release) },
    };
    let (rank, most) = (tensor.rank as usize, MOST_AXES as usize);
    // SAFETY: the caller's promise.
    let extents = unsafe { array(tensor.shape, rank, most).zip(array(tensor.strides, rank, most)) };
    let (shape, strides) =
        extents.ok_or_else(|| broken("the axes of a tensor are null or too many"))?;
    (handle.shape, handle.strides) = (shape.into(), strides.into());
    Ok(handle)
}

/// A text of C.
///
/// # Safety
///
/// Its bytes stay as they are for as long as `'a`, unless it is null or too long.
pub unsafe fn text<'a>(text: c::Text) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { array(text.data.cast::<u8>(), text.length, MOST_BYTES) };
    let bytes = bytes.ok_or_else(|| broken("a text is null or too long"))?;
    std::str::from_utf8(bytes).map_err(|_| broken("a text is not UTF-8"))
}

/// The elements at an address; none if it cannot be one.
///
/// # Safety
///
/// Unless `first` is null or unaligned or there are more than `most`, `length` elements lie there for as long as `'a`.
unsafe fn array<'a, T>(first: *const T, length: usize, most: usize) -> Option<&'a [T]> {
    if length == 0 {
        return Some(&[]);
    }
    // SAFETY: the caller's promise.
    (!first.is_null() && first.is_aligned() && length <= most)
        .then(|| unsafe { slice::from_raw_parts(first, length) })
}

fn lend_bytes(bytes: &[u8]) -> c::Text {
    c::Text {
        data: bytes.as_ptr().cast(),
        length: bytes.len(),
    }
}

/// A message but for its tensors, given back at the end of the scope.
struct Received {
    owner: *mut c_void,
    release: c::Release,
}

impl Drop for Received {
    fn drop(&mut self) {
        // SAFETY: the header's rule for what was received; called once.
        unsafe { (self.release)(self.owner) };
    }
}

/// The error for what breaks the header's rules.
pub fn broken(what: &str) -> Error {
    blame(Error::protocol(what))
}

fn blame(error: Error) -> Error {
    error.with_hint("this is a defect of the plugin; report it to its author")
}
