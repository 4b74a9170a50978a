//! The sentences that say what a table shows.

use super::{
    effect::{Effect, Verdict},
    row::{Row, best},
    table::{Accounting, Group, Table},
    text::{capital, count, interval, list, number, p_value, signed},
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
    if plan.methods.is_empty() {
        return format!(
            "Does the annotated region cause the answer? The causal filter asked {models} about {} and about images in \
             which the region, or all else, was edited.",
            list(&datasets.collect::<Vec<_>>())
        );
    }
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

/// The rows that are compared, by what they are compared with, in the order of the rows; of each the largest difference of
/// IoU first.
pub fn by_reference(group: &Group) -> Vec<(&str, Vec<(&Row, &Effect)>)> {
    let mut references: Vec<(&str, Vec<(&Row, &Effect)>)> = Vec::new();
    for row in &group.rows {
        let Some(effect) = &row.effect else {
            continue;
        };
        match references
            .iter_mut()
            .find(|(name, _)| *name == effect.reference)
        {
            Some((_, rows)) => rows.push((row, effect)),
            None => references.push((&effect.reference, vec![(row, effect)])),
        }
    }
    for (_, rows) in &mut references {
        let size = |effect: &Effect| effect.iou.difference.mean.abs();
        rows.sort_by(|(_, a), (_, b)| size(b).total_cmp(&size(a)));
    }
    references
}

/// For each method that others are compared with, which of them differ.
pub fn effects(group: &Group) -> Vec<String> {
    by_reference(group)
        .into_iter()
        .map(|(reference, rows)| {
            let named = |verdict: Verdict| -> Vec<String> {
                let rows = rows
                    .iter()
                    .filter(|(_, effect)| effect.verdict() == verdict);
                rows.map(|(row, effect)| {
                    format!("{} ({})", row.method, signed(effect.iou.difference.mean))
                })
                .collect()
            };
            let parts = [Verdict::Differs, Verdict::MayDiffer].map(|verdict| {
                let names = named(verdict);
                let verb = match (verdict, names.len()) {
                    (_, 0) => return None,
                    (Verdict::Differs, 1) => "differs",
                    (Verdict::Differs, _) => "differ",
                    _ => "may differ",
                };
                Some(format!("{} {verb}", list(&names)))
            });
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            let found = if parts.is_empty() {
                "none is seen to differ".to_owned()
            } else {
                parts.join("; ")
            };
            let methods = count(rows.len() as u64, "method");
            format!("Of {methods} compared with {reference}, by IoU: {found}.")
        })
        .collect()
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
    let whose = clusters(accounting).into_iter().chain(cut(accounting));
    let whose: String = whose.map(|whose| format!("; {whose}")).collect();
    if parts.is_empty() {
        format!("{planned} planned")
    } else {
        format!("{planned}: {}{whose}", list(&parts))
    }
}

impl Accounting {
    /// What became of the planned samples: what, and how many.
    pub fn parts(&self) -> [(&'static str, u64); 7] {
        [
            ("explained", self.explained),
            ("answered wrongly", self.incorrect),
            ("answered neither yes nor no", self.undecided),
            ("answered rightly but not grounded", self.ungrounded),
            ("without annotation", self.unannotated),
            ("failed", self.failed),
            ("not run yet", self.planned.saturating_sub(self.recorded)),
        ]
    }
}

/// How many of the explained answers are not whole.
pub fn cut(accounting: &Accounting) -> Option<String> {
    let answers = count(accounting.cut, "answer");
    (accounting.cut > 0).then(|| format!("{answers} cut at `answer.max_new_tokens`"))
}

/// What the explained samples are of: patients, and images where the dataset does not say whose they are.
pub fn clusters(accounting: &Accounting) -> Option<String> {
    let parts = [
        (accounting.patients, "patient"),
        (accounting.images, "image"),
    ];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> = parts.map(|(n, noun)| count(n, noun)).collect();
    (!parts.is_empty()).then(|| format!("the explained samples come from {}", list(&parts)))
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
