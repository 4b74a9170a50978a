//! MedFocus: which anatomical concept a model's answer rests on.
#![deny(unsafe_code)]

mod intervention;
mod localise;
mod medfocus;
mod pool;
mod replacement;
pub mod transport;
mod warp;

pub use intervention::{Candidate, Delta, Drop, Effects, Intervention};
pub use localise::{Anatomy, Match, Region, Transfer, Transported, localise, rank};
pub use medfocus::{CompositeBoxes, MedFocus, MedFocusParams, PUBLISHED};
pub use pool::{Features, Likeness, Pool, Reference};
pub use replacement::Replacement;
pub use warp::Warp;

medfocus_plugin_api::export_plugin! {
    method MedFocus;
}
