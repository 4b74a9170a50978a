//! PadChest-GR (Castro et al. 2024, arXiv 2411.05085): radiographs of San Juan Hospital in Alicante, with boxes of the findings
//! that their reports name.
//!
//! It needs an agreement with BIMCV and has not been seen here: the reader is written after the data set's published
//! description and tested on synthetic files in its layout. `filtered_studies.json`, which the paper's numbers count, is no
//! part of the release but has the layout of its `grounded_reports_20240819.json`; the paper's authors had it beside the
//! images, and do not say how it was filtered.
mod check;
mod python;
mod reader;
mod studies;

pub use check::Check;
pub use reader::{PadchestParams, PadchestReader, Prompt, Split};

medfocus_plugin_api::export_plugin! {
    dataset PadchestReader;
}
