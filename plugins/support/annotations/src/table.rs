//! Tables as text, read as pandas' `read_csv` reads them.

use std::{
    collections::HashSet,
    io::{Chain, Read as _},
    path::Path,
};

use csv::{ReaderBuilder, StringRecord};
use medfocus_plugin_api::{Error, Result};

use crate::{oddities::Oddities, source::Source};

/// What pandas takes for a gap (`na_values` of `read_csv`), besides the empty cell.
const GAPS: [&str; 18] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// The rows of a table with a header, and of these `N` columns.
pub struct Table<'n, const N: usize> {
    name: String,
    /// The last line too ends with a line break.
    reader: csv::Reader<Chain<Source, &'static [u8]>>,
    /// By how much the reader's count of lines is ahead of the row that it read last.
    ahead: u64,
    names: [&'n str; N],
    columns: [Option<usize>; N],
    width: usize,
    record: StringRecord,
    seen: HashSet<blake3::Hash>,
}

/// A row of a [`Table`].
pub struct Row<'a, const N: usize> {
    file: &'a str,
    line: u64,
    names: [&'a str; N],
    cells: [Option<&'a str>; N],
}

impl<'n, const N: usize> Table<'n, N> {
    /// Opens a table whose cells `delimiter` divides, and finds the columns of these names; an empty name stands for a
    /// column of gaps.
    ///
    /// # Errors
    ///
    /// Those of [`Source::open`], and [`Error::invalid`] naming the file and the column that is missing.
    pub fn open(path: &Path, delimiter: u8, names: [&'n str; N]) -> Result<Self> {
        let source = Source::open(path)?;
        let name = source.name().to_owned();
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(source.chain(&b"\n"[..]));
        let header = reader
            .headers()
            .map_err(|error| broken(&name, &error))?
            .clone();
        // A row's \r\n is counted with the next row.
        let ahead = reader.position().line() - 1;
        let width = header.len();
        let mut columns = [None; N];
        for (column, wanted) in columns.iter_mut().zip(names) {
            *column = header.iter().position(|found| found == wanted);
            if wanted.is_empty() {
                *column = None;
            } else if column.is_none() {
                // A name may hold line breaks.
                let found = header.iter().map(|name| name.escape_debug().to_string());
                let found: Vec<_> = found.collect();
                return Err(Error::invalid(format!("{name} has no column `{wanted}`"))
                    .with_hint(format!("its columns are: {}", found.join(", "))));
            }
        }
        Ok(Self {
            name,
            reader,
            ahead: ahead.min(1),
            names,
            columns,
            width,
            record: StringRecord::new(),
            seen: HashSet::new(),
        })
    }

    /// The next row, if there is one. Rows that stop early have gaps behind their end, and they and rows that are given
    /// twice are counted; empty lines are no rows.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming file and line: no UTF-8, more cells than the header has, or a quotation without end.
    pub fn row(&mut self, oddities: &mut Oddities) -> Result<Option<Row<'_, N>>> {
        let last = self.record.iter().next_back();
        let open = last.is_some_and(|cell| cell.ends_with('\n'));
        // Without an end of its own, the row is one line further on.
        let before = self.line() + self.ahead;
        let found = self.reader.read_record(&mut self.record);
        if !found.map_err(|error| broken(&self.name, &error))? {
            // What follows a quotation mark without its twin is one cell up to the file's end.
            return match open {
                false => Ok(None),
                true => Err(Error::invalid(format!(
                    "{}, line {before}: a quotation begins there and does not end",
                    self.name
                ))
                .with_hint("the file is damaged or cut short; copy it again")),
            };
        }
        let line = self.line();
        let place = || format!("{}, line {line}", self.name);
        let width = self.record.len();
        if width > self.width {
            return Err(Error::invalid(format!(
                "{} has {width} cells, the header {}",
                place(),
                self.width
            )));
        }
        if width < self.width {
            oddities.note("rows with too few cells", place);
        }
        let mut hasher = blake3::Hasher::new();
        for cell in &self.record {
            hasher.update(&(cell.len() as u64).to_le_bytes());
            hasher.update(cell.as_bytes());
        }
        if !self.seen.insert(hasher.finalize()) {
            oddities.note("rows given twice", place);
        }
        let cell = |column: Option<usize>| self.record.get(column?).filter(|cell| !is_gap(cell));
        Ok(Some(Row {
            file: &self.name,
            line,
            names: self.names,
            cells: self.columns.map(cell),
        }))
    }

    /// The line on which the row that was read last begins.
    fn line(&self) -> u64 {
        let breaks = self
            .record
            .iter()
            .map(|cell| cell.matches('\n').count() as u64);
        let line = self.reader.position().line();
        line.saturating_sub(self.ahead + breaks.sum::<u64>())
    }

    /// Digest of the file's text.
    ///
    /// # Errors
    ///
    /// Those of [`Source::digest`].
    pub fn digest(self) -> Result<blake3::Hash> {
        self.reader.into_inner().into_inner().0.digest()
    }
}

impl<'a, const N: usize> Row<'a, N> {
    /// The cells of the wanted columns; nothing where there is a gap.
    pub fn cells(&self) -> [Option<&'a str>; N] {
        self.cells
    }

    /// The number in the wanted column of this place, if it is one.
    pub fn number(&self, column: usize) -> Option<f64> {
        self.cells[column]?.trim().parse().ok()
    }

    /// The whole number in the wanted column of this place; nothing where there is a gap.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming file, line and column if it is something else.
    pub fn whole(&self, column: usize) -> Result<Option<i64>> {
        let Some(cell) = self.cells[column] else {
            return Ok(None);
        };
        // A column with gaps is written as 7.0 by pandas.
        let digits = cell.trim();
        let digits = digits.strip_suffix(".0").unwrap_or(digits);
        match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::invalid(format!(
                "{}: `{}` is no whole number",
                self.place(),
                self.names[column]
            ))),
        }
    }

    /// Where it is: file and line.
    pub fn place(&self) -> String {
        format!("{}, line {}", self.file, self.line)
    }
}

fn is_gap(cell: &str) -> bool {
    cell.is_empty() || GAPS.contains(&cell)
}

fn broken(name: &str, error: &csv::Error) -> Error {
    let place = error
        .position()
        .map_or(String::new(), |at| format!(", line {}", at.line()));
    let why = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "it is not text in UTF-8".to_owned(),
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    };
    Error::invalid(format!("{name}{place} cannot be read: {why}"))
}
