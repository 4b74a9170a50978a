//! Where the answer's rows and the image's columns lie in an attention map.

use std::ops::Range;

use medfocus_attribution::token_heat;
use medfocus_plugin_api::{Context, Error, HeatMap, Layout, Result, Tensor, choices};
use ndarray::{Array1, Array2};

choices! {
    /// Which row of an attention map stands for a token of the answer.
    pub enum Rows {
        /// The row before the token, which predicts it.
        Predicting = "predicting",
        /// The token's own row, as the published code reads: it leaves out what predicts the first token, and the last one predicts nothing.
        Published = "published",
    }
}

/// The rows and columns of one sequence, checked to lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Tokens of the sequence, S.
    pub length: usize,
    /// Rows and columns of image tokens: (gh, gw).
    pub grid: (usize, usize),
    /// Columns of the image tokens, row by row over the grid.
    pub image: Vec<usize>,
    /// One row for each of the answer's T tokens.
    pub rows: Range<usize>,
}

impl Places {
    /// Takes the places out of a model's layout.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if the layout contradicts itself.
    pub fn new(layout: &Layout, rows: Rows) -> Result<Self> {
        let length = layout.input_ids.len();
        let image = &layout.image_positions;
        let (height, width) = layout.grid;
        if image.is_empty() || image.len() as u64 != u64::from(height) * u64::from(width) {
            return Err(Error::protocol(format!(
                "the model gave {} image tokens for a grid of {height} x {width}",
                image.len()
            )));
        }
        if let Some(position) = image.iter().find(|&&position| position >= length) {
            return Err(Error::protocol(format!(
                "the layout places an image token at {position} of a sequence of {length}"
            )));
        }
        let answer = &layout.answer;
        // No token predicts the first of a sequence, so no answer begins there.
        if answer.start == 0 || answer.is_empty() || answer.end > length {
            return Err(Error::protocol(format!(
                "the layout places the answer at {} to {} of a sequence of {length}",
                answer.start, answer.end
            )));
        }
        Ok(Self {
            length,
            grid: (height as usize, width as usize),
            image: image.clone(),
            rows: match rows {
                Rows::Predicting => layout.predicting_rows(),
                Rows::Published => answer.clone(),
            },
        })
    }

    /// The rows of some of the answer's tokens, which are counted from its first.
    pub fn rows_of(&self, tokens: Range<usize>) -> Range<usize> {
        self.rows.start + tokens.start..self.rows.start + tokens.end
    }

    /// Weight 1 spread evenly over these rows: (S).
    pub fn uniform(&self, rows: Range<usize>) -> Array1<f64> {
        let share = 1.0 / rows.len() as f64;
        Array1::from_shape_fn(self.length, |q| if rows.contains(&q) { share } else { 0.0 })
    }

    /// The image tokens' columns of a row vector: (gh gw).
    pub fn columns(&self, row: &Array1<f64>) -> Array1<f64> {
        self.image.iter().map(|&k| row[k]).collect()
    }

    /// The image tokens' columns of the mean of a map's `rows`: (gh gw). `map` gives the value of a row and column.
    pub fn mean_of(&self, rows: Range<usize>, map: impl Fn(usize, usize) -> f64) -> Array1<f64> {
        let count = rows.len() as f64;
        let mean = |&k: &usize| rows.clone().map(|q| map(q, k)).sum::<f64>() / count;
        self.image.iter().map(mean).collect()
    }

    /// The heat map of the image tokens' values (gh gw).
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if a value is not finite or there is not one for each token.
    pub fn heat(&self, columns: &Array1<f64>) -> Result<HeatMap> {
        let values = columns.iter().map(|&value| value as f32).collect();
        let grid = Array2::from_shape_vec(self.grid, values)
            .map_err(|error| Error::invalid(format!("a map does not fill the grid: {error}")))?;
        HeatMap::from_grid(grid.view())
    }

    /// A heat map of each token's image columns (gh gw), stacked: (T, 224, 224).
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`] between tokens, and whatever `columns` fails with.
    pub fn token_heat(
        &self,
        context: &Context,
        columns: impl Fn(usize) -> Result<Array1<f64>>,
    ) -> Result<Tensor> {
        let count = self.rows.len();
        token_heat(count, |t| {
            context.step(t as u64, count as u64, "maps of tokens")?;
            self.heat(&columns(t)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn layout() -> Layout {
        Layout::new(vec![0; 9], vec![3, 1], (2, 1), 6..8, vec![])
    }

    #[test]
    fn rows_are_those_of_the_tokens() {
        let predicting = Places::new(&layout(), Rows::Predicting).unwrap();
        assert_eq!(predicting.rows, 5..7);
        assert_eq!(predicting.rows_of(1..2), 6..7);
        let published = Places::new(&layout(), Rows::Published).unwrap();
        assert_eq!(published.rows, 6..8);
        let row = published.uniform(published.rows.clone());
        assert_eq!(row, array![0., 0., 0., 0., 0., 0., 0.5, 0.5, 0.]);
    }

    #[test]
    fn columns_follow_the_grid_not_the_sequence() {
        let places = Places::new(&layout(), Rows::Published).unwrap();
        let row = Array1::from_shape_fn(9, |k| k as f64);
        assert_eq!(places.columns(&row), array![3.0, 1.0]);
        // Rows 6 and 7: the mean of 10 q + k.
        let mean = places.mean_of(6..8, |q, k| (10 * q + k) as f64);
        assert_eq!(mean, array![68.0, 66.0]);
    }

    #[test]
    fn a_faint_map_is_as_clear_as_a_strong_one() {
        let places = Places::new(&layout(), Rows::Predicting).unwrap();
        let strong = places.heat(&array![0.25, 0.5]).unwrap();
        let faint = places.heat(&array![0.25e-12, 0.5e-12]).unwrap();
        let apart = (&strong.view() - &faint.view()).mapv(f32::abs);
        assert!(apart.iter().all(|&difference| difference < 1e-6));
        assert!((strong.view()[(223, 0)] - 1.0).abs() < 1e-6);
        assert!(places.heat(&array![0.0, 0.0]).unwrap().is_zero());
        assert!(places.heat(&array![0.1, 0.1]).unwrap().is_zero());
        assert!(places.heat(&array![0.1]).is_err());
    }
}
