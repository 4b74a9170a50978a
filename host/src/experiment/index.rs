//! Where the record of each sample lies, in journals that may be larger than memory.

use std::{
    fs::File,
    io::{self, Write},
    marker::PhantomData,
    ops::Range,
    os::unix::fs::FileExt,
};

use medfocus_plugin_api::{Error, Result};
use serde::de::DeserializeOwned;

use super::{
    journal::{Source, Span},
    plan::Cell,
    record::{CaseKey, Recorded},
    roll::Places,
};
use crate::output::failed;

/// The records about the samples of some cells: 32 bytes each, however long they are.
pub struct Index<R> {
    cells: Vec<Cell>,
    sources: Vec<Source>,
    /// Of each cell, by place.
    entries: Vec<Vec<Entry>>,
    kind: PhantomData<fn() -> R>,
}

#[derive(Clone, Copy)]
struct Entry {
    place: u64,
    span: Span,
    source: u32,
    failed: bool,
    marked: bool,
}

impl<R: Recorded + DeserializeOwned> Index<R> {
    /// Finds the records about these cells; of two about one sample the later, unless it alone failed. `mark` sees each
    /// and says whether [`Index::marked`] gives it.
    ///
    /// # Errors
    ///
    /// A line is damaged or no record, the disk fails, or `mark` does.
    pub(super) fn new(
        cells: Vec<Cell>,
        sources: Vec<Source>,
        mut mark: impl FnMut(&R, &Source) -> Result<bool>,
    ) -> Result<Self> {
        let places = Places::new(&cells);
        let mut entries: Vec<Vec<Entry>> = vec![Vec::new(); cells.len()];
        for (number, source) in sources.iter().enumerate() {
            source.each(|record: R, span| {
                if let Some((cell, place)) = places.find(record.case()) {
                    entries[cell].push(Entry {
                        place: place as u64,
                        span,
                        source: number as u32,
                        failed: record.error().is_some(),
                        marked: mark(&record, source)?,
                    });
                }
                Ok(())
            })?;
        }
        for entries in &mut entries {
            entries.sort_unstable_by_key(|entry| (entry.place, entry.source, entry.span.begin));
            entries.dedup_by(|later, earlier| {
                let same = later.place == earlier.place;
                if same && (!later.failed || earlier.failed) {
                    *earlier = *later;
                }
                same
            });
            entries.shrink_to_fit();
        }
        Ok(Self {
            cells,
            sources,
            entries,
            kind: PhantomData,
        })
    }

    /// How many records there are.
    pub fn len(&self) -> u64 {
        self.entries
            .iter()
            .map(|entries| entries.len() as u64)
            .sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the records failed, wholly or in part.
    pub(super) fn failed(&self) -> u64 {
        let entries = self.entries.iter().flatten();
        entries.filter(|entry| entry.failed).count() as u64
    }

    /// The places without a record, each with its cell.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&Cell, Range<u64>)> {
        let cells = self.cells.iter().zip(&self.entries);
        cells.flat_map(|(cell, entries)| {
            let there = entries.iter().map(|entry| entry.place);
            let ends = there.clone().chain([cell.samples]);
            let begins = [0].into_iter().chain(there.map(|place| place + 1));
            let gaps = begins.zip(ends).map(|(begin, end)| begin..end);
            gaps.filter(|gap| !gap.is_empty())
                .map(move |gap| (cell, gap))
        })
    }

    /// The samples of a cell that were marked, the first ones.
    pub(super) fn marked(&self, cell: &Cell, count: u64) -> Vec<CaseKey> {
        let marked = self.entries(cell).iter().filter(|entry| entry.marked);
        let cases = marked.map(|entry| cell.case(cell.index(entry.place)));
        cases.take(count as usize).collect()
    }

    /// The records about the samples of a cell that are wanted, by their index, in their order.
    ///
    /// # Errors
    ///
    /// Of each: the disk fails, or someone changed the journal.
    pub fn of(&self, cell: &Cell, wanted: impl Fn(u64) -> bool) -> impl Iterator<Item = Result<R>> {
        let mut reader = Reader::new(&self.sources);
        let entries = self.entries(cell).iter();
        let entries = entries.filter(move |entry| wanted(cell.index(entry.place)));
        entries.map(move |entry| reader.record(entry))
    }

    /// The records about all samples of these cells, in their order.
    ///
    /// # Errors
    ///
    /// Those of [`Index::of`].
    pub fn all<'a>(&'a self, cells: &'a [Cell]) -> impl Iterator<Item = Result<R>> {
        cells.iter().flat_map(|cell| self.of(cell, |_| true))
    }

    /// The record about a sample, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Index::of`].
    pub fn get(&self, case: &CaseKey) -> Result<Option<R>> {
        let Some(cell) = self.cells.iter().find(|cell| cell.is_of(case)) else {
            return Ok(None);
        };
        self.of(cell, |index| index == case.index)
            .next()
            .transpose()
    }

    fn entries(&self, cell: &Cell) -> &[Entry] {
        let same = |own: &Cell| {
            (&own.dataset, &own.model, own.mode) == (&cell.dataset, &cell.model, cell.mode)
        };
        let number = self.cells.iter().position(same);
        number.map_or(&[], |number| &self.entries[number])
    }

    /// Writes the records as they stand, a line each.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut reader = Reader::new(&self.sources);
        self.entries.iter().flatten().try_for_each(|entry| {
            out.write_all(reader.json(entry)?)?;
            out.write_all(b"\n")
        })
    }
}

/// Reads records; keeps the file of the last one open.
struct Reader<'a> {
    sources: &'a [Source],
    open: Option<(u32, File)>,
    json: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(sources: &'a [Source]) -> Self {
        Self {
            sources,
            open: None,
            json: Vec::new(),
        }
    }

    fn json(&mut self, entry: &Entry) -> io::Result<&[u8]> {
        let file = match self.open.take() {
            Some((source, file)) if source == entry.source => file,
            _ => File::open(&self.sources[entry.source as usize].path)?,
        };
        self.json.resize(entry.span.length as usize, 0);
        file.read_exact_at(&mut self.json, entry.span.begin)?;
        self.open = Some((entry.source, file));
        Ok(&self.json)
    }

    fn record<R: DeserializeOwned>(&mut self, entry: &Entry) -> Result<R> {
        let path = &self.sources[entry.source as usize].path;
        let json = self.json(entry);
        let json = json.map_err(|error| failed("read", path, &error))?;
        serde_json::from_slice(json).map_err(|error| {
            let message = format!("{} was changed while it was read: {error}", path.display());
            Error::invalid(message).with_hint("ask again when nobody writes to it")
        })
    }
}
