//! How strongly a model gives an answer, on one image after another.

use std::collections::HashMap;

use medfocus_plugin_api::{
    Context, Error, GrayImage, Result, ScoreRequest, Task, VisionLanguageModel,
};
use ndarray::{Array2, ArrayView2, Axis, Ix2};

use crate::target::{MARGIN, Quantity, Target};

/// Scores a task's answer on variants of its image.
pub struct Scorer<'a> {
    /// Where the model is.
    pub context: &'a Context,
    /// The question and the answer.
    pub task: &'a Task,
    /// What is read of the answer's tokens.
    pub target: &'a Target,
    /// Images a model call; 0 counts as 1. Changes neither result nor peak memory: a model has batches of its own.
    pub batch: usize,
}

/// The scores of N images.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The target on each image.
    pub values: Vec<f64>,
    /// Log-probability of each token of the answer on each image: (N, T). For a margin T is 1, and this the margin.
    pub tokens: Array2<f32>,
    /// Text of each token; of a margin the two words it compares.
    pub words: Vec<String>,
    /// How many images were different, hence scored.
    pub images: usize,
}

impl Scored {
    /// The same target of token `t` alone, on each image.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the answer is shorter, [`Error::protocol`] if a value is not finite.
    pub fn of_token(&self, target: &Target, t: usize) -> Result<Vec<f64>> {
        read(&target.of_token(t), &self.tokens)
    }
}

/// The target on each image, given the log-probabilities of the answer's tokens: (N, T).
fn read(target: &Target, tokens: &Array2<f32>) -> Result<Vec<f64>> {
    let rows = tokens.rows().into_iter();
    rows.map(|row| target.read(row)).collect()
}

impl Scorer<'_> {
    /// The score on image `i` of `0..count`. An image is made when its batch is due, and scored once however
    /// often it appears.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`] between batches, [`Error::protocol`] if the model's scores cannot be read, and whatever
    /// the model fails with.
    pub fn score(
        &self,
        count: usize,
        image: impl Fn(usize) -> Result<GrayImage>,
    ) -> Result<Scored> {
        let mut seen = HashMap::new();
        // For each image the row that holds its scores.
        let mut row_of = Vec::with_capacity(count);
        let mut rows: Vec<Array2<f32>> = Vec::new();
        let mut words = Vec::new();
        let mut pending = Vec::new();
        for i in 0..count {
            let image = image(i)?;
            let next = seen.len();
            let row = *seen.entry(blake3::hash(image.bytes())).or_insert(next);
            if row == next {
                pending.push(image);
            }
            row_of.push(row);
            if pending.len() >= self.batch.max(1) || i + 1 == count && !pending.is_empty() {
                self.context.step(i as u64, count as u64, "images scored")?;
                let (tokens, texts) = self.tokens(std::mem::take(&mut pending))?;
                rows.push(tokens);
                words = texts;
            }
        }
        let views: Vec<_> = rows.iter().map(Array2::view).collect();
        let scored = ndarray::concatenate(Axis(0), &views).map_err(|_| {
            Error::protocol(
                "the model scored a different number of tokens from one call to the next",
            )
        })?;
        let tokens = scored.select(Axis(0), &row_of);
        Ok(Scored {
            values: read(self.target, &tokens)?,
            images: seen.len(),
            tokens,
            words,
        })
    }

    /// The answer tokens' log-probabilities, or the margin, on each image; and the texts.
    fn tokens(&self, images: Vec<GrayImage>) -> Result<(Array2<f32>, Vec<String>)> {
        if self.target.quantity != Quantity::Margin {
            return self.ask(images, &self.task.answer);
        }
        let first = |word: &str| -> Result<Array2<f32>> {
            let (log_probs, _) = self.ask(images.clone(), word)?;
            Ok(log_probs.slice_move(ndarray::s![.., ..1]))
        };
        let [yes, no] = MARGIN.map(first);
        Ok((yes? - no?, MARGIN.map(str::to_owned).to_vec()))
    }

    fn ask(&self, images: Vec<GrayImage>, answer: &str) -> Result<(Array2<f32>, Vec<String>)> {
        let count = images.len();
        let scores = self.context.model().score(
            &ScoreRequest::new(images, self.task.question.clone(), answer)
                .with_span(self.target.span.into()),
        )?;
        let log_probs: ArrayView2<'_, f32> = scores.log_probs.view_nd::<f32, Ix2>()?;
        if log_probs.nrows() != count || log_probs.ncols() == 0 {
            return Err(Error::protocol(format!(
                "the model was given {count} images to score and answered with scores of shape {:?}",
                log_probs.dim()
            )));
        }
        let texts = scores.tokens.iter().map(|token| token.text.clone());
        Ok((log_probs.to_owned(), texts.collect()))
    }
}
