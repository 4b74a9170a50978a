//! Where the concepts lie in an image: references are chosen and their masks carried over.

use medfocus_attribution::WORKING_DIM;
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{BBox, Error, Result, SampleKey, WORKING_SIDE, Working, choices};
use ndarray::{Array2, ArrayView2};

use crate::{
    align::{Alignment, align},
    pool::Pool,
    reference::{Features, Reference},
    region::Region,
    transport::{Convergence, Plan, Sinkhorn, heaviest},
    warp::{Displacement, Scaling},
};

choices! {
    /// How a reference's masks are carried over to the target.
    pub enum Transfer {
        /// Pixels that lie in the mask when the reference is moved to look most like the target: from the transport's
        /// shift and zoom on, to where their local contrasts correlate best. The references that then look most alike
        /// vote, not the cheapest.
        Aligned = "aligned",
        /// Pixels that a shift and a zoom, fitted to the barycentric map, take into the mask.
        Affine = "affine",
        /// Pixels that the barycentric map takes into the mask.
        Barycentric = "barycentric",
        /// Cells that together receive the fraction `quantile` of the mask's mass, heaviest first.
        Mass = "mass",
        /// The same cells, each standing for the one pixel nearest to its corner, as in the published code: for a step of 4
        /// pixels, regions end 3 pixels early.
        Published = "published",
        /// Pixels of the mask as it lies in the reference: no transport, a control.
        Copy = "copy",
    }
}

/// How concepts are localised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Localisation {
    /// The transport that references are aligned from, or ranked by if masks are not [aligned](Transfer::Aligned).
    pub selection: Sinkhorn,
    /// The transport that carries masks over, if they are not aligned.
    pub transport: Sinkhorn,
    /// How masks are carried over.
    pub transfer: Transfer,
    /// Whether the barycentric map is freed of the entropy's pull.
    pub debias: bool,
    /// References that vote.
    pub references: usize,
    /// Of what a mask sends, the fraction that its region must receive, if it goes by mass.
    pub quantile: f64,
}

/// What is reported of a transport.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transported {
    /// Sum of P C, in squared pixels of the working image.
    pub cost: f64,
    /// Sum of P.
    pub mass: f64,
    /// How the iterations ended.
    pub convergence: Convergence,
}

impl Transported {
    fn of(plan: &Plan) -> Self {
        let side = f64::from(WORKING_SIDE) / plan.dim().0 as f64;
        Self {
            cost: plan.cost() * side.powi(2),
            mass: plan.mass(),
            convergence: plan.convergence,
        }
    }
}

/// A reference beside the image.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its place in the pool.
    pub reference: usize,
    /// Its transport to the image on the grid of the selection.
    pub transport: Transported,
    /// Where it looks most like the image, sought from that transport on, and how alike they then are.
    pub alignment: Alignment,
}

/// Where the concepts lie.
#[derive(Clone, Debug)]
pub struct Anatomy {
    /// Each concept of [`CONCEPTS`], where a chosen reference shows it inside the image.
    pub regions: [Option<Region>; CONCEPTS.len()],
    /// The whole pool, best first; the first `references` of them voted.
    pub ranking: Vec<Match>,
    /// The transports of those that voted, in that order; none if their masks were copied.
    pub transports: Vec<Transported>,
}

