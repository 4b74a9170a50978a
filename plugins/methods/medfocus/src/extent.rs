//! How far a departure from the healthy reaches beyond the part that decides.

use medfocus_attribution::parts;
use medfocus_plugin_api::GrayImage;
use ndarray::{Array2, s};

/// Reach of the mean that noise is taken out by, in pixels.
const REACH: usize = 4;

/// Grows a box (left, top, right, bottom; pixels) to hold the connected part that departs from the healthy image the way its
/// strongest pixel does, and at least `level` times as much.
pub fn grown(image: &GrayImage, healthy: &GrayImage, core: [f64; 4], level: f64) -> [f64; 4] {
    let departure = image.view().mapv(f64::from) - healthy.view().mapv(f64::from);
    let (rows, columns) = departure.dim();
    let smooth = Array2::from_shape_fn(departure.dim(), |(y, x)| {
        let (y2, x2) = ((y + REACH + 1).min(rows), (x + REACH + 1).min(columns));
        let near = departure.slice(s![y.saturating_sub(REACH)..y2, x.saturating_sub(REACH)..x2]);
        near.mean().unwrap_or_default()
    });
    let [x1, y1, x2, y2] = core;
    let inside = |y: usize, x: usize| {
        let (y, x) = (y as f64 + 0.5, x as f64 + 0.5);
        (x1..x2).contains(&x) && (y1..y2).contains(&y)
    };
    let deciding = smooth.indexed_iter().filter(|((y, x), _)| inside(*y, *x));
    let strongest = deciding.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    let Some((seed, &most)) = strongest.filter(|(_, most)| **most != 0.0) else {
        return core;
    };
    let departs = smooth.mapv(|value| value * most.signum() >= level * most.abs());
    let part = parts(departs.view())
        .into_iter()
        .find(|part| part.pixels.contains(&seed));
    let pixels = part.into_iter().flat_map(|part| part.pixels);
    pixels.fold(core, |[x1, y1, x2, y2], (y, x)| {
        let (y, x) = (y as f64, x as f64);
        [x1.min(x), y1.min(y), x2.max(x + 1.0), y2.max(y + 1.0)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_grows_to_the_part_it_touches_alone() {
        let healthy = GrayImage::from_array(Array2::from_elem((60, 60), 50)).unwrap();
        let ill = |y: usize, x: usize| (20..40).contains(&y) && ((10..30).contains(&x) || x >= 50);
        let image = Array2::from_shape_fn((60, 60), |(y, x)| if ill(y, x) { 150 } else { 50 });
        let image = GrayImage::from_array(image).unwrap();
        let found = grown(&image, &healthy, [18.0, 28.0, 22.0, 32.0], 0.5);
        assert_eq!(found, [10.0, 20.0, 30.0, 40.0]);
        let core = [1.0, 1.0, 4.0, 4.0];
        assert_eq!(grown(&healthy, &healthy, core, 0.5), core);
    }
}
