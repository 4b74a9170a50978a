//! What attribution methods share: the scalar they explain, how they read it of a model on one image
//! after another, what they put in place of a part of the image, and what they learn of reference images.
mod atlas;
mod baseline;
mod concepts;
mod draws;
mod maps;
mod once;
mod region;
mod samples;
mod scorer;
mod target;

pub use atlas::{Atlas, Region};
pub use baseline::{Baseline, content};
pub use concepts::COMPOSITES;
pub use draws::Draws;
pub use maps::{normalised, token_heat};
pub use once::Once;
pub use region::{Part, WORKING_DIM, letterbox, mask_to_working, parts};
pub use samples::{Samples, read_samples};
pub use scorer::{Scored, Scorer};
pub use target::{Aim, Quantity, Span, Target};
