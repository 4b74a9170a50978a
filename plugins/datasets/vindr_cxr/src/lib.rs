//! VinDr-CXR (Nguyen et al., Scientific Data 2022): radiographs of two Vietnamese hospitals, with boxes of findings.
//!
//! It needs credentials at PhysioNet and has not been seen here: the reader is written after the data set's published
//! description and tested on synthetic files in its layout.
mod reader;

pub use reader::{VindrParams, VindrReader};

medfocus_plugin_api::export_plugin! {
    dataset VindrReader;
}
