//! The benchmark in the published format: MedGround-Bench's `direct.json` and `reasoning.json`.

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
/// kept or dropped. The published files hold no question, box or path: those come from the dataset, by the index.
///
/// # Errors
///
/// The disk fails.
pub fn write(out: &OutDir, records: &[FilterRecord], rule: Rule) -> Result<()> {
    let folder = out.within(&[FOLDER])?;
    for split in Split::ALL {
        let ours = records.iter();
        let ours = ours.filter(|record| Split::of(record.case.mode) == Some(split));
        if ours.clone().next().is_none() {
            continue;
        }
        let kept: Vec<Record> = ours.filter_map(|record| published(record, split)).collect();
        let bytes = medfocus_medground::write(&kept);
        folder.write(split.file(), |file| file.write_all(&bytes))?;
    }
    folder.write(PROVENANCE, |file| {
        for record in records {
            serde_json::to_writer(&mut *file, &provenance(record, rule))?;
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
