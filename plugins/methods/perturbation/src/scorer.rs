//! How strongly a model gives an answer, on one image after another.

use medfocus_plugin_api::{
    AnswerSpan, Context, Error, GrayImage, Result, ScoreRequest, Task, VisionLanguageModel, choices,
};
use ndarray::{ArrayView1, Ix2};

choices! {
    /// The score of an answer, read of its tokens' log-probabilities.
    pub enum Target {
        /// The mean of the tokens' probabilities.
        MeanProbability = "mean_probability",
        /// The sum of the tokens' log-probabilities.
        LogProb = "log_prob",
    }
}

choices! {
    /// Which tokens count as the answer.
    pub enum Span {
        /// The answer's own.
        Answer = "answer",
        /// These and the ones that close the turn, as the published code counts.
        Turn = "turn",
    }
}

/// Scores a task's answer on variants of its image.
pub struct Scorer<'a> {
    /// Where the model is.
    pub context: &'a Context,
    /// The question and the answer.
    pub task: &'a Task,
    /// What is read of the answer's tokens.
    pub target: Target,
    /// Which these are.
    pub span: Span,
    /// Images a model call; 0 counts as 1.
    pub batch: usize,
}

impl Scorer<'_> {
    /// The score on image `i` of `0..count`; images are made when their batch is due.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`] between batches, [`Error::protocol`] if the model's scores cannot be read, and whatever
    /// the model fails with.
    pub fn score(
        &self,
        count: usize,
        image: impl Fn(usize) -> Result<GrayImage>,
    ) -> Result<Vec<f64>> {
        let model = self.context.model();
        let mut scores = Vec::with_capacity(count);
        while scores.len() < count {
            let done = scores.len();
            self.context
                .step(done as u64, count as u64, "images scored")?;
            let batch = done..count.min(done + self.batch.max(1));
            let answer = model.score(&ScoreRequest {
                images: batch.clone().map(&image).collect::<Result<_>>()?,
                question: self.task.question.clone(),
                answer: self.task.answer.clone(),
                span: self.span.into(),
            })?;
            let log_probs = answer.log_probs.view_nd::<f32, Ix2>()?;
            if log_probs.nrows() != batch.len() || log_probs.ncols() == 0 {
                return Err(Error::protocol(format!(
                    "the model was given {} images to score and answered with scores of shape {:?}",
                    batch.len(),
                    log_probs.dim()
                )));
            }
            for tokens in log_probs.rows() {
                scores.push(self.target.read(tokens)?);
            }
        }
        Ok(scores)
    }
}

impl Target {
    /// The score of one answer; log-probabilities (T).
    fn read(self, log_probs: ArrayView1<'_, f32>) -> Result<f64> {
        let log_probs = log_probs.iter().map(|&l| f64::from(l));
        let score = match self {
            Self::MeanProbability => {
                let tokens = log_probs.len() as f64;
                log_probs.map(f64::exp).sum::<f64>() / tokens
            }
            Self::LogProb => log_probs.sum(),
        };
        if score.is_finite() {
            Ok(score)
        } else {
            Err(Error::protocol(format!(
                "the model scored the answer as {score}"
            )))
        }
    }
}

impl From<Span> for AnswerSpan {
    fn from(span: Span) -> Self {
        match span {
            Span::Answer => Self::Answer,
            Span::Turn => Self::Turn,
        }
    }
}
