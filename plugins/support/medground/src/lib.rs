//! The records of MedGround-Bench, read and written as they are published: one JSON list a split, with eight keys a record.
//!
//! A record says that a model answers a question rightly, otherwise once the evidence is edited away, and the same once all
//! else is: the region causes the answer. Question and boxes are those of the dataset's sample. Written anew, a published file
//! is the same byte for byte.

mod json;
mod record;

pub use json::{read, write};
pub use record::{Record, Split};
