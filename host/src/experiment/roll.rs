//! Which samples of some cells are there.

use std::collections::HashMap;

use medfocus_plugin_api::Mode;

use super::{plan::Cell, record::CaseKey};

/// Which sample of some cells a case is.
pub(super) struct Places<'a> {
    cells: &'a [Cell],
    numbers: HashMap<(&'a str, Mode), Vec<usize>>,
}

impl<'a> Places<'a> {
    /// Of the samples of these cells.
    pub fn new(cells: &'a [Cell]) -> Self {
        let mut numbers: HashMap<_, Vec<usize>> = HashMap::new();
        for (number, cell) in cells.iter().enumerate() {
            let key = (cell.model.as_str(), cell.mode);
            numbers.entry(key).or_default().push(number);
        }
        Self { cells, numbers }
    }

    /// The cell of a sample, by its number, and its place there, if it is one of these.
    pub fn find(&self, case: &CaseKey) -> Option<(usize, usize)> {
        let numbers = self.numbers.get(&(case.model.as_str(), case.mode))?;
        let of = |number: &&usize| self.cells[**number].dataset == case.dataset;
        let number = *numbers.iter().find(of)?;
        Some((number, self.cells[number].place(case.index)? as usize))
    }
}

/// The samples of some cells, each there or missing: one byte a sample.
pub(super) struct Roll<'a> {
    places: Places<'a>,
    there: Vec<Vec<bool>>,
}

impl<'a> Roll<'a> {
    /// All missing.
    pub fn new(cells: &'a [Cell]) -> Self {
        let there = cells.iter().map(|cell| vec![false; cell.samples as usize]);
        Self {
            places: Places::new(cells),
            there: there.collect(),
        }
    }

    /// Notes that a sample is there; says whether it is one of these.
    pub fn call(&mut self, case: &CaseKey) -> bool {
        let found = self.places.find(case);
        if let Some((cell, place)) = found {
            self.there[cell][place] = true;
        }
        found.is_some()
    }

    /// How many are missing.
    pub fn missing(&self) -> u64 {
        let there = self.there.iter().flatten();
        there.filter(|there| !**there).count() as u64
    }
}
