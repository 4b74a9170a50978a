//! Where in a sequence each of its tokens would be said, and what of it is the token's own.

use std::ops::Range;

use medfocus_plugin_api::{Error, Layout, Result, Trace, Want};
use ndarray::{Array1, Array2, ArrayView2, Ix2};

use crate::rank_filter::rank_gaussian;

/// The activations A_k(p) = relu(logit of token k where position p predicts) of one sequence of S tokens.
pub struct Activations<'a> {
    /// Logits, a row for each token: (S, S).
    logits: ArrayView2<'a, f32>,
    layout: &'a Layout,
    /// The prompt's text tokens after the image, the template's included.
    prompt: Range<usize>,
}

/// A token's map without what earlier tokens explain of it.
pub struct Deconfounded {
    /// Filtered, (gh, gw), 0 to 1 together with the earlier tokens' activations.
    pub map: Array2<f64>,
    /// How many times the earlier tokens' map was taken off.
    pub scale: f64,
}

impl<'a> Activations<'a> {
    /// Takes them out of a trace that holds [`Want::Logits`].
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if logits were left out or are not finite, or the layout contradicts itself.
    pub fn read(trace: &'a Trace) -> Result<Self> {
        let layout = &trace.layout;
        let length = layout.input_ids.len();
        let (height, width) = layout.grid;
        let image = &layout.image_positions;
        let last = image.iter().max().copied().unwrap_or(length);
        if image.len() as u64 != u64::from(height) * u64::from(width) || last >= length {
            return Err(Error::protocol(format!(
                "the model gave {} image tokens for a grid of {height} x {width} in a sequence of {length}",
                image.len()
            )));
        }
        let answer = &layout.answer;
        if answer.start <= last || answer.is_empty() || answer.end > length {
            return Err(Error::protocol(format!(
                "the layout places the answer at {} to {} of a sequence of {length} with its image up to {last}",
                answer.start, answer.end
            )));
        }
        let capture = trace.capture(Want::Logits)?;
        if capture.shape() != [length, length] {
            return Err(Error::protocol(format!(
                "the model gave logits the shape {:?}, not {:?}",
                capture.shape(),
                [length, length]
            )));
        }
        let logits = capture
            .view_nd::<f32, Ix2>()
            .map_err(|error| error.context(Want::Logits))?;
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::protocol("a logit of the model is no finite number"));
        }
        Ok(Self {
            logits,
            layout,
            prompt: last + 1..answer.start,
        })
    }

    /// Tokens of the answer.
    pub fn count(&self) -> usize {
        self.layout.answer.len()
    }

    /// The map of one of the answer's tokens, counted from its first: estimated causal inference, then the filter.
    pub fn token(&self, token: usize) -> Result<Deconfounded> {
        let k = self.layout.answer.start + token;
        let own = self.image(k);
        let earlier = || self.prompt.start..k;

        let mut interference = Array1::<f64>::zeros(own.len());
        let mut total = 1e-8;
        let ids = &self.layout.input_ids;
        for j in earlier().filter(|&j| ids[j] != ids[k]) {
            let weight = self.at(k, self.place(j));
            if weight > 0.0 {
                interference.scaled_add(weight, &self.image(j));
                total += weight;
            }
        }
        interference /= total;
        let squares = interference.dot(&interference);
        let scale = match squares {
            0.0 => 0.0,
            squares => own.dot(&interference) / squares,
        };
        // Less than the logits' own rounding is nothing; a map is made of whatever is left.
        let rounding = own.fold(0.0f64, |most, &v| most.max(v)) * f64::from(f32::EPSILON);
        let left = own - interference * scale;
        let left = left.mapv(|v| if v > rounding { v } else { 0.0 });

        // The earlier tokens' activations count towards the range: an image that says less than the text stays dim.
        let all = left.iter().copied();
        let all = all.chain(earlier().map(|j| self.at(k, self.place(j))));
        let (least, most) = all.fold((f64::MAX, 0.0), |(a, b), v| (v.min(a), v.max(b)));
        let range = if most > least { most - least } else { 1.0 };
        let (height, width) = self.layout.grid;
        let grid = left
            .mapv(|v| (v - least) / range)
            .into_shape_with_order((height as usize, width as usize))
            .map_err(|error| Error::internal(format!("a map does not fill the grid: {error}")))?;
        Ok(Deconfounded {
            map: rank_gaussian(grid.view()),
            scale,
        })
    }

    /// A_k(p).
    fn at(&self, k: usize, p: usize) -> f64 {
        f64::from(self.logits[(k, p)]).max(0.0)
    }

    /// A_k at the image tokens, row by row.
    fn image(&self, k: usize) -> Array1<f64> {
        let image = self.layout.image_positions.iter();
        image.map(|&p| self.at(k, p)).collect()
    }

    /// Where a text token is read: a token of the prompt at its own position, one of the answer where it is predicted.
    fn place(&self, j: usize) -> usize {
        if self.prompt.contains(&j) { j } else { j - 1 }
    }
}
