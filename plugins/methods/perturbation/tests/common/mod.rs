//! The toy model with more to say.

use medfocus_plugin_api::{
    ModelInfo, Result, ScoreRequest, Scores, Tensor, VisionLanguageModel, testkit::ToyModel,
};
use ndarray::{Array2, Axis, Ix2, concatenate};

fn scores_of(
    toy: &ToyModel,
    request: &ScoreRequest,
    change: impl Fn(Array2<f32>) -> Array2<f32>,
) -> Result<Scores> {
    let answer = "Yes".into();
    let mut request = request.clone();
    request.answer = answer;
    let mut scores = toy.score(&request)?;
    let yes = scores.log_probs.view_nd::<f32, Ix2>()?.to_owned();
    scores.log_probs = Tensor::from_array(change(yes));
    Ok(scores)
}

/// Knows `No` as well, with probability 1 - p(Yes): the margin of the two is the toy's z.
pub struct YesNo(pub ToyModel);

impl VisionLanguageModel for YesNo {
    fn info(&self) -> Result<ModelInfo> {
        self.0.info()
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        scores_of(&self.0, request, |yes| match request.answer.as_str() {
            "No" => yes.mapv(|l| (-l.exp()).ln_1p()),
            _ => yes,
        })
    }
}

/// Gives its answer a second token, whose log-probability is -1 on every image.
pub struct TwoTokens(pub ToyModel);

impl VisionLanguageModel for TwoTokens {
    fn info(&self) -> Result<ModelInfo> {
        self.0.info()
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        scores_of(&self.0, request, |yes| {
            concatenate![Axis(1), yes, Array2::from_elem(yes.dim(), -1.0)]
        })
    }
}
