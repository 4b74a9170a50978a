//! Plugins: found, inspected, opened, and mediated.

mod c;
mod contents;
pub mod folders;
mod gate;
mod identity;
mod inspect;
mod installed;
mod library;
mod mediator;
mod pins;
mod registry;
mod root;
mod script;

pub use contents::Contents;
pub use folders::Source;
pub use gate::Gate;
pub use identity::PluginId;
pub use inspect::{Inspected, inspect};
pub use installed::{Installed, Outcome};
pub use library::Library;
pub use mediator::{Calls, Decode, Instance, Mediator, Progress, Session};
pub use pins::Pins;
pub use registry::{Registry, nearest};
pub use script::{Copies, Sealed};
