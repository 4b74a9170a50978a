//! Typed values to messages and back.
//!
//! A value's JSON holds, for each [`Tensor`] in it, an index into the message's tensors, so any
//! `serde` type may hold tensors anywhere.

#![allow(unsafe_code, reason = "handles cross the waist as raw parts")]

use std::cell::RefCell;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::{
    abi::{AbiMessage, std_types::RVec},
    error::{Error, Result},
    tensor::Tensor,
};

/// JSON and the tensors it refers to.
#[derive(Debug, Default)]
pub struct Message {
    body: Vec<u8>,
    tensors: Vec<Tensor>,
}

thread_local! {
    // The tensors of the message being packed or unpacked on this thread.
    static TENSORS: RefCell<Option<Vec<Tensor>>> = const { RefCell::new(None) };
}

/// Runs `f` with `tensors` in place and returns what is there afterwards.
fn with_tensors<R>(tensors: Vec<Tensor>, f: impl FnOnce() -> R) -> (R, Vec<Tensor>) {
    struct Restore(Option<Vec<Tensor>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TENSORS.set(self.0.take());
        }
    }
    let restore = Restore(TENSORS.replace(Some(tensors)));
    let result = f();
    let tensors = TENSORS.take().unwrap_or_default();
    drop(restore);
    (result, tensors)
}

impl Message {
    /// Packs a value. Tensors in it are shared, not copied.
    pub fn pack<T: Serialize>(value: &T) -> Result<Self> {
        let (body, tensors) = with_tensors(Vec::new(), || serde_json::to_vec(value));
        let body =
            body.map_err(|error| Error::protocol(format!("cannot pack a message: {error}")))?;
        Ok(Self { body, tensors })
    }

    /// Unpacks a value; fields it does not know are ignored.
    pub fn unpack<T: DeserializeOwned>(self) -> Result<T> {
        let (value, _) = with_tensors(self.tensors, || serde_json::from_slice(&self.body));
        value.map_err(|error| Error::protocol(format!("cannot read a message: {error}")))
    }

    /// JSON with the tensors that it refers to, as another process sent them.
    pub fn from_parts(body: Vec<u8>, tensors: Vec<Tensor>) -> Self {
        Self { body, tensors }
    }

    /// The JSON part.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The tensors the JSON refers to, in order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// For the crossing.
    pub fn into_abi(self) -> AbiMessage {
        AbiMessage {
            body: RVec::from(self.body),
            tensors: self.tensors.iter().map(Tensor::to_handle).collect(),
        }
    }

    /// From the crossing.
    ///
    /// # Safety
    ///
    /// Each handle describes memory that lies in one allocation, spans at most `isize::MAX` bytes, may be
    /// read from any thread and is not written until `release` is called, as [`Self::into_abi`] makes them.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if a tensor handle is malformed.
    pub unsafe fn from_abi(message: AbiMessage) -> Result<Self> {
        Ok(Self {
            body: message.body.into(),
            tensors: message
                .tensors
                .into_iter()
                .map(Tensor::from_handle)
                .collect::<Result<_>>()?,
        })
    }
}

impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = TENSORS.with_borrow_mut(|slot| {
            let tensors = slot.as_mut()?;
            tensors.push(self.clone());
            Some(tensors.len() - 1)
        });
        let index = index
            .ok_or_else(|| serde::ser::Error::custom("a tensor only travels inside a message"))?;
        serializer.serialize_u64(index as u64)
    }
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = usize::deserialize(deserializer)?;
        TENSORS
            .with_borrow(|slot| slot.as_ref()?.get(index).cloned())
            .ok_or_else(|| serde::de::Error::custom(format!("the message has no tensor {index}")))
    }
}
