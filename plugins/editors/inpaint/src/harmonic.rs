//! The smoothest continuation of an image.

use std::ops::Range;

use medfocus_plugin_api::{Error, Result};
use ndarray::{Array2, ArrayView2};

use crate::{multigrid::solve, network::Network};

/// How exact the filled pixels are, in the image's unit.
const TOLERANCE: f64 = 0.01;

/// The image with each pixel of the region as the mean of its neighbours: the discrete harmonic function that continues
/// the pixels around the region. Of all continuations it has the least squared differences between neighbours, and it
/// stays between the least and the greatest of those pixels. Nothing lies beyond the image's edge (Neumann's condition).
///
/// # Errors
///
/// [`Error::invalid`] if the region has not the image's size, or is the whole image.
pub fn harmonic(image: ArrayView2<'_, f64>, region: ArrayView2<'_, bool>) -> Result<Array2<f64>> {
    if region.dim() != image.dim() {
        let ((rows, columns), (height, width)) = (region.dim(), image.dim());
        return Err(Error::invalid(format!(
            "a mask of {columns} x {rows} pixels does not fit an image of {width} x {height}"
        )));
    }
    if region.iter().all(|&inside| inside) {
        return Err(Error::invalid(
            "the region to fill is the whole image, which leaves nothing to fill it from",
        ));
    }
    let mut filled = image.to_owned();
    let Some((rows, columns)) = extent(region) else {
        return Ok(filled);
    };
    // Neighbours are joined by a unit resistor; a known pixel holds its potential.
    let mut network = Network::new(rows.len(), columns.len());
    let mut currents = network.zeros();
    for (y, cells) in rows.clone().zip(network.rows()) {
        for (x, i) in columns.clone().zip(cells).filter(|&(x, _)| region[(y, x)]) {
            let (right, below) = ((y, x + 1), (y + 1, x));
            for at in [right, below, (y, x.wrapping_sub(1)), (y.wrapping_sub(1), x)] {
                if region.get(at) == Some(&false) {
                    network.ground[i] += 1.0;
                    currents[i] += image[at];
                }
            }
            let joined = |at| f64::from(u8::from(region.get(at) == Some(&true)));
            network.right[i] = joined(right);
            network.below[i] = joined(below);
        }
    }
    let lines = network.rows();
    let potentials = solve(network, currents, TOLERANCE)
        .ok_or_else(|| Error::internal("the inpainting did not converge"))?;
    for (y, cells) in rows.zip(lines) {
        for (x, i) in columns.clone().zip(cells).filter(|&(x, _)| region[(y, x)]) {
            filled[(y, x)] = potentials[i];
        }
    }
    Ok(filled)
}

/// The rows and columns that a region spans; nothing if it has no pixels.
fn extent(region: ArrayView2<'_, bool>) -> Option<(Range<usize>, Range<usize>)> {
    let pixels = region.indexed_iter().filter(|(_, inside)| **inside);
    let spans = pixels.map(|((y, x), _)| (y..y + 1, x..x + 1));
    let union = |a: Range<usize>, b: Range<usize>| a.start.min(b.start)..a.end.max(b.end);
    spans.reduce(|(rows, columns), (row, column)| (union(rows, row), union(columns, column)))
}
