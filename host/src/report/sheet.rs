//! A plain table that every format prints alike.

use super::text::capital;

/// A title, how to read it, and lines whose cells are text already.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// What it shows.
    pub title: &'static str,
    /// How it is to be read.
    pub reading: &'static str,
    /// The names of the columns.
    pub head: Vec<String>,
    /// How many of them, from the first, name the line.
    pub names: usize,
    /// The lines.
    pub rows: Vec<Vec<String>>,
}

impl Sheet {
    /// A sheet without lines.
    pub fn new(
        title: &'static str,
        reading: &'static str,
        names: &[&str],
        columns: &[&str],
    ) -> Self {
        let head = names.iter().chain(columns).map(|name| capital(name));
        Self {
            title,
            reading,
            head: head.collect(),
            names: names.len(),
            rows: Vec::new(),
        }
    }

    /// The sheet, if it has lines.
    pub fn some(self) -> Option<Self> {
        (!self.rows.is_empty()).then_some(self)
    }
}
