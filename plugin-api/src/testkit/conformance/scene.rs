//! What the suites ask about: an image with a bright spot where the toy model looks.

use ndarray::Array2;

use crate::{
    error::Result,
    frame::{BBox, Frame, WORKING_SIDE},
    image::GrayImage,
    protocol::method::Task,
    testkit::{ToyModel, toy_task},
};

/// A model that looks at the cell of the spot.
pub(super) fn model() -> ToyModel {
    ToyModel::looking_at((8, 8), (2, 5), 6.0, -2.0)
}

/// A slanted grey ramp with a bright spot; no two of its parts are alike.
pub(super) fn pixels(width: u32, height: u32) -> Array2<u8> {
    let size = (height as usize, width as usize);
    let [x1, y1, x2, y2] = spot_corners(width, height).map(|corner| corner as usize);
    Array2::from_shape_fn(size, |(y, x)| {
        let spot = (x1..x2).contains(&x) && (y1..y2).contains(&y);
        if spot {
            220
        } else {
            (20 + (x + 2 * y) % 97) as u8
        }
    })
}

/// The same pixels as an image.
pub(super) fn image(width: u32, height: u32) -> Result<GrayImage> {
    GrayImage::from_array(pixels(width, height))
}

/// The working image.
pub(super) fn working() -> Result<GrayImage> {
    image(WORKING_SIDE, WORKING_SIDE)
}

/// Where the spot is.
pub(super) fn spot<F: Frame>(width: u32, height: u32) -> Result<BBox<F>> {
    let [x1, y1, x2, y2] = spot_corners(width, height);
    BBox::new(x1, y1, x2, y2)
}

fn spot_corners(width: u32, height: u32) -> [u32; 4] {
    [5 * width / 8, 2 * height / 8, 6 * width / 8, 3 * height / 8]
}

/// The answer "Yes" to a question about the spot.
pub(super) fn task() -> Result<Task> {
    toy_task(pixels(WORKING_SIDE, WORKING_SIDE))
}
