//! Attention through all layers: one step of it, and the way from the answer to the image.

use std::ops::Range;

use medfocus_attribution::Target;
use medfocus_plugin_api::{
    Attribution, Context, Objective, Result, Task, Trace, VisionLanguageModel, Want,
};
use ndarray::{Array1, ArrayView2, Axis, Ix2, Zip};
use serde_json::{Map, json};

use crate::capture::{read, request};
use crate::{Places, Rows};

/// How a layer mixes its tokens, the residual connection included (Abnar and Zuidema, ACL 2020, section 3):
/// M = A + Id with each row divided by its sum, A the mean of the heads' maps. M is never formed.
#[derive(Clone, Debug)]
pub struct Mixing<'a> {
    /// A: (S, S).
    map: ArrayView2<'a, f32>,
    /// The sums of the rows of A + Id: (S).
    sums: Array1<f64>,
}

impl<'a> Mixing<'a> {
    /// What a trace must hold for [`Mixing::read`].
    pub fn wants(depth: usize) -> Vec<Want> {
        let want = |layer| Want::Attention {
            layer: layer as i64,
            heads: false,
        };
        (0..depth).map(want).collect()
    }

    /// M of each of `depth` layers over `length` tokens, in the model's order.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`](medfocus_plugin_api::Error::protocol) if a map was left out, has another shape or holds
    /// what is no weight.
    pub fn read(trace: &'a Trace, depth: usize, length: usize) -> Result<Vec<Self>> {
        Self::wants(depth)
            .into_iter()
            .map(|want| Ok(Self::new(read(trace, want, Ix2(length, length))?)))
            .collect()
    }

    /// M of the heads' mean map (S, S).
    pub fn new(map: ArrayView2<'a, f32>) -> Self {
        let sum = |row: ndarray::ArrayView1<'_, f32>| {
            1.0 + row.iter().map(|&a| f64::from(a)).sum::<f64>()
        };
        Self {
            sums: map.map_axis(Axis(1), sum),
            map,
        }
    }

    /// r^T M, which is M^T r: (S) to (S), in S^2 multiplications.
    pub fn carry(&self, r: &Array1<f64>) -> Array1<f64> {
        let shares = r / &self.sums;
        let mut carried = shares.clone();
        for (row, &share) in self.map.rows().into_iter().zip(&shares) {
            Zip::from(&mut carried)
                .and(row)
                .for_each(|sum, &a| *sum += share * f64::from(a));
        }
        carried
    }
}

/// Follows attention from the answer through all layers; methods differ in the walk.
pub(crate) struct Propagation<'a> {
    pub context: &'a Context,
    pub task: &'a Task,
    pub target: &'a Target,
    /// Which row stands for a token of the answer.
    pub rows: Rows,
    /// What is left of a vector (S), spread over the answer's rows, after all layers, which come in the model's order.
    pub walk: fn(&[Mixing<'_>], Array1<f64>) -> Array1<f64>,
}

impl Propagation<'_> {
    /// The answer's map, and with `per_token` each token's, of one trace.
    pub fn explain(&self, per_token: bool) -> Result<Attribution> {
        let model = self.context.model();
        let depth = model.info()?.layers.len();
        let trace = model.trace(&request(
            self.task,
            self.target.span,
            Mixing::wants(depth),
            Objective::default(),
        ))?;
        let places = Places::new(&trace.layout, self.rows)?;
        let tokens = self.target.chosen(places.rows.len())?;
        let rows = places.rows_of(tokens.clone());

        let layers = Mixing::read(&trace, depth, places.length)?;
        let columns_of = |tokens: Range<usize>| {
            let start = places.uniform(places.rows_of(tokens));
            places.columns(&(self.walk)(&layers, start))
        };
        let columns = columns_of(tokens);
        let each = || places.token_heat(self.context, |t| Ok(columns_of(t..t + 1)));
        let heat = places.heat(&columns)?;
        let empty = "the answer reaches all image tokens alike: the map is empty";
        Ok(Attribution {
            token_heat: per_token.then(each).transpose()?,
            evidence: Map::from_iter([
                ("layers".into(), json!(depth)),
                ("rows".into(), json!([rows.start, rows.end])),
                ("image_share".into(), json!(columns.sum())),
            ]),
            warnings: heat.is_zero().then(|| empty.into()).into_iter().collect(),
            heat: Some(heat),
            ..Attribution::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_step_is_the_row_vector_times_the_matrix() {
        let map = array![[1.0f32, 0.0], [0.75, 0.25]];
        // Id + A = [[2, 0], [0.75, 1.25]], each row over 2.
        let found = Mixing::new(map.view()).carry(&array![0.5, 0.5]);
        assert_eq!(found, array![0.5 + 0.1875, 0.3125]);
        let transposed = Mixing::new(map.t()).carry(&array![0.0, 1.0]);
        assert_eq!(transposed, array![0.0, 1.0], "row 1 of A^T is (0, 0.25)");
    }

    #[test]
    fn a_row_without_attention_keeps_what_it_has() {
        let map = array![[0.0f32, 0.0], [0.5, 0.5]];
        let found = Mixing::new(map.view()).carry(&array![1.0, 0.0]);
        assert_eq!(found, array![1.0, 0.0]);
    }
}
