//! MedGround-Bench as a view on the dataset that its records are about.
mod aliases;
mod files;
mod reader;

pub use reader::{BenchParams, BenchReader};

medfocus_plugin_api::export_plugin! {
    dataset BenchReader;
}
