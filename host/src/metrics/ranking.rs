//! How heat maps rank pixels: against the truth, and against each other.

use medfocus_plugin_api::{BBox, HeatMap, Working};

/// Area under the precision-recall curve of the pixels of the true boxes, ranked by heat: average precision,
///
/// sum over k of (R_k - R_{k-1}) P_k,
///
/// with precision P_k and recall R_k at the k-th highest value (Davis and Goadrich, ICML 2006, on why not to
/// interpolate linearly). Pixels of equal heat are one step: their order is not the method's. A constant map scores
/// the true boxes' share of the image. Nothing if no pixel is true.
pub fn auprc(heat: &HeatMap, truth: &[BBox<Working>]) -> Option<f64> {
    let heat = heat.view();
    let pixels = heat.indexed_iter().map(|((y, x), &value)| {
        let inside = truth.iter().any(|bbox| bbox.contains(x as u32, y as u32));
        (value, inside)
    });
    average_precision(pixels.collect())
}

/// Average precision of (value, positive) pairs.
fn average_precision(mut ranked: Vec<(f32, bool)>) -> Option<f64> {
    let positives = |pixels: &[(f32, bool)]| pixels.iter().filter(|pixel| pixel.1).count();
    let all = positives(&ranked);
    ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (mut hits, mut seen) = (0, 0);
    let mut sum = 0.0;
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let new = positives(tied);
        hits += new;
        seen += tied.len();
        sum += new as f64 * (hits as f64 / seen as f64);
    }
    (all > 0).then(|| sum / all as f64)
}

/// Spearman's rank correlation of two maps, -1 to 1; equal values share their mean rank. Nothing if a map is constant.
pub fn rank_correlation(a: &HeatMap, b: &HeatMap) -> Option<f64> {
    let values = |heat: &HeatMap| heat.view().iter().copied().collect::<Vec<_>>();
    spearman(&values(a), &values(b))
}

fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    let (a, b) = (centred_ranks(a), centred_ranks(b));
    let product = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<i64>() as f64;
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

/// Twice each value's distance from the mean rank: integers, so that their products are exact.
fn centred_ranks(values: &[f32]) -> Vec<i64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0; values.len()];
    let mut below = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        // Ranks below + 1 to below + n: their mean, doubled, less the doubled mean of all ranks.
        let doubled = (2 * below + tied.len()) as i64 - values.len() as i64;
        tied.iter().for_each(|&i| ranks[i] = doubled);
        below += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn average_precision_by_hand() {
        let ranked = |pairs: &[(f32, bool)]| average_precision(pairs.to_vec());
        // Hits at ranks 1 and 3 of 4.
        let apart = [(0.2, false), (0.9, true), (0.7, false), (0.5, true)];
        assert_eq!(ranked(&apart), Some((1.0 + 2.0 / 3.0) / 2.0));
        // The last three share one step: two positives among all four pixels.
        let tied = [(0.9, true), (0.5, false), (0.5, true), (0.5, false)];
        assert_eq!(ranked(&tied), Some((1.0 + 2.0 / 4.0) / 2.0));
        assert_eq!(ranked(&[(0.9, false)]), None);
        assert_eq!(ranked(&[]), None);
    }

    #[test]
    fn a_correlation_from_a_textbook() {
        let a = [106., 86., 100., 101., 99., 103., 97., 113., 112., 110.];
        let b = [7., 0., 27., 50., 28., 29., 20., 12., 6., 17.];
        assert!((spearman(&a, &b).unwrap() + 29.0 / 165.0).abs() < 1e-12);
        // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        let tied = spearman(&[1., 2., 2., 3.], &[1., 2., 3., 4.]).unwrap();
        assert!((tied - 4.5 / (4.5f64 * 5.0).sqrt()).abs() < 1e-12);
        assert_eq!(spearman(&[1., 1., 1.], &[1., 2., 3.]), None);
        assert_eq!(spearman(&[1.], &[1.]), None);
    }

    /// For each positive, the precision among all values at least as high; the mean of these.
    fn naive_precision(pixels: &[(f32, bool)]) -> Option<f64> {
        let positive: Vec<_> = pixels.iter().filter(|pixel| pixel.1).collect();
        let precisions = positive.iter().map(|pixel| {
            let above = |pixels: &mut dyn Iterator<Item = &(f32, bool)>| {
                pixels.filter(|other| other.0 >= pixel.0).count() as f64
            };
            above(&mut positive.iter().copied()) / above(&mut pixels.iter())
        });
        let sum: f64 = precisions.sum();
        (!positive.is_empty()).then(|| sum / positive.len() as f64)
    }

    /// Pearson's correlation of the mean ranks, counted one by one.
    fn naive_correlation(a: &[f32], b: &[f32]) -> Option<f64> {
        let centred = |values: &[f32]| {
            let rank = |v: f32| {
                let below = values.iter().filter(|&&other| other < v).count() as f64;
                let equal = values.iter().filter(|&&other| other == v).count() as f64;
                below + (equal + 1.0) / 2.0
            };
            let mean = (values.len() as f64 + 1.0) / 2.0;
            values.iter().map(|&v| rank(v) - mean).collect::<Vec<_>>()
        };
        let (a, b) = (centred(a), centred(b));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (aa, bb) = (dot(&a, &a), dot(&b, &b));
        (aa > 0.0 && bb > 0.0).then(|| dot(&a, &b) / aa.sqrt() / bb.sqrt())
    }

    fn close(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a == b,
        }
    }

    proptest! {
        #[test]
        fn average_precision_is_the_naive_one(
            pixels in prop::collection::vec((0u8..12, any::<bool>()), 0..60),
        ) {
            let pixels: Vec<_> = pixels.iter().map(|&(v, inside)| (f32::from(v), inside)).collect();
            let found = average_precision(pixels.clone());
            prop_assert!(close(found, naive_precision(&pixels)));
            // Only the ranks count.
            let grown = pixels.iter().map(|&(v, inside)| (v * v + 0.5, inside)).collect();
            prop_assert_eq!(average_precision(grown), found);
        }

        #[test]
        fn correlation_is_the_naive_one(pairs in prop::collection::vec((0u8..12, 0u8..12), 0..60)) {
            let values = |pick: fn(&(u8, u8)) -> u8| {
                pairs.iter().map(|pair| f32::from(pick(pair))).collect::<Vec<_>>()
            };
            let (a, b) = (values(|pair| pair.0), values(|pair| pair.1));
            let found = spearman(&a, &b);
            prop_assert!(close(found, naive_correlation(&a, &b)));
            prop_assert!(found.is_none_or(|rho| (-1.0..=1.0).contains(&rho)));
            prop_assert_eq!(spearman(&b, &a), found);
            let grown: Vec<_> = a.iter().map(|v| v.exp()).collect();
            prop_assert_eq!(spearman(&grown, &b), found);
            let turned: Vec<_> = a.iter().map(|v| -v).collect();
            prop_assert_eq!(spearman(&turned, &b), found.map(|rho| -rho));
        }
    }
}
