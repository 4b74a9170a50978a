//! Intervals and comparisons: closed forms, laws, coverage.

use medfocus::statistics::{Bootstrap, Comparison, Summary, holm};
use proptest::prelude::*;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Seeded draws for synthetic data.
struct Noise(ChaCha8Rng);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// Near enough standard normal: the sum of twelve uniforms.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

fn bootstrap(resamples: usize) -> Bootstrap {
    Bootstrap {
        resamples,
        ..Bootstrap::default()
    }
}

/// Half the width of an interval.
fn half_width(summary: &Summary) -> f64 {
    (summary.high.unwrap() - summary.low.unwrap()) / 2.0
}

#[test]
fn many_independent_values_have_the_normal_interval() {
    let mut noise = Noise::new(1);
    let values: Vec<f64> = (0..500).map(|_| noise.unit()).collect();
    let summary = Bootstrap::default()
        .summary(values.iter().copied().enumerate())
        .unwrap();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let expected = 1.96 * (variance / n).sqrt();
    assert_eq!((summary.n, summary.clusters), (500, 500));
    assert!((summary.mean - mean).abs() < 1e-12);
    assert!((half_width(&summary) / expected - 1.0).abs() < 0.03);
    let middle = (summary.low.unwrap() + summary.high.unwrap()) / 2.0;
    assert!((middle - mean).abs() < 0.1 * expected);
}

/// So many that groups of them are drawn: pairs of values that share half of their variance.
#[test]
fn very_many_clusters_have_the_normal_interval() {
    let mut noise = Noise::new(2);
    let pairs: Vec<[f64; 2]> = (0..30_000)
        .map(|_| {
            let shared = noise.unit();
            [shared + noise.unit(), shared + noise.unit()]
        })
        .collect();
    let values = pairs.iter().enumerate();
    let values = values.flat_map(|(cluster, pair)| pair.map(|value| (cluster, value)));
    let summary = bootstrap(2000).summary(values).unwrap();
    assert_eq!((summary.n, summary.clusters), (60_000, 30_000));
    // Of a pair's mean: the shared part's 1/12, and half of the other's.
    let expected = 1.96 * ((1.0 / 12.0 + 1.0 / 24.0) / 30_000_f64).sqrt();
    let found = half_width(&summary);
    assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
    assert!((summary.mean - 1.0).abs() < 2.0 * expected);
}

#[test]
fn copies_in_a_cluster_add_nothing() {
    let mut noise = Noise::new(2);
    let values: Vec<f64> = (0..60).map(|_| noise.unit()).collect();
    let copies = || values.iter().flat_map(|&value| [value; 4]).enumerate();
    let bootstrap = Bootstrap::default();
    let plain = bootstrap
        .summary(values.iter().copied().enumerate())
        .unwrap();
    let clustered = bootstrap
        .summary(copies().map(|(i, value)| (i / 4, value)))
        .unwrap();
    assert_eq!(clustered, Summary { n: 240, ..plain });
    // Taken for independent, they would halve the interval.
    let fooled = bootstrap.summary(copies()).unwrap();
    assert!((half_width(&plain) / half_width(&fooled) - 2.0).abs() < 0.1);
}

#[test]
fn the_mean_is_over_values_not_over_clusters() {
    let values = [("a", 1.0), ("b", 0.0), ("b", 0.0), ("b", 0.0)];
    let summary = Bootstrap::default().summary(values).unwrap();
    assert_eq!((summary.n, summary.clusters, summary.mean), (4, 2, 0.25));
    // Two draws of two clusters: aa 1/4, ab 1/2, bb 1/4.
    assert_eq!((summary.low, summary.high), (Some(0.0), Some(1.0)));
}

#[test]
fn equal_values_leave_no_doubt() {
    let summary = Bootstrap::default()
        .summary((0..30).map(|i| (i / 3, 0.75)))
        .unwrap();
    let expected = Summary {
        n: 30,
        clusters: 10,
        mean: 0.75,
        low: Some(0.75),
        high: Some(0.75),
    };
    assert_eq!(summary, expected);
}

