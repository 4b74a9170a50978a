//! Networks of resistors on a grid.

use std::ops::Range;

/// A grid of cells, each joined to its four neighbours and to the ground by conductances of 0 or more. Its matrix A is
/// symmetric: (A x)_i is the current that the potentials x drive out of cell i.
///
/// Arrays of cells hold the rows one after the other, in a frame of zeros one cell wide, so that every cell has four
/// neighbours in them.
pub struct Network {
    rows: usize,
    columns: usize,
    /// Conductance to the cell on the right.
    pub right: Vec<f64>,
    /// Conductance to the cell below.
    pub below: Vec<f64>,
    /// Conductance to the ground.
    pub ground: Vec<f64>,
}

impl Network {
    /// A network without conductances.
    pub fn new(rows: usize, columns: usize) -> Self {
        let zeros = vec![0.0; (rows + 2) * (columns + 2)];
        Self {
            rows,
            columns,
            right: zeros.clone(),
            below: zeros.clone(),
            ground: zeros,
        }
    }

    /// An array of cells.
    pub fn zeros(&self) -> Vec<f64> {
        vec![0.0; self.ground.len()]
    }

    /// Where an array holds a cell.
    pub fn place(&self, row: usize, column: usize) -> usize {
        (row + 1) * self.stride() + column + 1
    }

    /// Whether there is but one cell.
    pub fn is_single(&self) -> bool {
        self.rows * self.columns == 1
    }

    /// How far apart an array holds a cell and the one below.
    fn stride(&self) -> usize {
        self.columns + 2
    }

    /// Where an array holds each row.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
        let (stride, columns) = (self.stride(), self.columns);
        (1..=self.rows).map(move |row| row * stride + 1..row * stride + 1 + columns)
    }

    /// The diagonal of A: the sum of each cell's conductances.
    pub fn diagonal(&self) -> Vec<f64> {
        let mut diagonal = self.zeros();
        for i in self.rows().flatten() {
            let (left, above) = (self.right[i - 1], self.below[i - self.stride()]);
            diagonal[i] = self.ground[i] + self.right[i] + left + self.below[i] + above;
        }
        diagonal
    }

    /// The current that the neighbours' potentials drive into a cell.
    pub fn inflow(&self, x: &[f64], i: usize) -> f64 {
        let (above, below) = (i - self.stride(), i + self.stride());
        self.right[i] * x[i + 1]
            + self.right[i - 1] * x[i - 1]
            + self.below[i] * x[below]
            + self.below[above] * x[above]
    }

    /// What remains when squares of 2 x 2 cells are short-circuited.
    pub fn coarser(&self) -> Self {
        let mut coarse = Self::new(self.rows.div_ceil(2), self.columns.div_ceil(2));
        for row in 0..self.rows {
            for column in 0..self.columns {
                let (i, parent) = (self.place(row, column), coarse.place(row / 2, column / 2));
                coarse.ground[parent] += self.ground[i];
                coarse.right[parent] += if column % 2 == 1 { self.right[i] } else { 0.0 };
                coarse.below[parent] += if row % 2 == 1 { self.below[i] } else { 0.0 };
            }
        }
        coarse
    }
}
