//! Plugins: found, inspected, opened, and mediated.

mod inspect;
mod library;
mod mediator;
mod registry;

pub use inspect::{Inspected, inspect};
pub use library::{Library, PluginId};
pub use mediator::{Calls, Instance, Mediator, Progress, Session};
pub use registry::{Registry, nearest};
