//! The sentences that say what a table shows.

use super::{
    row::{Row, best},
    table::{Accounting, Group, Table},
    text::{count, interval, list, number, p_value, signed},
};
use crate::experiment::plan::Plan;

/// What was asked, of whom, about what.
pub fn question(plan: &Plan) -> String {
    let controls = plan.methods.iter().filter(|method| method.control).count() as u64;
    let methods = plan.methods.len() as u64 - controls;
    let named = |names: Vec<String>, noun: &str| match names.as_slice() {
        [name] => format!("the {noun} {name}"),
        names => format!("the {noun}s {}", list(names)),
    };
    let models = named(
        plan.models.iter().map(|m| m.name.clone()).collect(),
        "model",
    );
    let datasets = plan
        .datasets
        .iter()
        .map(|dataset| format!("{} of {}", count(dataset.samples, "sample"), dataset.name));
    let beside = match controls {
        0 => String::new(),
        n => format!(", beside {} without any model,", count(n, "control")),
    };
    format!(
        "Which part of a chest X-ray made the model say so? {}{beside} explained what {models} answered about {}; the \
         regions they point at are compared with the annotated ones.",
        capital(&count(methods, "method")),
        list(&datasets.collect::<Vec<_>>()),
    )
}

/// Which method is best, and whether it beats the best control.
pub fn finding(group: &Group) -> String {
    let Some(best) = best(&group.rows, |row| !row.control) else {
        return "No method has been scored.".to_owned();
    };
    let row = &group.rows[best];
    let mut sentence = row.method.clone();
    if let Some(Some(iou)) = row.values.first() {
        sentence += &format!(
            " agrees best with the annotated regions: IoU {}{} on {}",
            number(iou.mean),
            interval(iou)
                .map(|ends| format!(" ({ends})"))
                .unwrap_or_default(),
            count(iou.n as u64, "sample")
        );
    }
    sentence + &against_control(row)
}

fn against_control(row: &Row) -> String {
    let Some(gain) = &row.gain else {
        return ". No control stands beside it.".to_owned();
    };
    let difference = &gain.comparison.difference;
    let ends = interval(difference);
    let p = gain.comparison.p.map(p_value);
    let sure: Vec<String> = ends.into_iter().chain(p).collect();
    let sure = if sure.is_empty() {
        String::new()
    } else {
        format!(" ({})", sure.join(", "))
    };
    let verdict = match gain.comparison.p {
        _ if difference.mean <= 0.0 => {
            " It does not beat that control, which never asked the model."
        }
        Some(p) if p >= 0.05 => " Chance may explain that difference.",
        _ => "",
    };
    format!(
        ", {} against the best control, {}{sure}.{verdict}",
        signed(difference.mean),
        gain.over,
    )
}

/// What became of the samples.
pub fn accounting(accounting: &Accounting) -> String {
    let parts: Vec<String> = accounting
        .parts()
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(what, n)| format!("{n} {what}"))
        .collect();
    let planned = count(accounting.planned, "sample");
    if parts.is_empty() {
        format!("{planned} planned")
    } else {
        format!("{planned}: {}", list(&parts))
    }
}

impl Accounting {
    /// What became of the planned samples: what, and how many.
    pub fn parts(&self) -> [(&'static str, u64); 6] {
        [
            ("explained", self.explained),
            ("answered wrongly", self.incorrect),
            ("answered neither yes nor no", self.undecided),
            ("without annotation", self.unannotated),
            ("failed", self.failed),
            ("not run yet", self.planned.saturating_sub(self.recorded)),
        ]
    }
}

/// A warning where samples of the plan have no record.
pub fn incomplete(table: &Table) -> Option<String> {
    let leading = table
        .sections
        .iter()
        .map(|section| section.leading().accounting);
    let (recorded, planned) = leading.fold((0, 0), |(recorded, planned), accounting| {
        (recorded + accounting.recorded, planned + accounting.planned)
    });
    (recorded < planned).then(|| {
        format!("This run is not complete: {recorded} of {planned} samples have been recorded.")
    })
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}
