//! A model server for tests: it shows a local model as vLLM would, and misbehaves when told to.
//!
//! What it answers is in [`vllm`]; how it can misbehave on the wire is [`Wire`], and what it can lie about is up to the test:
//! it may change every answer before it is sent. [`Authority`] signs certificates for it.

mod authority;
mod server;
pub mod vllm;
mod wire;

pub use authority::{Authority, Identity};
pub use server::{Plan, Server};
pub use wire::Wire;
