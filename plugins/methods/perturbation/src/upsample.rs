//! From cells to a map of pixels.

use medfocus_attribution::normalised;
use medfocus_plugin_api::{HeatMap, Result, choices};
use ndarray::Array2;

use crate::Cells;

choices! {
    /// How cells become a map of pixels.
    pub enum Upsample {
        /// Each pixel holds what was measured of its cell: no finer than that.
        Cells = "cells",
        /// Bilinear between the cells' centres, as in the published code.
        Bilinear = "bilinear",
    }
}

impl Upsample {
    /// The map of a square grid of cells.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`](medfocus_plugin_api::Error::invalid) if a value is not finite.
    pub fn map(self, cells: &Array2<f64>) -> Result<HeatMap> {
        let cells = cells.mapv(|cell| cell as f32);
        match self {
            Self::Cells => normalised(Cells::new(cells.nrows() as u32).paint(cells.view())),
            Self::Bilinear => HeatMap::from_grid(cells.view()),
        }
    }
}
