//! Controls: attributions that ask no model, so that a method's score can be read against theirs.
mod anatomy_prior;
mod centre_box;
mod random_boxes;
mod share;
mod whole_image;

pub use anatomy_prior::{AnatomyPrior, AnatomyPriorParams};
pub use centre_box::{CentreBox, CentreBoxParams};
pub use random_boxes::{RandomBoxes, RandomBoxesParams};
pub use whole_image::WholeImage;

medfocus_plugin_api::export_plugin! {
    method WholeImage;
    method CentreBox;
    method RandomBoxes;
    method AnatomyPrior;
}
