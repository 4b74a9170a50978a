//! Anybody's own images as a dataset: one table with a row for each box, and a folder of images.
mod params;
mod reader;
mod rows;
mod samples;

pub use params::{BoxForm, BoxUnit, TableParams};
pub use reader::TableReader;

medfocus_plugin_api::export_plugin! {
    dataset TableReader;
}
