//! Reports: an experiment's results as tables, as data, and as a page to read.
//!
//! All numbers are computed once; `table.md`, `table.csv` and `report.html` print the same ones, so that the files agree
//! to the digit. `results.parquet` holds the single results. Timings are in columns of seconds only: the same results
//! give the same bytes.

mod answers;
mod checks;
mod cluster;
mod columns;
mod concepts;
mod effect;
mod failures;
mod findings;
mod groups;
mod headline;
mod html;
mod markdown;
mod measure;
mod paper;
mod parquet;
mod pictures;
mod prior;
mod reach;
mod retention;
mod row;
mod scores;
mod sheet;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod tidy;

use medfocus_plugin_api::Result;

use crate::{experiment::results::Results, output::OutDir};

pub use table::Table;

/// The tables as text.
pub const MARKDOWN: &str = "table.md";
/// The tables as data.
pub const CSV: &str = "table.csv";
/// Every result as data.
pub const PARQUET: &str = "results.parquet";
/// The page to read, complete in itself.
pub const HTML: &str = "report.html";

/// Writes the four files of a report into the folder of the results; the page shows the pictures it finds there. Records are
/// read one by one: what stays in memory is a few numbers of each sample.
///
/// # Errors
///
/// A record cannot be read, or the disk fails.
pub fn write(out: &OutDir, results: &Results) -> Result<Table> {
    let resamples = results.plan.experiment.statistics.resamples;
    let table = Table::new(results, out.path(), resamples)?;
    let text = markdown::render(&table, results);
    let page = html::page(&table, results, out.path())?;
    out.write(MARKDOWN, |file| file.write_all(text.as_bytes()))?;
    out.write(CSV, |file| tidy::write(&table, file))?;
    out.write(PARQUET, |file| parquet::write(results, file))?;
    out.write(HTML, |file| file.write_all(page.as_bytes()))?;
    Ok(table)
}

/// What the causal filter kept and dropped, for a terminal; nothing without one.
pub fn filter(table: &Table) -> String {
    let lines = table.retention.iter().flat_map(|sheet| {
        let rows = [&sheet.head].into_iter().chain(&sheet.rows);
        let lines = rows.map(|row| format!("  {}\n", row.join("  ")));
        [format!("{}\n", sheet.title)].into_iter().chain(lines)
    });
    lines.collect()
}

/// The results in a few lines for a terminal: what became of the samples, and the mean IoU of each method.
pub fn summary(table: &Table) -> String {
    let sections = table.sections.iter().map(|section| {
        let group = section.leading();
        let title = format!("{}, {}", section.dataset, section.mode.name());
        let accounting = headline::accounting(&group.accounting);
        let mut lines = vec![format!("{title}: {accounting}")];
        let names = group.rows.iter().map(|row| row.method.len());
        let width = names.chain([24]).max().unwrap_or_default();
        for row in &group.rows {
            let iou = row.values.first().and_then(Option::as_ref);
            let iou = iou.map_or("-".to_owned(), |iou| text::number(iou.mean));
            let note = if row.control { "  (control)" } else { "" };
            lines.push(format!(
                "  {:<width$} IoU {iou:>6}  {} of {} scored{note}",
                row.method, row.scored, row.attempted
            ));
        }
        for misfit in &group.misfits {
            lines.push(format!(
                "  {:<width$} does not fit: {}",
                misfit.method, misfit.reason
            ));
        }
        lines.join("\n")
    });
    sections.collect::<Vec<_>>().join("\n")
}
