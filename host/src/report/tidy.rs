//! `table.csv`: one line for each dataset, mode, model and method, at full precision.

use std::io;

use super::{
    effect::Effect,
    measure::Measure,
    row::Row,
    table::{Group, Section, Table},
    text,
};
use crate::{
    experiment::plan::Misfit,
    metrics::{F1, IOU, Metric},
    statistics::{Comparison, Summary},
};

/// A column of the file.
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub about: String,
    value: Value,
}

type Value = Box<dyn Fn(&Line<'_>) -> Option<String>>;

struct Line<'a> {
    section: &'a Section,
    group: &'a Group,
    content: Content<'a>,
}

enum Content<'a> {
    Row(&'a Row),
    Misfit(&'a Misfit),
}

/// Writes the file. A number is the shortest text that reads back as the same `f64`; what does not apply is empty.
///
/// # Errors
///
/// The disk fails.
pub fn write(table: &Table, out: impl io::Write) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    let columns = columns(&table.measures);
    out.write_record(columns.iter().map(|column| &column.name))?;
    for section in &table.sections {
        for group in &section.groups {
            let rows = group.rows.iter().map(Content::Row);
            let misfits = group.misfits.iter().map(Content::Misfit);
            for content in rows.chain(misfits) {
                let line = Line {
                    section,
                    group,
                    content,
                };
                let values = columns.iter().map(|column| (column.value)(&line));
                out.write_record(values.map(|value| plain(value.unwrap_or_default())))?;
            }
        }
    }
    out.flush()
}

/// A cell that no spreadsheet takes for a formula: names come from datasets, models and configs.
fn plain(cell: String) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula && cell.parse::<f64>().is_err() {
        format!("'{cell}")
    } else {
        cell
    }
}

/// The columns in their order.
pub fn columns(measures: &[Measure]) -> Vec<Column> {
    let mut columns = vec![
        column("dataset", "dataset", |line| {
            Some(line.section.dataset.clone())
        }),
        column("mode", "how the question asks to be answered", |line| {
            Some(line.section.mode.name().to_owned())
        }),
        column("model", "model; `all` for all of them pooled", |line| {
            Some(line.group.model.clone().unwrap_or_else(|| "all".to_owned()))
        }),
        column("method", "method", |line| {
            Some(match line.content {
                Content::Row(row) => row.method.clone(),
                Content::Misfit(misfit) => misfit.method.clone(),
            })
        }),
        row("control", "whether the method asks no model", |row| {
            Some(row.control.to_string())
        }),
        column(
            "note",
            "why there are no numbers, or which models a pooled line leaves out",
            |line| match line.content {
                Content::Row(row) => without(row),
                Content::Misfit(misfit) => Some(misfit.reason.clone()),
            },
        ),
        group("planned", "samples of the plan", |a| a.accounting.planned),
        group("recorded", "of these, samples with a record", |a| {
            a.accounting.recorded
        }),
        group(
            "incorrect",
            "samples left out because the answer is wrong",
            |a| a.accounting.incorrect,
        ),
        group(
            "undecided",
            "samples left out because the answer says neither yes nor no",
            |a| a.accounting.undecided,
        ),
        group(
            "ungrounded",
            "samples left out because the annotated region is not proven to cause the answer",
            |a| a.accounting.ungrounded,
        ),
        group(
            "unannotated",
            "samples left out because no region is annotated",
            |a| a.accounting.unannotated,
        ),
        group(
            "unreadable",
            "samples that could not be read or answered",
            |a| a.accounting.failed,
        ),
        group(
            "explained",
            "samples that the methods were asked about",
            |a| a.accounting.explained,
        ),
        group(
            "clusters",
            "patients of these samples, and images whose patient is not known: intervals resample them as a whole",
            |a| a.accounting.patients + a.accounting.images,
        ),
        group("patients", "of these, patients", |a| a.accounting.patients),
        row(
            "attempted",
            "of these, samples that the method was asked about",
            |row| Some(row.attempted.to_string()),
        ),
        row(
            "scored",
            "of these, samples that it answered: its means are over them",
            |row| Some(row.scored.to_string()),
        ),
        row("failed", "of these, samples on which it failed", |row| {
            Some(row.failed.to_string())
        }),
    ];
    for (at, measure) in measures.iter().enumerate() {
        let about = measure.legend();
        let title = measure.metric.title;
        let of = move |row: &Row| row.values.get(at).copied().flatten();
        columns.extend(summary(
            measure.metric.name,
            &about,
            title,
            measure.has_interval(),
            of,
        ));
    }
    columns.push(row(
        "best_control",
        "the control with the highest mean IoU",
        |row| row.gain.as_ref().map(|gain| gain.over.clone()),
    ));
    let about = "IoU less the best control's on the samples that both scored, in percent";
    columns.extend(summary("gain", about, "gain", true, |row| {
        row.gain.as_ref().map(|gain| gain.comparison.difference)
    }));
    columns.push(row(
        "gain_p",
        "p value of no gain after Holm's correction",
        |row| row.gain.as_ref()?.comparison.p.map(|p| p.to_string()),
    ));
    columns.extend(effect());
    columns
}

