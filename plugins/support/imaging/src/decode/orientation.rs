//! The orientation tag of EXIF and TIFF.

use ndarray::{Array2, Axis};

use super::Decoded;

/// Turns an image as a viewer shows it, where `orientation` is tag 274 (EXIF 2.32, 4.6.4): 1 is as
/// stored, and so is what the tag does not define.
pub(super) fn apply(mut image: Decoded, orientation: u16) -> Decoded {
    // Whether the stored rows become columns, and which axes are then reversed.
    let (transposed, reversed): (bool, &[usize]) = match orientation {
        2 => (false, &[1]),
        3 => (false, &[0, 1]),
        4 => (false, &[0]),
        5 => (true, &[]),
        6 => (true, &[1]),
        7 => (true, &[0, 1]),
        8 => (true, &[0]),
        _ => return image,
    };
    let mut shown = if transposed {
        image.pixels.reversed_axes()
    } else {
        image.pixels
    };
    for &axis in reversed {
        shown.invert_axis(Axis(axis));
    }
    image.turned = true;
    let size = shown.raw_dim();
    image.pixels = Array2::from_shape_fn(size, |at| shown[at]);
    image.source = format!(
        "{}, turned by its orientation tag ({orientation})",
        image.source
    );
    image
}
