//! The pointing game.

use medfocus_plugin_api::{BBox, HeatMap, Working};

/// Whether the hottest pixel lies in a true box: 1 or 0 (Zhang et al., IJCV 2018, without a margin of tolerance).
///
/// Where several pixels are hottest, the share of them that lies inside: what pointing at one of them at random would
/// win on average. A map of zeros thus scores as chance does. Nothing if there is no true box.
pub fn pointing_game(heat: &HeatMap, truth: &[BBox<Working>]) -> Option<f64> {
    let heat = heat.view();
    let peak = heat.iter().copied().fold(0.0, f32::max);
    let (mut inside, mut all) = (0u32, 0u32);
    for ((y, x), _) in heat.indexed_iter().filter(|(_, value)| **value == peak) {
        all += 1;
        inside += u32::from(truth.iter().any(|bbox| bbox.contains(x as u32, y as u32)));
    }
    (!truth.is_empty()).then(|| f64::from(inside) / f64::from(all))
}
