//! Attribution by hiding parts of the image and scoring the same answer again.
mod cells;
mod eagle;
mod greedy;
mod masks;
mod occlusion;
mod rise;
mod upsample;

pub use cells::Cells;
pub use eagle::{Eagle, EagleParams};
pub use greedy::{Gains, Order, Pair, Search};
pub use masks::{MaskKind, Masks};
pub use occlusion::{Occlusion, OcclusionParams};
pub use rise::{Normalise, Rise, RiseParams, saliency};
pub use upsample::Upsample;

medfocus_plugin_api::export_plugin! {
    method Eagle;
    method Occlusion;
    method Rise;
}
