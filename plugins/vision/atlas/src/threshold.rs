//! Otsu's threshold (Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9(1), 1979).

/// Two classes of grey levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// The brightest level of the dark class.
    pub threshold: u8,
    /// Between-class variance over total variance, above 0 to 1 (Otsu's eta at its maximum).
    pub separability: f64,
}

/// The split of most variance between the classes, the darkest of several; nothing if all levels are equal.
///
/// With w(t) the share of pixels at or below level t, m(t) the sum over them of level times share, and m the mean of
/// all, the between-class variance is (m w(t) - m(t))^2 / (w(t) (1 - w(t))) (equation 18).
pub fn split(levels: impl IntoIterator<Item = u8>) -> Option<Split> {
    let mut histogram = [0u64; 256];
    for level in levels {
        histogram[usize::from(level)] += 1;
    }
    let count = histogram.iter().sum::<u64>() as f64;
    let shares = histogram.map(|n| n as f64 / count);
    let levels = || (0..256).map(|level| (level as f64, shares[level]));
    let mean: f64 = levels().map(|(level, share)| share * level).sum();
    let variance: f64 = levels()
        .map(|(level, share)| share * (level - mean).powi(2))
        .sum();

    let (mut pixels, mut below) = (0, 0.0);
    let mut best: Option<Split> = None;
    for level in 0..=255u8 {
        pixels += histogram[usize::from(level)];
        below += f64::from(level) * shares[usize::from(level)];
        let weight = pixels as f64 / count;
        // Both classes have pixels.
        if pixels == 0 || weight >= 1.0 {
            continue;
        }
        let between = (mean * weight - below).powi(2) / (weight * (1.0 - weight));
        let separability = (between / variance).min(1.0);
        if best.is_none_or(|best| separability > best.separability) {
            best = Some(Split {
                threshold: level,
                separability,
            });
        }
    }
    best
}
