//! Columns of numbers, longer than memory may hold.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, path::Path};

/// Lines that go to the disk at once.
const BLOCK: usize = 4096;

/// Numbers in lines and columns, read by column; in a file without a name, but for the last lines.
pub struct Columns {
    file: File,
    width: usize,
    /// Lines that are in the file.
    filed: usize,
    /// The lines after them, column by column.
    last: Vec<Vec<f64>>,
}

impl Columns {
    /// Without lines; the file is in this folder.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn new(folder: &Path, width: usize) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile_in(folder)?,
            width,
            filed: 0,
            last: vec![Vec::new(); width],
        })
    }

    /// Adds a line of as many numbers as there are columns.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn add(&mut self, line: impl IntoIterator<Item = f64>) -> io::Result<()> {
        for (column, number) in self.last.iter_mut().zip(line) {
            column.push(number);
        }
        if self.last.first().is_some_and(|first| first.len() == BLOCK) {
            let numbers = self.last.iter().flatten();
            let bytes: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
            let begin = self.place(self.filed, 0);
            self.file.write_all_at(&bytes, begin)?;
            self.filed += BLOCK;
            self.last.iter_mut().for_each(Vec::clear);
        }
        Ok(())
    }

    /// The numbers of a column in these lines.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn read(&self, column: usize, lines: Range<usize>) -> io::Result<Vec<f64>> {
        let mut numbers = Vec::with_capacity(lines.len());
        let mut bytes = vec![0; BLOCK * size_of::<f64>()];
        let mut line = lines.start;
        let filed = lines.end.min(self.filed);
        while line < filed {
            let end = filed.min(line - line % BLOCK + BLOCK);
            let bytes = &mut bytes[..(end - line) * size_of::<f64>()];
            self.file.read_exact_at(bytes, self.place(line, column))?;
            numbers.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|number| f64::from_le_bytes(*number)),
            );
            line = end;
        }
        if line < lines.end {
            numbers.extend(&self.last[column][line - self.filed..lines.end - self.filed]);
        }
        Ok(numbers)
    }

    /// Where a number lies in the file.
    fn place(&self, line: usize, column: usize) -> u64 {
        let before = (line - line % BLOCK) * self.width + column * BLOCK + line % BLOCK;
        (before * size_of::<f64>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_read_by_column() {
        let folder = tempfile::tempdir().unwrap();
        for lines in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let mut columns = Columns::new(folder.path(), 3).unwrap();
            for line in 0..lines {
                let number = line as f64;
                columns.add([number, -number, 0.1 * number]).unwrap();
            }
            let cuts = [0, 1, BLOCK - 1, BLOCK, BLOCK + 2, 2 * BLOCK, lines];
            let cuts = || cuts.into_iter().filter(|cut| *cut <= lines);
            for (from, to) in cuts().flat_map(|from| cuts().map(move |to| (from, to))) {
                let expected: Vec<f64> = (from..to).map(|line| 0.1 * line as f64).collect();
                assert_eq!(
                    columns.read(2, from..to).unwrap_or_default(),
                    expected,
                    "{from} {to} of {lines}"
                );
            }
        }
    }
}
