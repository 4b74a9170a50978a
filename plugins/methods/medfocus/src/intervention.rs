//! What the answer loses with a concept.

use std::ops::Range;

use medfocus_attribution::COMPOSITES;
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{GrayImage, Result, choices};
use ndarray::{Array2, ArrayView2, Zip, s};

use crate::region::Region;

choices! {
    /// Which pixels of a concept are replaced.
    pub enum Intervention {
        /// Its box.
        Box = "box",
        /// Its region.
        Mask = "mask",
    }
}

choices! {
    /// What a token's log-probability loses.
    pub enum Drop {
        /// max(0, log p(image) - log p(image without)).
        Clipped = "clipped",
        /// The difference itself.
        Signed = "signed",
    }
}

choices! {
    /// How the drops of an answer's tokens become one number.
    pub enum Delta {
        /// Their sum, which grows with the answer.
        Sum = "sum",
        /// Their mean.
        Mean = "mean",
    }
}

/// A concept, or several together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The concept's or the composite's name.
    pub name: &'static str,
    /// Places in [`CONCEPTS`].
    pub members: Vec<usize>,
}

/// The concepts that have a region, then, if wanted, the composites of which all members have one.
pub fn candidates(regions: &[Option<Region>], composites: bool) -> Vec<Candidate> {
    let single = CONCEPTS
        .iter()
        .enumerate()
        .map(|(c, name)| (*name, vec![c]));
    let together = COMPOSITES
        .iter()
        .map(|(name, members)| (*name, members.to_vec()));
    single
        .chain(together.filter(|_| composites))
        .filter(|(_, members)| members.iter().all(|&c| regions[c].is_some()))
        .map(|(name, members)| Candidate { name, members })
        .collect()
}

impl Intervention {
    /// The pixels that are replaced for these regions.
    pub fn pixels<'a>(
        self,
        dim: (usize, usize),
        regions: impl IntoIterator<Item = &'a Region>,
    ) -> Array2<bool> {
        let mut pixels = Array2::from_elem(dim, false);
        for region in regions {
            match self {
                Self::Mask => pixels.zip_mut_with(&region.inside, |all, &here| *all |= here),
                Self::Box => {
                    let [x1, y1, x2, y2] = region.bbox.corners().map(|c| c as usize);
                    pixels.slice_mut(s![y1..y2, x1..x2]).fill(true);
                }
            }
        }
        pixels
    }
}

/// The image with some pixels of another.
///
/// # Errors
///
/// None for an image that has pixels.
pub fn replaced(image: &GrayImage, by: &GrayImage, pixels: &Array2<bool>) -> Result<GrayImage> {
    GrayImage::from_array(
        Zip::from(image.view())
            .and(by.view())
            .and(pixels)
            .map_collect(|&here, &there, &replace| if replace { there } else { here }),
    )
}

/// What each candidate's absence costs the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Effects {
    /// d_{c,t}: (candidates, tokens).
    pub drops: Array2<f64>,
    /// Delta_c: over the chosen tokens.
    pub deltas: Vec<f64>,
}

impl Effects {
    /// The effects, given the tokens' log-probabilities on the image itself and then without each candidate
    /// (1 + candidates, tokens).
    pub fn of(
        log_probs: ArrayView2<'_, f32>,
        chosen: Range<usize>,
        drop: Drop,
        delta: Delta,
    ) -> Self {
        let log_probs = log_probs.mapv(f64::from);
        let mut drops = &log_probs.row(0) - &log_probs.slice(s![1.., ..]);
        if drop == Drop::Clipped {
            drops.mapv_inplace(|drop| drop.max(0.0));
        }
        let count = chosen.len() as f64;
        let sums = drops.slice(s![.., chosen]).sum_axis(ndarray::Axis(1));
        let deltas = match delta {
            Delta::Sum => sums,
            Delta::Mean => sums / count,
        };
        Self {
            drops,
            deltas: deltas.to_vec(),
        }
    }

    /// r_c = exp(-Delta_c): how much of the answer's probability is left.
    pub fn ratio(&self, candidate: usize) -> f64 {
        (-self.deltas[candidate]).exp()
    }

    /// The candidate of the largest effect, the first of several; nothing if there is none.
    pub fn strongest(&self) -> Option<usize> {
        let deltas = self.deltas.iter().enumerate();
        let strongest = deltas.reduce(|best, next| if next.1 > best.1 { next } else { best });
        strongest.map(|(candidate, _)| candidate)
    }

    /// The smallest candidate whose effect is at least this share of the largest, by the candidates' `sizes`; of equally
    /// small ones the strongest. A region that holds another seldom has the smaller effect, so that without this
    /// the largest regions win. Nothing if there is no candidate.
    pub fn smallest(&self, share: f64, sizes: &[usize]) -> Option<usize> {
        let most = self.deltas[self.strongest()?];
        let enough = if most > 0.0 { share * most } else { most };
        let reaching = (0..self.deltas.len()).filter(|&c| self.deltas[c] >= enough);
        reaching.min_by(|&a, &b| {
            let strength = self.deltas[b].total_cmp(&self.deltas[a]);
            sizes[a].cmp(&sizes[b]).then(strength)
        })
    }
}

