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
use crate::output::OutDir;
use synthetic::Made;

/// The four files of a report.
struct Files {
    markdown: String,
    csv: String,
    parquet: Vec<u8>,
    html: String,
}

impl Files {
    fn of(results: &Made) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::written(results, folder.path())
    }

    fn written(results: &Made, folder: &Path) -> Self {
        write(&OutDir::create(folder).unwrap(), &results.read(folder)).unwrap();
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        Self {
            markdown: text(MARKDOWN),
            csv: text(CSV),
            parquet: std::fs::read(folder.join(PARQUET)).unwrap(),
            html: text(HTML),
        }
    }
}
