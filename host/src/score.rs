//! How likely a model holds an answer: word by word, and with its image against without.

use medfocus_plugin_api::{
    Error, GrayImage, Letterbox, Result, ScoreRequest, Token, VisionLanguageModel,
};
use ndarray::{ArrayView1, Ix2};
use serde::{Deserialize, Serialize};

/// A token and how likely the model held it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredToken {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// Natural log-probability.
    pub log_prob: f32,
}

/// What the language alone makes of an answer: its probability on the image and on a black one, each the mean over the
/// answer's tokens. An answer that needs no image has no evidence in it (Chen et al. 2025, arXiv 2509.22496).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguagePrior {
    /// With the image.
    pub with_image: f64,
    /// Without it.
    pub without_image: f64,
}

impl LanguagePrior {
    /// Whether the answer is at least `share` times as likely without the image as with it.
    pub fn reaches(&self, share: f64) -> bool {
        self.without_image >= share * self.with_image
    }
}

/// The working image with nothing on it: black.
pub fn blank(image: &GrayImage, letterbox: &Letterbox) -> GrayImage {
    image.with_filled(&letterbox.content(), 0)
}

/// The mean probability of tokens with these log-probabilities.
pub fn mean_probability(log_probs: ArrayView1<'_, f32>) -> f64 {
    let sum: f64 = log_probs.iter().map(|&l| f64::from(l).exp()).sum();
    sum / log_probs.len() as f64
}

/// Scores an answer on its image: its tokens, and the language prior if it is wanted, which scores one image more.
///
/// # Errors
///
/// What the model fails with.
pub fn score(
    model: &impl VisionLanguageModel,
    image: &GrayImage,
    letterbox: &Letterbox,
    question: &str,
    answer: &str,
    prior: bool,
) -> Result<(Vec<ScoredToken>, Option<LanguagePrior>)> {
    let blank = prior.then(|| blank(image, letterbox));
    let images = [image.clone()].into_iter().chain(blank);
    let scores = model.score(&ScoreRequest::new(images.collect(), question, answer))?;
    let log_probs = scores.log_probs.view_nd::<f32, Ix2>()?;
    let mut rows = log_probs.rows().into_iter();
    let Some(shown) = rows.next() else {
        return Err(Error::protocol(
            "the model was given an image to score and scored none",
        ));
    };
    let prior = rows.next().map(|hidden| LanguagePrior {
        with_image: mean_probability(shown),
        without_image: mean_probability(hidden),
    });
    let tokens = scores.tokens.into_iter().zip(shown.iter().copied());
    let tokens = tokens.map(|(token, log_prob)| ScoredToken { token, log_prob });
    Ok((tokens.collect(), prior))
}
