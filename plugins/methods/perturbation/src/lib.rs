//! Attribution by hiding parts of the image and scoring the same answer again.
#![deny(unsafe_code)]

mod cells;
mod masks;
mod occlusion;
mod rise;

pub use cells::Cells;
pub use masks::{MaskKind, Masks};
pub use occlusion::{Occlusion, OcclusionParams, Upsample};
pub use rise::{Normalise, Rise, RiseParams, saliency};

medfocus_plugin_api::export_plugin! {
    method Occlusion;
    method Rise;
}