/// What a comparison with another method says.
fn effect() -> Vec<Column> {
    let reference = row(
        "reference",
        "the method that this one is compared with",
        |row| Some(row.effect.as_ref()?.reference.clone()),
    );
    let changed = row(
        "changed",
        "samples whose IoU differs from the reference's",
        |row| Some(row.effect.as_ref()?.changed.to_string()),
    );
    let verdict = row("verdict", "what the change of IoU shows", |row| {
        Some(row.effect.as_ref()?.verdict().words().to_owned())
    });
    let mut columns = vec![reference];
    columns.extend(change(IOU, |effect| &effect.iou));
    columns.extend(change(F1, |effect| &effect.f1));
    columns.extend([changed, verdict]);
    columns
}

/// A measure less the reference's.
fn change(metric: Metric, of: fn(&Effect) -> &Comparison) -> Vec<Column> {
    let Metric { name, title, .. } = metric;
    let name = format!("{name}_change");
    let about = format!("{title} less the reference's on the samples that both scored, in percent");
    let title = format!("change of {title}");
    let mut columns = summary(&name, &about, &title, true, move |row| {
        Some(of(row.effect.as_ref()?).difference)
    });
    let about = format!("p value of no {title} after Holm's correction");
    columns.push(row(&format!("{name}_p"), &about, move |row| {
        of(row.effect.as_ref()?).p.map(|p| p.to_string())
    }));
    columns
}

/// The models that a pooled row leaves out.
pub fn without(row: &Row) -> Option<String> {
    (!row.without.is_empty()).then(|| format!("without {}", text::list(&row.without)))
}

/// A mean, its interval where it can have one, and its own count.
fn summary(
    name: &str,
    about: &str,
    title: &str,
    interval: bool,
    of: impl Fn(&Row) -> Option<Summary> + Copy + 'static,
) -> Vec<Column> {
    let end = |end: &str, place: &str, read: fn(&Summary) -> Option<f64>| {
        let about = format!("{place} end of the 95 % interval of {title}");
        row(&format!("{name}_{end}"), &about, move |row| {
            Some(read(&of(row)?)?.to_string())
        })
    };
    let mean = row(name, &format!("mean: {about}"), move |row| {
        Some(of(row)?.mean.to_string())
    });
    let n = row(
        &format!("{name}_n"),
        &format!("samples in the mean of {title}"),
        move |row| Some(of(row)?.n.to_string()),
    );
    let ends = interval.then(|| {
        [
            end("low", "lower", |s| s.low),
            end("high", "upper", |s| s.high),
        ]
    });
    [mean]
        .into_iter()
        .chain(ends.into_iter().flatten())
        .chain([n])
        .collect()
}

fn column(
    name: &str,
    about: &str,
    value: impl Fn(&Line<'_>) -> Option<String> + 'static,
) -> Column {
    Column {
        name: name.to_owned(),
        about: about.to_owned(),
        value: Box::new(value),
    }
}

fn group(name: &str, about: &str, value: impl Fn(&Group) -> u64 + 'static) -> Column {
    column(name, about, move |line| Some(value(line.group).to_string()))
}

fn row(name: &str, about: &str, value: impl Fn(&Row) -> Option<String> + 'static) -> Column {
    column(name, about, move |line| match line.content {
        Content::Row(row) => value(row),
        Content::Misfit(_) => None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_numbers_begin_as_a_formula_does() {
        for (cell, written) in [
            ("-0.25", "-0.25"),
            ("-1e-5", "-1e-5"),
            ("medfocus", "medfocus"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
        ] {
            assert_eq!(super::plain(cell.to_owned()), written);
        }
    }
}
