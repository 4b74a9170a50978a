//! The greedy order of regions by what they say alone and what is lost without them.

use medfocus_plugin_api::{Error, Result, choices};

choices! {
    /// What of an order is a region's heat.
    pub enum Gains {
        /// How much G changes from this region on, itself included.
        Remaining = "remaining",
        /// How much it changes after this region, as in the published code: one that says all by itself leaves no heat.
        Published = "published",
    }
}

/// The target on two images that are complementary in a set S of regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// s(S): only S is shown.
    pub alone: f64,
    /// s(V - S): all but S is shown.
    pub without: f64,
}

impl Pair {
    /// G(S) = s(S) - s(V - S): how sufficient and how necessary S is, in one.
    pub fn gain(self) -> f64 {
        self.alone - self.without
    }

    /// The pair of V - S.
    fn complement(self) -> Self {
        Self {
            alone: self.without,
            without: self.alone,
        }
    }
}

/// How the order is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Images that may be scored; a set costs two.
    pub budget: usize,
    /// Every so many rounds all remaining regions are ranked anew.
    pub update_step: usize,
    /// In between only so many of the best ranked are tried.
    pub search_scope: usize,
    /// So many of the last ranked are tried for the order's far end; 0 fills it from the front alone.
    pub pending: usize,
}

/// The regions of V in order, the most useful first.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Every region once.
    pub regions: Vec<usize>,
    /// Number of regions from the first, and the pair of these, from none of them to all. Where the budget did not last, some are
    /// skipped, and the regions between two points are in the order of the last ranking.
    pub points: Vec<(usize, Pair)>,
}

impl Order {
    /// Regions whose place the search settled.
    pub fn settled(&self) -> usize {
        let steps = self.points.windows(2).map(|ends| ends[1].0 - ends[0].0);
        steps.filter(|&regions| regions == 1).count()
    }

    /// The heat of each region: from the first to the last it falls by |change of G|. Regions between two points share one.
    pub fn heat(&self, gains: Gains) -> Vec<f64> {
        let mut heat = vec![0.0; self.regions.len()];
        let mut after = 0.0;
        for ends in self.points.windows(2).rev() {
            let [(first, with_none), (end, with_all)] = [ends[0], ends[1]];
            let from = after + (with_all.gain() - with_none.gain()).abs();
            for &region in &self.regions[first..end] {
                heat[region] = match gains {
                    Gains::Remaining => from,
                    Gains::Published => after,
                };
            }
            after = from;
        }
        heat
    }
}

impl Search {
    /// Images that the first ranking of `count` regions needs, the whole image and none of it among them.
    pub fn least(count: usize) -> usize {
        2 * count + 2
    }

    /// The order of regions `0..count`. `score` gives the pair of each of several sets of regions.
    ///
    /// Each round adds to the front the region that gives the front's G the highest value, and to the far end the one that gives
    /// the far end's G the lowest: as G(V - S) = -G(S), that is the region whose removal keeps G of the rest highest. Of equal
    /// ones the better ranked goes to the front. The last region is where it is left.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the budget is below [`least`](Self::least), and what `score` fails with.
    pub fn order(
        &self,
        count: usize,
        mut score: impl FnMut(&[Vec<usize>]) -> Result<Vec<Pair>>,
    ) -> Result<Order> {
        let least = Self::least(count);
        if self.budget < least {
            return Err(Error::invalid(format!(
                "parameter `budget`: {} images do not suffice to rank {count} regions once, which takes {least}",
                self.budget
            ))
            .with_key("budget")
            .with_hint("raise it, or let there be fewer `cells`"));
        }
        let nothing = score(&[Vec::new()])?[0];
        let mut left = self.budget - 2;
        // The pairs of an end with each candidate; nothing where the budget does not last for them.
        let mut tried = |end: &[usize], candidates: &[usize]| -> Result<Option<Vec<Pair>>> {
            let Some(rest) = left.checked_sub(2 * candidates.len()) else {
                return Ok(None);
            };
            left = rest;
            let with = |&region: &usize| end.iter().copied().chain([region]).collect();
            let sets: Vec<Vec<usize>> = candidates.iter().map(with).collect();
            score(&sets).map(Some)
        };

        let mut ranking: Vec<usize> = (0..count).collect();
        let (mut front, mut back) = (Vec::new(), Vec::new());
        let (mut points, mut far_points) = (vec![(0, nothing)], Vec::new());
        for round in 0.. {
            if ranking.len() < 2 {
                break;
            }
            let anew = round % self.update_step == 0;
            let reach = if anew { count } else { self.search_scope };
            let Some(mut pairs) = tried(&front, &ranking[..reach.min(ranking.len())])? else {
                break;
            };
            if anew {
                let mut ranked: Vec<_> = ranking.iter().copied().zip(pairs).collect();
                ranked.sort_by(|(_, a), (_, b)| b.gain().total_cmp(&a.gain()));
                (ranking, pairs) = ranked.into_iter().unzip();
            }
            let best = highest(pairs.iter().map(|pair| pair.gain()));
            front.push(ranking.remove(best));
            points.push((front.len(), pairs[best]));
            if ranking.len() < 2 || self.pending == 0 {
                continue;
            }
            let last = if back.is_empty() {
                // By itself it was just ranked.
                (ranking.len() - 1, pairs[pairs.len() - 1])
            } else {
                let from = ranking.len().saturating_sub(self.pending);
                let Some(pairs) = tried(&back, &ranking[from..])? else {
                    break;
                };
                let worst = highest(pairs.iter().map(|pair| -pair.gain()));
                (from + worst, pairs[worst])
            };
            back.push(ranking.remove(last.0));
            far_points.push((count - back.len(), last.1.complement()));
        }
        points.extend(far_points.into_iter().rev());
        points.push((count, nothing.complement()));
        front.extend(ranking);
        front.extend(back.into_iter().rev());
        Ok(Order {
            regions: front,
            points,
        })
    }
}

/// Where the highest value is; the first of equal ones.
fn highest(values: impl Iterator<Item = f64>) -> usize {
    let better = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    values.enumerate().reduce(better).map_or(0, |(at, _)| at)
}
