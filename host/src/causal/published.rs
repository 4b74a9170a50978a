//! The benchmark in the published format: MedGround-Bench's `direct.json` and `reasoning.json`.

use std::{borrow::Cow, io};

use medfocus_medground::{Record, Split};
use medfocus_plugin_api::Result;
use serde_json::{Value, json};

use super::{
    gate::{Group, Role},
    record::{FilterRecord, Rule},
};
use crate::output::OutDir;

/// Folder of the benchmark in the results.
pub const FOLDER: &str = "benchmark";
/// Why each sample was kept or dropped, a line each.
pub const PROVENANCE: &str = "provenance.jsonl";

/// Writes the grounded samples of each mode in the published format, and beside them a line for each sample of why it was
/// kept or dropped. The published files hold no question, box or path: those come from the dataset, by the index. The
/// records are asked for once a file, and none is kept.
///
/// # Errors
///
/// A record cannot be read, or the disk fails.
pub fn write<'a, I: Iterator<Item = Result<Cow<'a, FilterRecord>>>>(
    out: &OutDir,
    records: impl Fn() -> I,
    rule: Rule,
) -> Result<()> {
    let folder = out.within(&[FOLDER])?;
    let records = || records().map(|record| record.map_err(io::Error::other));
    for split in Split::ALL {
        let of = |record: &Cow<'_, FilterRecord>| Split::of(record.case.mode) == Some(split);
        if !records().any(|record| record.as_ref().is_ok_and(of)) {
            continue;
        }
        let kept = records().filter_map(|record| match record {
            Ok(record) if of(&record) => published(&record, split).map(Ok),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        folder.write(split.file(), |file| medfocus_medground::write(file, kept))?;
    }
    folder.write(PROVENANCE, |file| {
        for record in records() {
            serde_json::to_writer(&mut *file, &provenance(&*record?, rule))?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}

/// A grounded sample as a published record.
fn published(record: &FilterRecord, split: Split) -> Option<Record> {
    let judged = record.judgement()?;
    let draw = judged.deciding()?.draws.first()?;
    if judged.group != Group::Grounded {
        return None;
    }
    let edited = |role| Some(draw.images.get(&role)?.reply.answer.clone());
    Some(Record {
        model: record.case.model.clone(),
        dataset: record.case.dataset.clone(),
        index: record.case.index,
        answer: "Yes".to_owned(),
        split,
        predictions: [
            judged.original.answer.clone(),
            edited(Role::Edited)?,
            edited(Role::EditedKept)?,
            edited(Role::EditedKeptNormal)?,
        ],
    })
}

/// A sample's line, without what differs from run to run.
fn provenance(record: &FilterRecord, rule: Rule) -> Value {
    let mut line = json!({
        "case": record.case,
        "model_digest": record.model_digest,
        "outcome": record.outcome,
    });
    if let Some(judged) = record.judgement() {
        line["dropped"] = json!(judged.dropped(rule));
    }
    line
}
