//! The six kinds of component: their traits, their requests and responses, and how these travel.
//!
//! Each file holds one kind: the trait an author implements, the types it speaks, `serve` (from
//! messages to the trait) and the trait's implementation for [`Client`] (from the trait to
//! messages). Requests and answers may gain optional fields, so they are made by constructors, whose
//! optional fields are set afterwards; a kind may gain operations; nothing is ever taken away or
//! changed in meaning.

use std::sync::Arc;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    error::{Error, Result},
    message::Message,
};

pub mod dataset;
pub mod detector;
pub mod editor;
pub mod method;
pub mod mode;
pub mod model;
mod numbers;
pub mod segmenter;
pub mod tokens;
pub mod trace;

/// Something that performs operations.
pub trait Caller: Send + Sync {
    /// Performs operation `op`.
    ///
    /// # Errors
    ///
    /// Whatever the operation fails with.
    fn call(&self, op: &str, message: Message) -> Result<Message>;
}

/// A component somewhere else, seen through the trait of its kind.
#[derive(Clone)]
pub struct Client(Arc<dyn Caller>);

impl Client {
    /// A client of whatever performs the operations.
    pub fn new(caller: impl Caller + 'static) -> Self {
        Self(Arc::new(caller))
    }

    fn ask<Q: Serialize, R: DeserializeOwned>(&self, op: &str, request: &Q) -> Result<R> {
        self.0.call(op, Message::pack(request)?)?.unpack()
    }
}

/// Answers one operation in a `serve` function.
fn answer<Q: DeserializeOwned, R: Serialize>(
    message: Message,
    perform: impl FnOnce(Q) -> Result<R>,
) -> Result<Message> {
    Message::pack(&perform(message.unpack()?)?)
}

/// The error for an operation of a later version of this crate.
fn unknown(op: &str) -> Error {
    Error::unsupported(format!("operation `{op}` is not known to this component"))
}

/// Takes whatever a later version wrote.
pub(crate) fn unknown_to_this_version<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(), D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| ())
}
