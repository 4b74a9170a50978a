//! Attribution by hiding parts of the image and scoring the same answer again.
#![deny(unsafe_code)]

mod baseline;
mod cells;
mod occlusion;
mod scorer;

pub use baseline::Baseline;
pub use cells::Cells;
pub use occlusion::{Occlusion, OcclusionParams, Upsample};
pub use scorer::{Scorer, Span, Target};

medfocus_plugin_api::export_plugin! {
    method Occlusion;
}
