//! Records as JSON.

use std::io;

use medfocus_plugin_api::{Error, Result};
use serde_json::{Map, Value};

use crate::record::{Record, Split};

/// The keys that every record has before those of its split, in their order.
const KEYS: [&str; 4] = ["model", "dataset", "index", "answer"];

/// Reads a list of records.
///
/// # Errors
///
/// [`Error::invalid`] if the bytes are no JSON list, or naming the record, counted from 1, that lacks a key, has another
/// or one of the wrong type.
pub fn read(bytes: &[u8]) -> Result<Vec<Record>> {
    let values: Vec<Value> = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("it is no JSON list: {error}")))?;
    let records = values.into_iter().zip(1..);
    records
        .map(|(value, number): (_, u64)| {
            record(value).map_err(|why| Error::invalid(format!("record {number} {why}")))
        })
        .collect()
}

/// One record, or what is wrong with it.
fn record(value: Value) -> Result<Record, String> {
    let Value::Object(mut object) = value else {
        return Err("is no object".into());
    };
    let of_split = |split: &Split| object.contains_key(split.keys()[0]);
    let split = Split::ALL.into_iter().find(of_split).ok_or_else(|| {
        let [direct, reasoning] = Split::ALL.map(|split| split.keys()[0]);
        format!("has neither `{direct}` nor `{reasoning}`")
    })?;
    let [model, dataset, index, answer] = KEYS;
    let index = take(&mut object, index)?
        .as_u64()
        .ok_or_else(|| format!("has a key `{index}` that is no whole number from 0 on"))?;
    let mut text = |key| match take(&mut object, key)? {
        Value::String(text) => Ok(text),
        _ => Err(format!("has a key `{key}` that is no text")),
    };
    let [first, edited, kept, normal] = split.keys();
    let record = Record {
        model: text(model)?,
        dataset: text(dataset)?,
        index,
        answer: text(answer)?,
        split,
        predictions: [text(first)?, text(edited)?, text(kept)?, text(normal)?],
    };
    match object.keys().next() {
        Some(key) => Err(format!("has the unknown key `{key}`")),
        None => Ok(record),
    }
}

fn take(object: &mut Map<String, Value>, key: &str) -> Result<Value, String> {
    object
        .remove(key)
        .ok_or_else(|| format!("has no key `{key}`"))
}

/// Writes records as they are published: as `json.dumps(records, indent=2)` of Python does, without a final line break.
///
/// # Errors
///
/// The output or one of the records fails.
pub fn write(
    out: &mut dyn io::Write,
    records: impl IntoIterator<Item = io::Result<Record>>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    let mut end = "]";
    for (at, record) in records.into_iter().enumerate() {
        let record = record?;
        let [model, dataset, answer] =
            [&record.model, &record.dataset, &record.answer].map(|text| quoted(text));
        let values = [model, dataset, record.index.to_string(), answer];
        let predictions = record.predictions.each_ref().map(|text| quoted(text));
        let keys = KEYS.into_iter().chain(record.split.keys());
        let lines = keys.zip(values.into_iter().chain(predictions));
        let lines: Vec<_> = lines
            .map(|(key, value)| format!("    \"{key}\": {value}"))
            .collect();
        let comma = if at == 0 { "" } else { "," };
        write!(out, "{comma}\n  {{\n{}\n  }}", lines.join(",\n"))?;
        end = "\n]";
    }
    out.write_all(end.as_bytes())
}

/// A text in quotation marks, everything but ASCII escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'"') => out += "\\\"",
            Ok(b'\\') => out += "\\\\",
            Ok(b'\n') => out += "\\n",
            Ok(b'\r') => out += "\\r",
            Ok(b'\t') => out += "\\t",
            Ok(8) => out += "\\b",
            Ok(12) => out += "\\f",
            Ok(ascii @ b' '..=b'~') => out.push(char::from(ascii)),
            _ => out += &format!("\\u{unit:04x}"),
        }
    }
    out.push('"');
    out
}
