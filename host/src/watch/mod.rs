//! Films that come one after the other: which are new and whole, and what became of each.

pub mod inbox;
pub mod ledger;

pub use inbox::Inbox;
pub use ledger::{Ledger, State};
