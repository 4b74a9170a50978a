//! Chest ImaGenome (Wu et al., NeurIPS Datasets and Benchmarks 2021) over the images of MIMIC-CXR-JPG.
//!
//! Both need credentials at PhysioNet, and neither has been seen here: the readers are written after the data set's
//! published description and tested on synthetic files in its layout.
mod gold;
mod mimic;
mod normals;
mod scene_graph;

pub use gold::{ImagenomeParams, ImagenomeReader};
pub use normals::{NormalsParams, NormalsReader};

medfocus_plugin_api::export_plugin! {
    dataset ImagenomeReader;
    dataset NormalsReader;
}
