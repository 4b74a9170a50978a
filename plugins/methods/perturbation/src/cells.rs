//! A square grid of cells over the working image.

use medfocus_plugin_api::{BBox, GrayImage, Result, WORKING_SIDE, Working};
use ndarray::{Array2, ArrayView2, s};

/// `side` x `side` cells that tile the working image; where they do not divide it evenly, edges are rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    side: u32,
}

impl Cells {
    /// Cells along each side.
    pub fn new(side: u32) -> Self {
        Self { side }
    }

    /// The cells row by row.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`](medfocus_plugin_api::Error::invalid) if they are more than pixels.
    pub fn boxes(self) -> Result<Vec<BBox<Working>>> {
        let cells = (0..self.side).flat_map(|row| (0..self.side).map(move |column| (row, column)));
        cells
            .map(|(row, column)| {
                BBox::new(
                    self.edge(column),
                    self.edge(row),
                    self.edge(column + 1),
                    self.edge(row + 1),
                )
            })
            .collect()
    }

    /// Paints each cell evenly with its value: (side, side) to (224, 224).
    pub fn paint(self, values: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut painted = Array2::zeros((WORKING_SIDE as usize, WORKING_SIDE as usize));
        for ((row, column), &value) in values.indexed_iter() {
            let range =
                |cell: usize| self.edge(cell as u32) as usize..self.edge(cell as u32 + 1) as usize;
            painted.slice_mut(s![range(row), range(column)]).fill(value);
        }
        painted
    }

    fn edge(self, cell: u32) -> u32 {
        cell * WORKING_SIDE / self.side
    }
}

/// An image with these boxes of another one.
///
/// # Errors
///
/// None for a working image and boxes inside it.
///
/// # Panics
///
/// If a box reaches beyond one of the images.
pub fn exchanged<'a>(
    image: &GrayImage,
    other: &GrayImage,
    boxes: impl IntoIterator<Item = &'a BBox<Working>>,
) -> Result<GrayImage> {
    let mut pixels = image.view().to_owned();
    for bbox in boxes {
        let [x1, y1, x2, y2] = bbox.corners().map(|corner| corner as usize);
        let inside = s![y1..y2, x1..x2];
        pixels.slice_mut(inside).assign(&other.view().slice(inside));
    }
    GrayImage::from_array(pixels)
}
