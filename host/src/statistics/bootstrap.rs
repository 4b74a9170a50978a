//! The cluster bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
//!
//! Samples of one cluster (one question put to six models, say) are not independent; so whole clusters are drawn, with
//! replacement, as many as there are. The statistic of a resample is the mean over all its values: the ratio of the
//! drawn clusters' sums to their counts.
//!
//! More than [`MOST`] clusters are first put together at random into as many groups of equal size, and groups are drawn: the
//! variance between them is that between clusters (Wolter, Introduction to Variance Estimation, 2007, chapter 2, random
//! groups), known to sqrt(2 / 10,000) = 1.4 % from 10,000 of them. So ten million clusters take no longer than ten thousand.

use medfocus_attribution::Draws;
use serde::{Deserialize, Serialize};

/// So many clusters are drawn one by one.
const MOST: usize = 10_000;

/// How to resample. The same values give the same result, whatever their order and their clusters' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Resamples.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            seed: 0,
        }
    }
}

/// A mean and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Values.
    pub n: usize,
    /// Clusters they come from.
    pub clusters: usize,
    /// Mean over all values.
    pub mean: f64,
    /// Lower end of the 95 % percentile interval; nothing for a single cluster.
    pub low: Option<f64>,
    /// Upper end of it.
    pub high: Option<f64>,
}

/// Two methods on the same samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first less the second.
    pub difference: Summary,
    /// Two-sided p value of no difference; nothing for a single cluster.
    pub p: Option<f64>,
}

impl Bootstrap {
    /// Mean and interval of values, each with its cluster; nothing if there are no values.
    pub fn summary<K: Ord>(&self, values: impl IntoIterator<Item = (K, f64)>) -> Option<Summary> {
        let clusters = Clusters::new(values)?;
        Some(clusters.summary(&self.means(&clusters)))
    }

    /// Compares two methods by the pairs of their values, each with its cluster; nothing if there are no pairs.
    ///
    /// With d the mean difference and d* that of a resample, the p value is the achieved significance level
    /// (b + 1) / (B + 1), b of the B resamples having |d* - d| >= |d|: resamples of the differences shifted to mean
    /// zero, that are at least as far from zero as what was found (Efron and Tibshirani, chapter 16; Davison and
    /// Hinkley, 1997, section 4.2, on the added ones). It is never below 2^(1-n), how often n clusters without any
    /// difference all lean one way: of very few clusters resamples vary too little to say more.
    pub fn compare<K: Ord>(
        &self,
        pairs: impl IntoIterator<Item = (K, f64, f64)>,
    ) -> Option<Comparison> {
        let differences = pairs.into_iter().map(|(cluster, a, b)| (cluster, a - b));
        let clusters = Clusters::new(differences)?;
        let means = self.means(&clusters);
        let found = clusters.mean();
        // A resample as far away as what was found must not be missed by a rounding error.
        let far = found.abs() * (1.0 - 1e-12);
        let beyond = means.iter().filter(|mean| (*mean - found).abs() >= far);
        let p = (beyond.count() + 1) as f64 / (means.len() + 1) as f64;
        let least = 0.5_f64.powi(clusters.0.len() as i32 - 1);
        Some(Comparison {
            difference: clusters.summary(&means),
            p: (!means.is_empty()).then_some(p.max(least)),
        })
    }

    /// The means of all resamples, in ascending order; none for a single cluster, which cannot vary.
    fn means(&self, clusters: &Clusters) -> Vec<f64> {
        let Clusters(clusters) = clusters;
        if clusters.len() < 2 {
            return Vec::new();
        }
        let groups = (clusters.len() > MOST).then(|| self.groups(clusters));
        let clusters = groups.as_ref().unwrap_or(clusters);
        let mut draws = Draws::new(self.seed, 0);
        let mut means: Vec<f64> = (0..self.resamples)
            .map(|_| {
                let (mut sum, mut count) = (0.0, 0);
                for _ in 0..clusters.len() {
                    let drawn = &clusters[draws.below(clusters.len() as u32) as usize];
                    sum += drawn.sum;
                    count += drawn.count;
                }
                sum / count as f64
            })
            .collect();
        means.sort_unstable_by(f64::total_cmp);
        means
    }

    /// The clusters in random groups, [`MOST`] of them.
    fn groups(&self, clusters: &[Cluster]) -> Vec<Cluster> {
        let mut draws = Draws::new(self.seed, 1);
        let mut order: Vec<u32> = (0..clusters.len() as u32).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, draws.below(last as u32 + 1) as usize);
        }
        let place = |group: usize| group * order.len() / MOST;
        let groups = (0..MOST).map(|group| &order[place(group)..place(group + 1)]);
        let group = |members: &[u32]| {
            let members = || members.iter().map(|member| &clusters[*member as usize]);
            Cluster {
                sum: members().map(|cluster| cluster.sum).sum(),
                count: members().map(|cluster| cluster.count).sum(),
            }
        };
        groups.map(group).collect()
    }
}

/// All that a mean needs to know of a cluster.
struct Cluster {
    sum: f64,
    count: usize,
}

/// At least one cluster of at least one value, in an order that names and order of the samples have no part in.
struct Clusters(Vec<Cluster>);

impl Clusters {
    fn new<K: Ord>(values: impl IntoIterator<Item = (K, f64)>) -> Option<Self> {
        let mut values: Vec<(K, f64)> = values.into_iter().collect();
        values.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then(x.total_cmp(y)));
        let mut clusters: Vec<Cluster> = values
            .chunk_by(|(a, _), (b, _)| a == b)
            .map(|values| Cluster {
                sum: values.iter().map(|(_, value)| value).sum(),
                count: values.len(),
            })
            .collect();
        clusters.sort_by(|a, b| a.sum.total_cmp(&b.sum).then(a.count.cmp(&b.count)));
        (!clusters.is_empty()).then_some(Self(clusters))
    }

    fn count(&self) -> usize {
        self.0.iter().map(|cluster| cluster.count).sum()
    }

    fn mean(&self) -> f64 {
        self.0.iter().map(|cluster| cluster.sum).sum::<f64>() / self.count() as f64
    }

    fn summary(&self, means: &[f64]) -> Summary {
        Summary {
            n: self.count(),
            clusters: self.0.len(),
            mean: self.mean(),
            low: quantile(means, 0.025),
            high: quantile(means, 0.975),
        }
    }
}

/// A quantile of ascending values, interpolated linearly.
fn quantile(values: &[f64], at: f64) -> Option<f64> {
    let position = at * values.len().checked_sub(1)? as f64;
    let low = values[position as usize];
    let high = values[position.ceil() as usize];
    Some(low + (high - low) * position.fract())
}
