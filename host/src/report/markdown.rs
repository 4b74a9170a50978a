//! `table.md`: the tables as text.

use std::fmt::Write;

use super::{
    checks::Check,
    concepts::{self, Concepts},
    effect,
    failures::Failures,
    headline,
    reach::{self, Reach},
    row::{Row, best},
    sheet::Sheet,
    table::{Group, Section, Table},
    text::{self, count, interval, number, p_value, signed},
    tidy,
};
use crate::{
    experiment::{plan::Tuned, results::Results},
    statistics::{Comparison, Summary},
};

/// The whole file.
pub fn render(table: &Table, results: &Results) -> String {
    let mut page = format!(
        "# {}\n\n{}\n\n{}\n",
        escape(&results.plan.experiment.name),
        escape(&headline::question(&results.plan)),
        NOTICE
    );
    if let Some(warning) = headline::incomplete(table) {
        let _ = write!(page, "\n**{warning}**\n");
    }
    if !table.retention.is_empty() {
        page += "\n## The causal filter\n";
        table
            .retention
            .iter()
            .for_each(|sheet| page += &self::sheet(sheet));
    }
    for section in &table.sections {
        page += &self::section(table, section);
    }
    if !table.checks.is_empty() {
        page += "\n## Sanity checks\n\n";
        page += CHECKS;
        page += "\n\n";
        page += &checks(&table.checks);
        page += &table.answers.as_ref().map(sheet).unwrap_or_default();
    }
    if !results.tuned.is_empty() {
        page += "\n## Chosen parameters\n\n";
        page += &tuned(&results.tuned);
    }
    if !table.failures.is_empty() {
        page += "\n## Failures\n\n";
        page += &failures(&table.failures);
    }
    let plan = &results.plan;
    let _ = write!(
        page,
        "\n## Provenance\n\nMedFocus {}, plan `{}`, seed {}; `report.html` and `plan.json` hold all versions, digests \
         and parameters.\n",
        plan.medfocus, plan.digest, plan.seed
    );
    page += "\n## Columns of table.csv\n\n";
    for column in tidy::columns(&table.measures) {
        let _ = writeln!(page, "- `{}`: {}", column.name, escape(&column.about));
    }
    page
}

/// What a report is not.
pub const NOTICE: &str = "Research software, not a medical device: not for diagnosis or treatment.";

/// How numbers are to be read.
pub const READING: &str = "Means over the samples that a method answered, with 95 % bootstrap intervals that resample \
                           whole patients, or whole images where the dataset does not say whose they are; a sample on which a method failed counts as failed and is in none of its means.";

/// What sanity checks tell.
pub const CHECKS: &str = "The same method was asked again after something it should depend on had changed: the \
                          question, the patient's image, or the model's top layers, or all, replaced by noise. A result \
                          that stays the same (rank correlation near 1, region IoU near 100) does not explain the answer.";

fn section(table: &Table, section: &Section) -> String {
    let mut text = format!(
        "\n## {}, {}\n\n{}\n\n{READING}\n",
        escape(&section.dataset),
        section.mode.name(),
        escape(&headline::finding(section.leading()))
    );
    for sentence in headline::effects(section.leading()) {
        let _ = write!(text, "\n{}\n", escape(&sentence));
    }
    for group in &section.groups {
        let model = group.model.as_deref().unwrap_or("All models");
        let _ = write!(
            text,
            "\n### {}\n\n{}.\n\n{}",
            escape(model),
            headline::accounting(&group.accounting),
            methods(table, group)
        );
        text += &effects(group);
        text += &evidence(&group.concepts);
        text += &reach(&group.reach);
        for extra in [&group.prior, &group.paper, &group.groups]
            .into_iter()
            .flatten()
        {
            text += &sheet(extra);
        }
    }
    let leading = section.leading();
    if !leading.findings.is_empty() {
        let _ = write!(text, "\n### IoU by finding\n\n{}", findings(leading));
    }
    text
}

fn sheet(sheet: &Sheet) -> String {
    let head: Vec<String> = sheet.head.iter().map(|name| escape(name)).collect();
    let rows = sheet.rows.iter();
    let rows = rows.map(|row| row.iter().map(|cell| escape(cell)).collect());
    let (title, reading) = (sheet.title, sheet.reading);
    format!("\n### {title}\n\n{reading}\n\n{}", grid(&head, rows))
}

fn methods(table: &Table, group: &Group) -> String {
    let shown = group.measured(&table.measures);
    let gains = group.rows.iter().any(|row| row.gain.is_some());
    let mut head = vec![
        "Method".to_owned(),
        "Scored".to_owned(),
        "Failed".to_owned(),
    ];
    head.extend(
        shown
            .iter()
            .map(|&at| table.measures[at].metric.title.to_owned()),
    );
    if gains {
        head.push("Gain".to_owned());
    }
    let best = best(&group.rows, |row| !row.control);
    let rows = group.rows.iter().enumerate().map(|(at, row)| {
        let mut cells = vec![
            name(row, best == Some(at)),
            format!("{} of {}", row.scored, row.attempted),
            row.failed.to_string(),
        ];
        let values = shown
            .iter()
            .map(|&at| value(row.values[at].as_ref(), row.scored));
        cells.extend(values);
        if gains {
            cells.push(gain(row));
        }
        cells
    });
    let misfits = group.misfits.iter().map(|misfit| {
        vec![
            escape(&misfit.method),
            format!("does not fit: {}", escape(&misfit.reason)),
        ]
    });
    grid(&head, rows.chain(misfits))
}