/// Paints each candidate's value on its pixels, the largest where they overlap; negative values count as 0.
pub fn paint<'a>(
    dim: (usize, usize),
    values: impl IntoIterator<Item = (f64, &'a Array2<bool>)>,
) -> Array2<f32> {
    let mut painted = Array2::zeros(dim);
    for (value, pixels) in values {
        painted.zip_mut_with(pixels, |most: &mut f32, &inside| {
            if inside {
                *most = most.max(value as f32);
            }
        });
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_plugin_api::BBox;
    use ndarray::array;

    fn region(x1: u32, x2: u32) -> Region {
        // An L in a box of two rows.
        let inside = Array2::from_shape_fn((3, 6), |(y, x)| {
            (x1..x2).contains(&(x as u32)) && (y == 1 || y == 0 && x as u32 == x1)
        });
        let whole = BBox::whole(6, 3).unwrap();
        Region::within(inside, &whole).unwrap()
    }

    #[test]
    fn boxes_and_masks_are_replaced() {
        let image = GrayImage::from_array(Array2::from_elem((3, 6), 9)).unwrap();
        let by = GrayImage::from_array(Array2::zeros((3, 6))).unwrap();
        let regions = [region(0, 2), region(3, 5)];
        let without = |intervention: Intervention| {
            let pixels = intervention.pixels((3, 6), &regions);
            replaced(&image, &by, &pixels).unwrap().view().to_owned()
        };
        let (o, i) = (0, 9);
        assert_eq!(
            without(Intervention::Box),
            array![[o, o, i, o, o, i], [o, o, i, o, o, i], [i, i, i, i, i, i]]
        );
        assert_eq!(
            without(Intervention::Mask),
            array![[o, i, i, o, i, i], [o, o, i, o, o, i], [i, i, i, i, i, i]]
        );
    }

    #[test]
    fn drops_follow_their_definition() {
        let log_probs = array![[-0.5f32, -1.0], [-1.5, -0.5], [-0.5, -1.25]];
        let of = |drop, delta| Effects::of(log_probs.view(), 0..2, drop, delta);
        let clipped = of(Drop::Clipped, Delta::Sum);
        assert_eq!(clipped.drops, array![[1.0, 0.0], [0.0, 0.25]]);
        assert_eq!(clipped.deltas, [1.0, 0.25]);
        assert_eq!(
            (clipped.strongest(), clipped.ratio(0)),
            (Some(0), (-1.0f64).exp())
        );
        assert_eq!(of(Drop::Signed, Delta::Sum).deltas, [0.5, 0.25]);
        assert_eq!(of(Drop::Clipped, Delta::Mean).deltas, [0.5, 0.125]);
        let second = Effects::of(log_probs.view(), 1..2, Drop::Signed, Delta::Mean);
        assert_eq!(second.deltas, [-0.5, 0.25]);
        assert_eq!(second.strongest(), Some(1));
        let alone = log_probs.slice(s![..1, ..]);
        assert_eq!(
            Effects::of(alone, 0..2, Drop::Clipped, Delta::Sum).strongest(),
            None
        );
    }

    #[test]
    fn the_smallest_region_that_explains_enough_wins() {
        let effects = |deltas: &[f64]| Effects {
            drops: Array2::zeros((deltas.len(), 1)),
            deltas: deltas.to_vec(),
        };
        let of = effects(&[1.0, 0.8, 0.5, 0.8]);
        let sizes = [40, 20, 5, 20];
        assert_eq!(of.smallest(1.0, &sizes), Some(0), "the published choice");
        assert_eq!(of.smallest(0.8, &sizes), Some(1));
        assert_eq!(of.smallest(0.5, &sizes), Some(2));
        assert_eq!(effects(&[0.5, 0.6]).smallest(0.1, &[7, 7]), Some(1));
        assert_eq!(effects(&[-0.5, -0.2]).smallest(0.7, &[1, 9]), Some(1));
        assert_eq!(effects(&[]).smallest(0.7, &[]), None);
    }

    #[test]
    fn composites_need_all_members() {
        let mut regions = vec![None; CONCEPTS.len()];
        regions[1] = Some(region(0, 2));
        regions[5] = Some(region(0, 2));
        regions[6] = Some(region(3, 5));
        let names = |composites| -> Vec<_> {
            let all = candidates(&regions, composites);
            all.into_iter().map(|c| c.name).collect()
        };
        let alone = ["left lung", "left clavicle", "right clavicle"];
        assert_eq!(names(false), alone);
        assert_eq!(names(true), [&alone[..], &["clavicles"]].concat());
    }

    #[test]
    fn the_largest_value_is_on_top() {
        let (left, right) = (array![[true, true, false]], array![[false, true, true]]);
        let painted = paint((1, 3), [(2.0, &left), (1.0, &right), (-1.0, &left)]);
        assert_eq!(painted, array![[2.0, 2.0, 1.0]]);
    }
}
