//! The parts of an image that depart from the healthy one.

use medfocus_attribution::parts;
use medfocus_plugin_api::{BBox, Working};
use ndarray::Array2;

use crate::region::Region;

/// How far around a part the image becomes healthy with it, in pixels, for its edge departs, too.
const RIM: usize = 3;

/// The connected parts inside `content` that are brighter than in health by at least `level` standard deviations, or darker, at
/// most `count`: those of the most departure, each pixel's weighed by `weight`. A part's pixels hold a rim around it, its box
/// does not.
pub fn abnormal(
    departure: &Array2<f64>,
    weight: &Array2<f64>,
    content: &BBox<Working>,
    level: f64,
    count: usize,
) -> Vec<Region> {
    let signs = [1.0, -1.0].into_iter();
    let found = signs.flat_map(|sign| parts(departure.mapv(|by| sign * by >= level).view()));
    let mut found: Vec<_> = found
        .filter_map(|part| {
            let bbox = part.bbox()?.intersection(content)?;
            let weighed = part
                .pixels
                .iter()
                .map(|&at| departure[at].abs() * weight[at]);
            Some((weighed.sum::<f64>(), bbox, part.pixels))
        })
        .collect();
    found.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let strongest = found.into_iter().take(count);
    let regions = strongest.map(|(_, bbox, pixels)| Region {
        inside: rimmed(departure.dim(), &pixels),
        bbox,
    });
    regions.collect()
}

/// The pixels and those around them.
fn rimmed((rows, columns): (usize, usize), pixels: &[(usize, usize)]) -> Array2<bool> {
    let mut inside = Array2::from_elem((rows, columns), false);
    for &(y, x) in pixels {
        let (down, right) = ((y + RIM + 1).min(rows), (x + RIM + 1).min(columns));
        let around = ndarray::s![y.saturating_sub(RIM)..down, x.saturating_sub(RIM)..right];
        inside.slice_mut(around).fill(true);
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bright_and_dark_parts_are_found_by_what_they_weigh() {
        let mut departure = Array2::<f64>::zeros((30, 40));
        departure.slice_mut(ndarray::s![5..10, 5..15]).fill(2.0);
        departure.slice_mut(ndarray::s![20..24, 20..24]).fill(-4.0);
        departure.slice_mut(ndarray::s![0..30, 39..40]).fill(1.0);
        let content = BBox::new(0, 0, 40, 30).unwrap();
        let mut weight = Array2::from_elem((30, 40), 1.0);
        let boxes = |weight: &Array2<f64>, count| -> Vec<_> {
            let found = abnormal(&departure, weight, &content, 1.5, count);
            found.iter().map(|part| part.bbox.corners()).collect()
        };
        let (bright, dark) = ([5, 5, 15, 10], [20, 20, 24, 24]);
        assert_eq!(boxes(&weight, 9), [bright, dark]);
        assert_eq!(boxes(&weight, 1), [bright]);
        weight.slice_mut(ndarray::s![..15, ..]).fill(0.1);
        assert_eq!(boxes(&weight, 9), [dark, bright]);
        let found = abnormal(&departure, &weight, &content, 1.5, 1);
        let inside = |y: usize, x: usize| found[0].inside[(y, x)];
        assert!(inside(17, 17) && inside(26, 26) && !inside(16, 20) && !inside(20, 27));
    }
}