/// Ranks references, the sample itself left out: if masks are [aligned](Transfer::Aligned), by likeness, otherwise by the
/// cost of transport to the image.
///
/// # Errors
///
/// As [`Sinkhorn::solve`](crate::transport::Sinkhorn::solve), and [`Error::invalid`] if no reference is left.
pub fn rank(
    target: &Features,
    references: &[Reference],
    own: Option<&SampleKey>,
    how: &Localisation,
) -> Result<Vec<Match>> {
    let itself = || how.selection.solve(&target.coarse, &target.coarse);
    let to_itself = how.debias.then(itself).transpose()?;
    let others = references.iter().enumerate();
    let mut ranking = others
        .filter(|(_, reference)| Some(&reference.key) != own)
        .map(|(i, reference)| {
            let source = &reference.features;
            let plan = how.selection.solve(&source.coarse, &target.coarse)?;
            let guess = Scaling::of(&plan, to_itself.as_ref());
            Ok(Match {
                reference: i,
                transport: Transported::of(&plan),
                alignment: align(&source.contrast, &target.contrast, &guess),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if ranking.is_empty() {
        return Err(
            Error::invalid("the pool holds no reference but the sample itself")
                .with_hint("fill the slot `pool` with other images"),
        );
    }
    ranking.sort_by(|a, b| match how.transfer {
        Transfer::Aligned => b.alignment.likeness.total_cmp(&a.alignment.likeness),
        _ => a.transport.cost.total_cmp(&b.transport.cost),
    });
    Ok(ranking)
}

/// Finds the concepts in the part of an image that is not padding.
///
/// # Errors
///
/// As [`rank`].
pub fn localise(
    target: &Features,
    content: &BBox<Working>,
    pool: &Pool,
    own: Option<&SampleKey>,
    how: &Localisation,
) -> Result<Anatomy> {
    let ranking = rank(target, &pool.references, own, how)?;
    let maps = matches!(how.transfer, Transfer::Affine | Transfer::Barycentric);
    let to_itself = (maps && how.debias)
        .then(|| how.transport.solve(&target.fine, &target.fine))
        .transpose()?;
    let mut votes = Votes::default();
    let mut transports = Vec::new();
    for chosen in ranking.iter().take(how.references) {
        let reference = &pool.references[chosen.reference];
        let mut plan = || -> Result<Plan> {
            let plan = how
                .transport
                .solve(&reference.features.fine, &target.fine)?;
            transports.push(Transported::of(&plan));
            Ok(plan)
        };
        let warp = match how.transfer {
            Transfer::Aligned => {
                transports.push(chosen.transport);
                let (from, to) = (&reference.features.contrast, &target.contrast);
                chosen.alignment.bend(from, to).warp()
            }
            Transfer::Affine => Scaling::of(&plan()?, to_itself.as_ref()).warp(),
            Transfer::Barycentric => Displacement::barycentric(&plan()?, to_itself.as_ref()).warp(),
            Transfer::Mass | Transfer::Published => {
                let cells = by_mass(reference, &plan()?, how.quantile);
                let carried = match how.transfer {
                    Transfer::Published => corners(&cells),
                    _ => filled(&cells),
                };
                votes.add(reference, carried.view());
                continue;
            }
            Transfer::Copy => {
                votes.add(reference, reference.concepts.view());
                continue;
            }
        };
        votes.add(reference, warp.pull(reference.concepts.view()).view());
    }
    Ok(Anatomy {
        regions: std::array::from_fn(|c| Region::within(votes.region(c), content)),
        ranking,
        transports,
    })
}

/// The concepts of each cell as bits: those of whose mass it is among the heaviest receivers.
fn by_mass(reference: &Reference, plan: &Plan, quantile: f64) -> Array2<u16> {
    let mut concepts = Array2::<u16>::zeros(plan.dim());
    for (c, shares) in reference.cells.iter().enumerate() {
        if let Some(shares) = shares {
            let kept = heaviest(plan.transfer(shares.view()).view(), quantile);
            concepts.zip_mut_with(&kept, |bits, &kept| *bits |= u16::from(kept) << c);
        }
    }
    concepts
}

/// Each pixel's bits are those of the cell in which its centre lies.
fn filled(cells: &Array2<u16>) -> Array2<u16> {
    let cell = |pixel: usize, cells: usize, pixels: usize| (2 * pixel + 1) * cells / (2 * pixels);
    let (rows, columns) = cells.dim();
    Array2::from_shape_fn(WORKING_DIM, |(y, x)| {
        cells[(
            cell(y, rows, WORKING_DIM.0),
            cell(x, columns, WORKING_DIM.1),
        )]
    })
}

/// Each cell's bits lie on one pixel, that nearest to its upper left corner; the others have none.
fn corners(cells: &Array2<u16>) -> Array2<u16> {
    let corner =
        |cell: usize, cells: usize, pixels: usize| (2 * cell * pixels + cells) / (2 * cells);
    let (rows, columns) = cells.dim();
    let mut pixels = Array2::zeros(WORKING_DIM);
    for ((row, column), &bits) in cells.indexed_iter() {
        let (y, x) = (
            corner(row, rows, WORKING_DIM.0),
            corner(column, columns, WORKING_DIM.1),
        );
        pixels[(y, x)] = bits;
    }
    pixels
}

/// The references' votes on the concepts of each pixel.
struct Votes {
    /// (concepts, pixels).
    counts: Array2<u16>,
    voters: [u16; CONCEPTS.len()],
}

impl Default for Votes {
    fn default() -> Self {
        Self {
            counts: Array2::zeros((CONCEPTS.len(), WORKING_DIM.0 * WORKING_DIM.1)),
            voters: [0; CONCEPTS.len()],
        }
    }
}

impl Votes {
    /// Adds a vote on the concepts that the reference shows.
    fn add(&mut self, reference: &Reference, concepts: ArrayView2<'_, u16>) {
        let mut shown = 0;
        for (c, voters) in self.voters.iter_mut().enumerate() {
            let shows = u16::from(reference.cells[c].is_some());
            *voters += shows;
            shown |= shows << c;
        }
        for (pixel, bits) in concepts.iter().enumerate() {
            let mut bits = bits & shown;
            while bits != 0 {
                self.counts[(bits.trailing_zeros() as usize, pixel)] += 1;
                bits &= bits - 1;
            }
        }
    }

    /// The pixels with the most votes, as many as come nearest to what a voter gives the concept on average. A majority
    /// would leave little of a small concept that voters place side by side.
    fn region(&self, c: usize) -> Array2<bool> {
        let voters = usize::from(self.voters[c]);
        // Pixels with exactly so many votes, where there are some.
        let mut pixels = vec![0u64; voters + 1];
        for &votes in self.counts.row(c).iter().filter(|&&votes| votes > 0) {
            pixels[usize::from(votes)] += 1;
        }
        let given: u64 = (0u64..)
            .zip(&pixels)
            .map(|(votes, pixels)| votes * pixels)
            .sum();
        let area = |least: usize| pixels[least..].iter().sum::<u64>();
        // In voters times pixels, where everything is whole; of equals the stricter.
        let missed = |least: &usize| (area(*least) * voters as u64).abs_diff(given);
        let levels = (1..=voters).rev().filter(|&least| area(least) > 0);
        let least = levels.min_by_key(missed).unwrap_or(1) as u16;
        Array2::from_shape_fn(WORKING_DIM, |(y, x)| {
            self.counts[(c, y * WORKING_DIM.1 + x)] >= least
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region_of(votes: &[[u16; 5]]) -> Vec<usize> {
        let mut all = Votes::default();
        all.voters[0] = votes.len() as u16;
        for vote in votes {
            for (x, &inside) in vote.iter().enumerate() {
                all.counts[(0, x)] += inside;
            }
        }
        let region = all.region(0);
        let inside = region.indexed_iter().filter(|(_, inside)| **inside);
        inside.map(|((_, x), _)| x).collect()
    }

    #[test]
    fn a_region_has_the_voters_area() {
        assert_eq!(region_of(&[[0, 1, 1, 0, 0]]), [1, 2]);
        // 1 + 2 + 3 votes of 2, 2, 2 pixels.
        assert_eq!(
            region_of(&[[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0]]),
            [2, 3]
        );
        // A majority would keep nothing of these.
        assert_eq!(
            region_of(&[[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]),
            [0, 1, 2]
        );
        assert!(region_of(&[]).is_empty());
        assert!(region_of(&[[0; 5], [0; 5]]).is_empty());
    }
}
