//! Edits that were made before: a folder of edited images in the naming of the paper's code, or another.
mod editor;
mod fit;
mod naming;

pub use editor::{Precomputed, PrecomputedParams};
pub use fit::fit;
pub use naming::{Edit, Naming};

medfocus_plugin_api::export_plugin! {
    editor Precomputed;
}
