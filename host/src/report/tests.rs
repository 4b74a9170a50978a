mod agreement;
mod clusters;
mod concepts;
mod effects;
mod page;
mod retention;
mod synthetic;
mod worked;

use std::path::Path;

use super::{CSV, HTML, MARKDOWN, PARQUET, write};
use crate::{experiment::results::Results, output::OutDir};

/// The four files of a report.
struct Files {
    markdown: String,
    csv: String,
    parquet: Vec<u8>,
    html: String,
}

impl Files {
    fn of(results: &Results) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::written(results, folder.path())
    }

    fn written(results: &Results, folder: &Path) -> Self {
        write(&OutDir::create(folder).unwrap(), results).unwrap();
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        Self {
            markdown: text(MARKDOWN),
            csv: text(CSV),
            parquet: std::fs::read(folder.join(PARQUET)).unwrap(),
            html: text(HTML),
        }
    }
}
