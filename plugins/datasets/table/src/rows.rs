//! The rows of a table, whatever its format.

use std::path::Path;

use medfocus_annotations::{Oddities, Source, Table};
use medfocus_plugin_api::{Error, Result};
use serde_json::{Map, Value};

use crate::params::plain;

/// Where a row is, and its cells in the order of the wanted columns; nothing where there is a gap.
pub struct Row<'a, const N: usize> {
    /// File and line, or file and number.
    pub place: String,
    /// Without white space around them.
    pub cells: [Option<&'a str>; N],
}

/// Calls `each` with every row of a table, in order; an empty name stands for a column of gaps. Returns the digest of
/// the table's text.
///
/// # Errors
///
/// Those of `each`; [`Error::missing`] or [`Error::invalid`] naming the file, and what is wrong with it.
pub fn read<const N: usize>(
    path: &str,
    names: [&str; N],
    oddities: &mut Oddities,
    mut each: impl FnMut(Row<'_, N>, &mut Oddities) -> Result<()>,
) -> Result<blake3::Hash> {
    let ending = Path::new(plain(path)).extension();
    let ending = ending.unwrap_or_default().to_ascii_lowercase();
    let path = Path::new(path);
    let delimiter = match ending.to_str() {
        Some("csv") => b',',
        Some("tsv") => b'\t',
        Some("json") => return objects(path, names, false, oddities, each),
        Some("jsonl" | "ndjson") => return objects(path, names, true, oddities, each),
        _ => {
            return Err(Error::invalid(format!(
                "the name of table {} does not say what it is",
                path.display()
            ))
            .with_key("path")
            .with_hint("it ends in .csv, .tsv, .json or .jsonl, and .gz may follow"));
        }
    };
    let mut table = Table::open(path, delimiter, names)?;
    while let Some(row) = table.row(oddities)? {
        let place = row.place();
        let cells = row.cells().map(|cell| trimmed(cell?));
        each(Row { place, cells }, oddities)?;
    }
    table.digest()
}

/// The objects of a file: the members of one list, or one after the other.
fn objects<const N: usize>(
    path: &Path,
    names: [&str; N],
    lines: bool,
    oddities: &mut Oddities,
    mut each: impl FnMut(Row<'_, N>, &mut Oddities) -> Result<()>,
) -> Result<blake3::Hash> {
    let mut source = Source::open(path)?;
    let file = source.name().to_owned();
    let objects: Result<Vec<Map<String, Value>>, _> = if lines {
        serde_json::Deserializer::from_reader(&mut source)
            .into_iter()
            .collect()
    } else {
        serde_json::from_reader(&mut source)
    };
    let objects = objects.map_err(|error| {
        Error::invalid(format!("{file} cannot be read: {error}")).with_hint(match lines {
            true => "it holds a JSON object on each line",
            false => "it holds a list of JSON objects",
        })
    })?;
    let found = |name: &str| objects.iter().any(|object| object.contains_key(name));
    if let Some(name) = names
        .into_iter()
        .find(|name| !name.is_empty() && !found(name))
    {
        return Err(Error::invalid(format!(
            "no object of {file} has the key `{name}`"
        )));
    }
    for (object, number) in objects.iter().zip(1..) {
        let value = |name: &str| object.get(name).filter(|_| !name.is_empty());
        let texts = names.map(|name| value(name).and_then(text));
        let cells = texts.each_ref().map(|text| trimmed(text.as_deref()?));
        let place = format!("{file}, object {number}");
        each(Row { place, cells }, oddities)?;
    }
    source.digest()
}

/// A value as a cell.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        // Lists as the list of four numbers that they should be.
        other => Some(other.to_string()),
    }
}

fn trimmed(cell: &str) -> Option<&str> {
    Some(cell.trim()).filter(|cell| !cell.is_empty())
}