fn name(row: &Row, best: bool) -> String {
    let mut name = escape(&row.method);
    if best {
        name = format!("**{name}**");
    }
    if row.control {
        name += " (control)";
    }
    if let Some(note) = tidy::without(row) {
        let _ = write!(name, " ({})", escape(&note));
    }
    name
}

fn value(summary: Option<&Summary>, scored: usize) -> String {
    let Some(summary) = summary else {
        return String::new();
    };
    let mut text = number(summary.mean);
    if let Some(ends) = interval(summary) {
        let _ = write!(text, " ({ends})");
    }
    if summary.n != scored {
        let _ = write!(text, " (n = {})", summary.n);
    }
    text
}

fn gain(row: &Row) -> String {
    let Some(gain) = &row.gain else {
        return String::new();
    };
    format!("{} over {}", compared(&gain.comparison), escape(&gain.over))
}

fn compared(comparison: &Comparison) -> String {
    let mut text = signed(comparison.difference.mean);
    if let Some(ends) = interval(&comparison.difference) {
        let _ = write!(text, " ({ends})");
    }
    if let Some(p) = comparison.p {
        let _ = write!(text, ", {}", p_value(p));
    }
    text
}

/// What each method does beside the one it is compared with; nothing if none is compared.
fn effects(group: &Group) -> String {
    let references = headline::by_reference(group);
    if references.is_empty() {
        return String::new();
    }
    let head = [
        "Compared", "With", "Samples", "Changed", "IoU", "F1", "Verdict",
    ];
    let rows = references.iter().flat_map(|(_, rows)| rows);
    let rows = rows.map(|(row, effect)| {
        vec![
            escape(&row.method),
            escape(&effect.reference),
            effect.iou.difference.n.to_string(),
            effect.changed.to_string(),
            compared(&effect.iou),
            compared(&effect.f1),
            effect.verdict().words().to_owned(),
        ]
    });
    format!(
        "\n{}\n\n{}",
        effect::READING,
        grid(&head.map(String::from), rows)
    )
}

fn findings(group: &Group) -> String {
    let mut head = vec!["Finding".to_owned(), "Samples".to_owned()];
    head.extend(group.rows.iter().map(|row| escape(&row.method)));
    let rows = group.findings.iter().map(|finding| {
        let mut cells = vec![escape(&finding.name), finding.samples.to_string()];
        let values = finding.values.iter();
        cells.extend(values.map(|summary| value(summary.as_ref(), finding.samples)));
        cells
    });
    grid(&head, rows)
}

fn evidence(concepts: &Concepts) -> String {
    if concepts.rows.is_empty() {
        return String::new();
    }
    let methods = concepts.methods.iter();
    let methods = methods.map(|(method, scored)| format!("{} (n = {scored})", escape(method)));
    let head: Vec<_> = ["Evidence".to_owned()].into_iter().chain(methods).collect();
    let rows = concepts.rows.iter().map(|row| {
        let shares = (0..concepts.methods.len()).map(|at| number(concepts.share(row, at)));
        [escape(&row.name)].into_iter().chain(shares).collect()
    });
    format!("\n{}\n\n{}", concepts::READING, grid(&head, rows))
}

fn reach(reach: &[Reach]) -> String {
    if reach.is_empty() {
        return String::new();
    }
    let head = ["Method", "Samples", "IoU", "IoU of the best concept"];
    let rows = reach.iter().map(|reach| {
        vec![
            escape(&reach.method),
            reach.samples.to_string(),
            number(reach.chosen),
            number(reach.best),
        ]
    });
    format!(
        "\n{}\n\n{}",
        reach::READING,
        grid(&head.map(String::from), rows)
    )
}

fn checks(checks: &[Check]) -> String {
    let head = [
        "Model",
        "Method",
        "Change",
        "Compared",
        "Failed",
        "Rank correlation",
        "Region IoU",
    ];
    let rows = checks.iter().map(|check| {
        vec![
            escape(&check.model),
            escape(&check.method),
            text::change(check.change),
            check.compared.to_string(),
            check.failed.to_string(),
            value(check.correlation.as_ref(), check.compared),
            value(check.region_iou.as_ref(), check.compared),
        ]
    });
    grid(&head.map(String::from), rows)
}

fn tuned(tuned: &[Tuned]) -> String {
    let head = ["Model", "Mode", "Method", "Chosen", "Candidates"];
    let rows = tuned.iter().map(|choice| {
        vec![
            escape(&choice.model),
            choice.mode.name().to_owned(),
            escape(&choice.method),
            escape(&text::params(&choice.params)),
            choice.candidates.len().to_string(),
        ]
    });
    grid(&head.map(String::from), rows)
}

fn failures(failures: &Failures) -> String {
    let mut text = String::new();
    for failure in &failures.listed {
        let _ = writeln!(
            text,
            "- {}: {} ({}: {})",
            escape(&failure.place()),
            escape(&failure.sentence),
            count(failure.count, "sample"),
            failure.numbers()
        );
    }
    if let Some(rest) = failures.rest() {
        let _ = writeln!(text, "- {rest}");
    }
    text
}

/// A table; short rows are filled with empty cells.
fn grid(head: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| {
        let cells = cells
            .iter()
            .map(String::as_str)
            .chain(std::iter::repeat(""));
        let cells: Vec<&str> = cells.take(head.len()).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = vec!["---".to_owned(); head.len()];
    let mut text = line(head) + &line(&rule);
    for row in rows {
        text += &line(&row);
    }
    text
}

/// Text that stays text: neither markup nor the end of a cell.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '|' | '*' | '`' | '[' | ']' | '\\' | '#' => escaped.extend(['\\', c]),
            c if c.is_whitespace() || c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
