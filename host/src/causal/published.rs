//! The benchmark in the published format: MedGround-Bench's `direct.json` and `reasoning.json`.

use medfocus_plugin_api::{Mode, Result};
use serde_json::{Map, Value, json};

use super::{
    gate::{Group, Role},
    record::{FilterRecord, Judgement},
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
pub fn write(out: &OutDir, records: &[FilterRecord]) -> Result<()> {
    let folder = out.within(&[FOLDER])?;
    for mode in [Mode::Direct, Mode::Reasoning] {
        let ours = records.iter().filter(|record| record.case.mode == mode);
        if ours.clone().next().is_none() {
            continue;
        }
        let kept: Vec<Value> = ours.filter_map(published).collect();
        folder.write(&format!("{}.json", mode.name()), |file| {
            // As it was published: without a final newline.
            Ok(serde_json::to_writer_pretty(file, &kept)?)
        })?;
    }
    folder.write(PROVENANCE, |file| {
        for record in records {
            serde_json::to_writer(&mut *file, &provenance(record))?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}

/// A grounded sample as a published record.
fn published(record: &FilterRecord) -> Option<Value> {
    let judged = record.judgement()?;
    let draw = judged.deciding()?.draws.first()?;
    if judged.group != Group::Grounded {
        return None;
    }
    let suffix = match record.case.mode {
        Mode::Reasoning => "cot",
        mode => mode.name(),
    };
    let mut fields = Map::new();
    fields.insert("model".to_owned(), json!(record.case.model));
    fields.insert("dataset".to_owned(), json!(record.case.dataset));
    fields.insert("index".to_owned(), json!(record.case.index));
    fields.insert("answer".to_owned(), json!("Yes"));
    fields.insert(
        format!("prediction_{suffix}"),
        json!(judged.original.answer),
    );
    for role in [Role::Edited, Role::EditedKept, Role::EditedKeptNormal] {
        let answer = &draw.images.get(&role)?.reply.answer;
        fields.insert(
            format!("prediction_{}_{suffix}", role.name()),
            json!(answer),
        );
    }
    Some(Value::Object(fields))
}

/// A sample's line, without what differs from run to run.
fn provenance(record: &FilterRecord) -> Value {
    let mut line = json!({
        "case": record.case,
        "model_digest": record.model_digest,
        "outcome": record.outcome,
    });
    if let Some(dropped) = record.judgement().map(Judgement::dropped) {
        line["dropped"] = json!(dropped);
    }
    line
}