#[test]
fn one_cluster_has_no_interval_and_no_values_no_mean() {
    let bootstrap = Bootstrap::default();
    let summary = bootstrap.summary([(7, 0.0), (7, 1.0)]).unwrap();
    let expected = Summary {
        n: 2,
        clusters: 1,
        mean: 0.5,
        low: None,
        high: None,
    };
    assert_eq!(summary, expected);
    assert_eq!(bootstrap.summary::<u8>([]), None);
    assert_eq!(bootstrap.compare::<u8>([]), None);
    assert_eq!(bootstrap.compare([(7, 0.0, 1.0)]).unwrap().p, None);
    let none = Bootstrap {
        resamples: 0,
        seed: 0,
    };
    assert_eq!(none.summary([(1, 0.0), (2, 1.0)]).unwrap().low, None);
    assert_eq!(
        none.compare([(1, 0.0, 1.0), (2, 1.0, 0.0)]).unwrap().p,
        None
    );
}

#[test]
fn a_method_does_not_differ_from_itself() {
    let mut noise = Noise::new(3);
    let pairs: Vec<_> = (0..50).map(|i| (i, noise.unit())).collect();
    let pairs = pairs.iter().map(|&(i, value)| (i, value, value));
    let Comparison { difference, p } = Bootstrap::default().compare(pairs).unwrap();
    assert_eq!(
        (difference.mean, difference.low, difference.high),
        (0.0, Some(0.0), Some(0.0))
    );
    assert_eq!(p, Some(1.0));
}

#[test]
fn a_constant_gain_is_as_sure_as_the_resamples_can_tell() {
    let mut noise = Noise::new(4);
    // Multiples of 1/1024 keep the differences exact.
    let pairs: Vec<_> = (0..50)
        .map(|i| {
            let value = (noise.unit() * 1024.0).floor() / 1024.0;
            (i, value + 0.125, value)
        })
        .collect();
    let found = bootstrap(999).compare(pairs).unwrap();
    assert_eq!(
        (found.difference.low, found.difference.high),
        (Some(0.125), Some(0.125))
    );
    assert_eq!(found.p, Some(1.0 / 1000.0));
}

#[test]
fn few_clusters_prove_little() {
    // Resamples of three are never as far away as zero.
    let gains = [(0, 0.3), (1, 0.8), (2, 1.6)];
    let found = Bootstrap::default().compare(gains.map(|(i, gain)| (i, gain, 0.0)));
    assert_eq!(found.unwrap().p, Some(0.25));
}

