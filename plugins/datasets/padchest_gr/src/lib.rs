//! PadChest-GR (de Castro et al., NEJM AI 2025): radiographs of San Juan Hospital in Alicante, with boxes of the findings
//! that their reports name.
//!
//! It needs an agreement with BIMCV and has not been seen here: the reader is written after the data set's published
//! description and tested on synthetic files in its layout.
mod check;
mod reader;
mod studies;

pub use check::Check;
pub use reader::{PadchestParams, PadchestReader, Prompt, Split};

medfocus_plugin_api::export_plugin! {
    dataset PadchestReader;
}
