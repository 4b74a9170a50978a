//! Plugins: found, inspected, opened, and mediated.

mod identity;
mod inspect;
mod library;
mod mediator;
mod pins;
mod registry;
mod script;

pub use identity::PluginId;
pub use inspect::{Inspected, inspect};
pub use library::Library;
pub use mediator::{Calls, Instance, Mediator, Progress, Session};
pub use pins::Pins;
pub use registry::{Registry, nearest};
