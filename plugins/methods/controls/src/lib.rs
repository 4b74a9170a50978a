//! Controls: attributions that ask no model, so that a method's score can be read against theirs.
#![deny(unsafe_code)]

mod whole_image;

pub use whole_image::WholeImage;

medfocus_plugin_api::export_plugin! {
    method WholeImage;
}
