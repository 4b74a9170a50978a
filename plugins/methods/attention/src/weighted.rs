//! One layer's attention, weighted by its gradient.

use std::ops::Range;

use medfocus_plugin_api::{Result, Trace, Want, Wrt};
use ndarray::{Array1, ArrayView3, Axis, Ix3, Zip};

use crate::capture::read;
use crate::{Layer, Places};

/// A and dL/dA of one layer, (heads, S, S) each.
pub(crate) struct Weighted<'a> {
    attention: ArrayView3<'a, f32>,
    gradient: ArrayView3<'a, f32>,
    /// The heads that are read.
    heads: Range<usize>,
}

impl<'a> Weighted<'a> {
    /// What a trace must hold for [`Weighted::read`].
    pub fn wants(layer: i64) -> [Want; 2] {
        [
            Want::Attention { layer, heads: true },
            Want::Gradient(Wrt::Attention { layer }),
        ]
    }

    /// Those of a layer over `length` tokens.
    pub fn read(trace: &'a Trace, layer: &Layer, length: usize) -> Result<Self> {
        let [attention, gradient] = Self::wants(layer.number)
            .map(|want| read(trace, want, Ix3(layer.count, length, length)));
        Ok(Self {
            attention: attention?,
            gradient: gradient?,
            heads: layer.heads.clone(),
        })
    }

    /// The image columns of the mean over heads and `rows` of relu(dL/dA) A: (gh gw).
    pub fn columns(&self, places: &Places, rows: Range<usize>) -> Array1<f64> {
        places.mean_of(rows, |q, k| {
            let of_head = |h: usize| {
                f64::from(self.gradient[(h, q, k)]).max(0.0) * f64::from(self.attention[(h, q, k)])
            };
            self.heads.clone().map(of_head).sum::<f64>() / self.heads.len() as f64
        })
    }

    /// r^T (Id + W), W the mean over heads of relu(dL/dA) A: (S) to (S). W is never formed.
    pub fn carry(&self, r: &Array1<f64>) -> Array1<f64> {
        let mut carried = r.clone();
        for h in self.heads.clone() {
            let maps = [&self.attention, &self.gradient].map(|map| map.index_axis(Axis(0), h));
            for (q, share) in r.iter().enumerate().filter(|(_, share)| **share != 0.0) {
                let share = share / self.heads.len() as f64;
                Zip::from(&mut carried)
                    .and(maps[0].row(q))
                    .and(maps[1].row(q))
                    .for_each(|sum, &a, &g| *sum += share * f64::from(g).max(0.0) * f64::from(a));
            }
        }
        carried
    }

    /// Whether no gradient reaches these rows at any image token.
    pub fn is_flat(&self, places: &Places, rows: Range<usize>) -> bool {
        let mut read = self.heads.clone().flat_map(|h| {
            let rows = rows.clone();
            rows.flat_map(move |q| places.image.iter().map(move |&k| self.gradient[(h, q, k)]))
        });
        read.all(|g| g == 0.0)
    }
}
