//! A reference pool as a folder: normal chest X-rays, each with masks of anatomical concepts.
//!
//! ```text
//! POOL/
//!   images/NAME.png          PNG, JPEG, TIFF or DICOM
//!   masks/NAME/CONCEPT.png   lossless, non-zero inside, of the image's size; or CONCEPT.npy of bool or u8
//!   pool.json                where it came from; not read here
//! ```
//!
//! A concept's file bears its name with `_` for each space: `left_lung.png`. Hidden files are passed over; whatever else
//! does not belong there is an error, so that a misspelt name is never a missing mask.
mod file;
mod folder;
mod reader;

pub use reader::{PoolParams, PoolReader};

medfocus_plugin_api::export_plugin! {
    dataset PoolReader;
}
