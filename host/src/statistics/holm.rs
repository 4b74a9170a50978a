//! Correction for many tests at once.

/// Holm's step-down correction (Scandinavian Journal of Statistics, 1979): the adjusted p values in the order of
/// `p_values`. Rejecting where one is at most alpha keeps the chance of any false rejection in the family at alpha.
///
/// Of m values, the k-th smallest becomes the greatest (m - j + 1) p_(j) over j up to k, at most 1.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut greatest = 0.0_f64;
    for (smaller, i) in order.into_iter().enumerate() {
        let factor = (p_values.len() - smaller) as f64;
        greatest = greatest.max(factor * p_values[i]).min(1.0);
        adjusted[i] = greatest;
    }
    adjusted
}
