//! What is fuzzed: each takes an input and a folder of its own, and returns the error of what reads it.

use std::{fmt::Display, fs, hint::black_box, path::Path};

use medfocus::{
    config::Layers,
    experiment::results::{JOURNAL, PLAN, Results},
    plugin::inspect,
    report::{self, Table as Tables},
    verdict::Parser,
};
use medfocus_annotations::{Oddities, Table, of_cells, of_literal};
use medfocus_method_prompting::answer::{BoxList, PhraseList};
use medfocus_tests::workspace;

/// Something that reads what others wrote.
pub type Target = fn(&[u8], &Path) -> Result<(), String>;

fn said(error: impl Display) -> String {
    error.to_string()
}

/// A shared library with a manifest.
pub fn library(input: &[u8], folder: &Path) -> Result<(), String> {
    let path = folder.join("libmedfocus_fuzzed.so");
    fs::write(&path, input).map_err(said)?;
    inspect(&path).map(drop).map_err(said)
}

/// A file that describes a plugin in another language.
pub fn descriptor(input: &[u8], folder: &Path) -> Result<(), String> {
    let path = folder.join("fuzzed.medfocus.json");
    fs::write(&path, input).map_err(said)?;
    inspect(&path).map(drop).map_err(said)
}

/// A config.
pub fn config(input: &[u8], folder: &Path) -> Result<(), String> {
    let path = folder.join("fuzzed.toml");
    fs::write(&path, input).map_err(said)?;
    Layers::load(Some(&path), &[]).map(drop).map_err(said)
}

/// A picture of any format.
pub fn image(input: &[u8], _: &Path) -> Result<(), String> {
    medfocus_imaging::decode::decode(input)
        .map(drop)
        .map_err(said)
}

/// The same, begun with files of hospitals.
pub fn dicom(input: &[u8], folder: &Path) -> Result<(), String> {
    image(input, folder)
}

/// What a model answers.
pub fn answer(input: &[u8], _: &Path) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    for parser in [Parser::LastStandalone, Parser::Published] {
        black_box(parser.read(&text));
    }
    black_box(BoxList::read(&text).outcome());
    black_box(PhraseList::read(&text).outcome());
    Ok(())
}

/// A table of annotations.
pub fn cells(input: &[u8], folder: &Path) -> Result<(), String> {
    let path = folder.join("fuzzed.csv");
    fs::write(&path, input).map_err(said)?;
    let names = ["image_id", "class_name", "x_min", "y_min", "x_max", "y_max"];
    let mut table = Table::open(&path, b',', names).map_err(said)?;
    let mut oddities = Oddities::default();
    while let Some(row) = table.row(&mut oddities).map_err(said)? {
        black_box(of_cells([2, 3, 4, 5].map(|column| row.number(column))));
        row.whole(2).map_err(said)?;
    }
    table.digest().map(drop).map_err(said)
}

/// A cell that lists boxes.
pub fn boxes(input: &[u8], _: &Path) -> Result<(), String> {
    black_box(of_literal(&String::from_utf8_lossy(input)));
    Ok(())
}

/// A published benchmark.
pub fn medground(input: &[u8], _: &Path) -> Result<(), String> {
    medfocus_medground::read(input).map(drop).map_err(said)
}

/// What an experiment was to do.
pub fn plan(input: &[u8], folder: &Path) -> Result<(), String> {
    results(input, folder, PLAN)
}

/// What came of it.
pub fn journal(input: &[u8], folder: &Path) -> Result<(), String> {
    results(input, folder, JOURNAL)
}

/// Reads the results of an experiment in which one file is this one, and makes its tables.
fn results(input: &[u8], folder: &Path, file: &str) -> Result<(), String> {
    for (seeds, name) in [("plan", PLAN), ("journal", JOURNAL)] {
        let seed = workspace().join("tests/fuzz/seeds").join(seeds).join(name);
        fs::copy(seed, folder.join(name)).map_err(said)?;
    }
    fs::write(folder.join(file), input).map_err(said)?;
    let results = Results::read(folder).map_err(said)?;
    let table = Tables::new(&results, folder, 0).map_err(said)?;
    black_box(report::summary(&table));
    Ok(())
}