#[test]
fn the_p_value_of_many_pairs_is_the_normal_one() {
    let mut noise = Noise::new(5);
    let raw: Vec<f64> = (0..400).map(|_| noise.normal()).collect();
    let mean = raw.iter().sum::<f64>() / 400.0;
    let deviation = (raw.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
    // Two-sided p values of the standard normal distribution.
    for (z, p) in [(0.5, 0.617), (1.0, 0.317), (1.96, 0.05), (2.576, 0.01)] {
        let shift = z * deviation / 20.0 - mean;
        let pairs = raw.iter().map(|v| (v + shift, 0.0)).enumerate();
        let found = bootstrap(2500)
            .compare(pairs.map(|(i, (a, b))| (i, a, b)))
            .unwrap();
        let error = (p * (1.0 - p) / 2500.0_f64).sqrt();
        assert!(
            (found.p.unwrap() - p).abs() < 0.1 * p + 4.0 * error,
            "z = {z}: {found:?}"
        );
        assert!((found.difference.mean - z * deviation / 20.0).abs() < 1e-12);
    }
}

#[test]
fn turning_a_comparison_round_turns_its_sign() {
    let mut noise = Noise::new(6);
    let pairs: Vec<_> = (0..60)
        .map(|i| (i / 2, noise.unit(), noise.unit()))
        .collect();
    let forth = Bootstrap::default().compare(pairs.iter().copied()).unwrap();
    let back = Bootstrap::default()
        .compare(pairs.iter().map(|&(i, a, b)| (i, b, a)))
        .unwrap();
    assert!((forth.difference.mean + back.difference.mean).abs() < 1e-12);
    // Other draws, as the order of the clusters turns too.
    assert!((forth.difference.low.unwrap() + back.difference.high.unwrap()).abs() < 0.01);
    assert!((forth.p.unwrap() - back.p.unwrap()).abs() < 0.03);
}

#[test]
fn the_seed_decides() {
    let mut noise = Noise::new(7);
    let values: Vec<f64> = (0..40).map(|_| noise.unit()).collect();
    let summary = |seed| {
        let bootstrap = Bootstrap {
            resamples: 100,
            seed,
        };
        bootstrap.summary(values.iter().copied().enumerate())
    };
    assert_eq!(summary(1), summary(1));
    assert_ne!(summary(1), summary(2));
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    // 40 clusters of 1 to 6 values: an effect of the cluster and one of the value, around 0.3.
    let mut noise = Noise::new(8);
    let mut trial = |by_cluster: bool| {
        let mut values = Vec::new();
        for cluster in 0..40 {
            let effect = noise.normal();
            for _ in 0..1 + cluster % 6 {
                let id = if by_cluster { cluster } else { values.len() };
                values.push((id, 0.3 + effect + 0.5 * noise.normal()));
            }
        }
        let summary = bootstrap(400).summary(values).unwrap();
        (summary.low.unwrap()..=summary.high.unwrap()).contains(&0.3)
    };
    let mut coverage = |by_cluster| (0..200).filter(|_| trial(by_cluster)).count() as f64 / 200.0;
    let clustered = coverage(true);
    assert!((0.88..0.99).contains(&clustered), "{clustered}");
    let naive = coverage(false);
    assert!(
        naive < 0.8,
        "ignoring the clusters should fail this test: {naive}"
    );
}

#[test]
fn tests_of_nothing_reject_as_often_as_they_say() {
    let mut noise = Noise::new(9);
    let rejections = (0..300)
        .filter(|_| {
            let pairs = (0..60)
                .map(|i| (i / 2, noise.normal(), noise.normal()))
                .collect::<Vec<_>>();
            bootstrap(300).compare(pairs).unwrap().p.unwrap() <= 0.05
        })
        .count();
    // 15 expected; 99.9 % of binomial draws lie below 29.
    assert!((4..29).contains(&rejections), "{rejections}");
}

#[test]
fn holm_by_hand() {
    let close = |found: Vec<f64>, expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    };
    // 4 * 0.005, 3 * 0.01, then 2 * 0.03 and 1 * 0.04, which may not fall below it.
    close(holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
    close(holm(&[0.9, 0.4]), &[0.9, 0.8]);
    close(holm(&[0.6, 0.7]), &[1.0, 1.0]);
    close(holm(&[0.04]), &[0.04]);
    close(holm(&[]), &[]);
}

/// Values of few levels in few clusters.
fn samples() -> impl Strategy<Value = Vec<(u8, f64)>> {
    let one = (0..8u8, 0..1000u32).prop_map(|(cluster, value)| (cluster, f64::from(value) / 999.0));
    prop::collection::vec(one, 1..40)
}

proptest! {
    #[test]
    fn order_and_names_do_not_matter(
        (values, shuffled) in samples().prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
        names in Just((0..8).collect::<Vec<u32>>()).prop_shuffle(),
    ) {
        let expected = bootstrap(50).summary(values);
        prop_assert_eq!(bootstrap(50).summary(shuffled.iter().copied()), expected);
        let renamed = shuffled.iter().map(|&(cluster, value)| (names[usize::from(cluster)], value));
        prop_assert_eq!(bootstrap(50).summary(renamed), expected);
    }

    #[test]
    fn intervals_stay_within_the_values(values in samples()) {
        let summary = bootstrap(50).summary(values.iter().copied()).unwrap();
        let least = values.iter().map(|v| v.1).fold(f64::INFINITY, f64::min) - 1e-12;
        let greatest = values.iter().map(|v| v.1).fold(0.0, f64::max) + 1e-12;
        prop_assert!(least <= summary.mean && summary.mean <= greatest);
        if let (Some(low), Some(high)) = (summary.low, summary.high) {
            prop_assert!(least <= low && low <= high && high <= greatest);
        }
        prop_assert_eq!(summary.low.is_some(), summary.clusters > 1);
    }

    #[test]
    fn p_values_are_chances(a in samples(), b in samples()) {
        let pairs = a.iter().zip(&b).map(|(a, b)| (a.0, a.1, b.1));
        let p = bootstrap(50).compare(pairs).unwrap().p;
        prop_assert!(p.is_none_or(|p| (1.0 / 51.0..=1.0).contains(&p)));
    }

    #[test]
    fn holm_keeps_order_and_lies_between_raw_and_bonferroni(p in prop::collection::vec(0.0..=1.0f64, 0..12)) {
        let adjusted = holm(&p);
        let bonferroni = p.len() as f64;
        for (i, (raw, adjusted_i)) in p.iter().zip(&adjusted).enumerate() {
            prop_assert!(raw <= adjusted_i && *adjusted_i <= (raw * bonferroni).min(1.0));
            prop_assert!((0..p.len()).all(|j| p[j] > *raw || adjusted[j] <= *adjusted_i), "{i}");
        }
    }
}
