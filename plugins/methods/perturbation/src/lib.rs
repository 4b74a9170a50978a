//! Attribution by hiding parts of the image and scoring the same answer again.
mod cells;
mod masks;
mod occlusion;
mod rise;
mod upsample;

pub use cells::Cells;
pub use masks::{MaskKind, Masks};
pub use occlusion::{Occlusion, OcclusionParams};
pub use rise::{Normalise, Rise, RiseParams, saliency};
pub use upsample::Upsample;

medfocus_plugin_api::export_plugin! {
    method Occlusion;
    method Rise;
}
