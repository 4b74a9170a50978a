//! Overlap of the regions that two lists of boxes cover; areas are exact.

use medfocus_plugin_api::{BBox, Frame};
use serde::{Deserialize, Serialize};

/// How a found region and the true one overlap.
///
/// With F the area found, T the true area and B the area of both: if neither region has any, all four are 1; if only
/// one has, all are 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// B / (F + T - B).
    pub iou: f64,
    /// B / F.
    pub precision: f64,
    /// B / T.
    pub recall: f64,
    /// 2 B / (F + T), the harmonic mean of precision and recall.
    pub f1: f64,
}

/// How the region that `found` covers overlaps the one that `truth` covers.
pub fn overlap<F: Frame>(found: &[BBox<F>], truth: &[BBox<F>]) -> Overlap {
    let [found, truth, both] = areas(found, truth);
    // Boxes are never empty, so that an area of zero means an empty list.
    let share = |part: u64, whole: f64| match (found, truth) {
        (0, 0) => 1.0,
        (0, _) | (_, 0) => 0.0,
        _ => part as f64 / whole,
    };
    Overlap {
        iou: share(both, (found + (truth - both)) as f64),
        precision: share(both, found as f64),
        recall: share(both, truth as f64),
        f1: share(both, (found as f64 + truth as f64) / 2.0),
    }
}

/// Pixels that at least one of the boxes covers.
pub fn union_area<F: Frame>(boxes: &[BBox<F>]) -> u64 {
    areas(boxes, &[])[0]
}

/// Areas of the union of `a`, of the union of `b`, and of what both unions cover.
///
/// A line sweeps over the columns and counts, for every strip between two neighbouring box edges, how many boxes cover
/// it: time is quadratic in the number of boxes, memory linear.
fn areas<F: Frame>(a: &[BBox<F>], b: &[BBox<F>]) -> [u64; 3] {
    let boxes = || {
        let tag = |side| move |bbox: &BBox<F>| (side, bbox.corners());
        a.iter().map(tag(0)).chain(b.iter().map(tag(1)))
    };
    let mut rows: Vec<u32> = boxes().flat_map(|(_, [_, y1, _, y2])| [y1, y2]).collect();
    rows.sort_unstable();
    rows.dedup();
    let strip = |y: u32| rows.partition_point(|&row| row < y);
    let mut edges: Vec<_> = boxes()
        .flat_map(|(side, [x1, y1, x2, y2])| {
            let strips = strip(y1)..strip(y2);
            [(x1, side, strips.clone(), 1), (x2, side, strips, -1)]
        })
        .collect();
    edges.sort_unstable_by_key(|edge| edge.0);

    let mut cover = vec![[0i64; 2]; rows.len()];
    let mut areas = [0; 3];
    let mut swept = 0;
    for columns in edges.chunk_by(|a, b| a.0 == b.0) {
        let x = columns[0].0;
        for (height, cover) in rows.windows(2).zip(&cover) {
            let area = u64::from(x - swept) * u64::from(height[1] - height[0]);
            let inside = cover.map(|count| count > 0);
            for (sum, inside) in areas
                .iter_mut()
                .zip([inside[0], inside[1], inside == [true; 2]])
            {
                *sum += if inside { area } else { 0 };
            }
        }
        for (_, side, strips, change) in columns {
            for cover in &mut cover[strips.clone()] {
                cover[*side] += change;
            }
        }
        swept = x;
    }
    areas
}
