//! A model for MedFocus whose every answer has a closed form: bright images are "Yes", dark ones "No".

use medfocus_plugin_api::{
    Ability, Component, Context, Coordinates, Error, GenerateRequest, Generation, GrayImage,
    ModelInfo, Result, ScoreRequest, Scores, Tensor, Token, VisionLanguageModel, WORKING_SIDE,
    ndarray::Array2, params,
};

params! {
    /// Parameters of [`Brightness`].
    pub struct BrightnessParams {
        /// Folder of the checkpoint, as `--model template_name=FOLDER` gives it. This model has no weights.
        pub path: String = "";
        /// Device to run on. This model knows the CPU alone.
        pub device: String = "cpu";
        /// Mean grey, 0 (black) to 1 (white), at which both answers are equally likely.
        pub threshold: f32 = 0.25, in 0..=1;
        /// How fast it becomes sure as the image becomes brighter: log-odds for each unit of mean grey.
        pub gain: f32 = 8.0, in 0.1..=100;
    }
}

/// Answers "Yes" with p = sigmoid(gain (mean grey - threshold)), else "No".
pub struct Brightness {
    params: BrightnessParams,
    context: Context,
}

impl Component for Brightness {
    const NAME: &'static str = "template_name";
    const SUMMARY: &'static str = "Says yes to bright images, whatever the question.";
    const ABILITIES: &'static [Ability] = &[Ability::Generate, Ability::Score];
    type Params = BrightnessParams;

    fn new(params: BrightnessParams, context: Context) -> Result<Self> {
        // A model with weights reads them here, once.
        Ok(Self { params, context })
    }
}

impl Brightness {
    /// log p(Yes) and log p(No).
    fn log_probs(&self, image: &GrayImage) -> [f32; 2] {
        let sum: f64 = image.view().iter().map(|&pixel| f64::from(pixel)).sum();
        let mean = sum / (255.0 * f64::from(image.width()) * f64::from(image.height()));
        let odds = self.params.gain * (mean as f32 - self.params.threshold);
        [-odds, odds].map(|against| -against.exp().ln_1p())
    }
}

/// The token of an answer, and its place in [`Brightness::log_probs`].
fn token(answer: &str) -> Result<(Token, usize)> {
    let id = match answer {
        "Yes" => 0,
        "No" => 1,
        _ => {
            let sentence = format!("`{answer}` is no answer of this model");
            return Err(Error::invalid(sentence).with_hint("it knows `Yes` and `No`"));
        }
    };
    let text = answer.to_owned();
    Ok((Token { id, text }, id as usize))
}

impl VisionLanguageModel for Brightness {
    fn info(&self) -> Result<ModelInfo> {
        // The same digest must mean the same answers: all that decides them goes in.
        let BrightnessParams {
            threshold, gain, ..
        } = self.params;
        let mut info = ModelInfo::new("brightness", format!("brightness:{threshold}:{gain}"));
        info.abilities = Self::ABILITIES.to_vec();
        info.parameters = 2;
        info.input = Some((WORKING_SIDE, WORKING_SIDE));
        info.coordinates = Coordinates::XyxyPixels;
        Ok(info)
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        self.context.step(0, 1, "answering")?;
        let [yes, no] = self.log_probs(&request.image);
        let (text, log_prob) = if yes >= no { ("Yes", yes) } else { ("No", no) };
        let (token, _) = token(text)?;
        Ok(Generation::new(text, vec![token], vec![log_prob], true))
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        let (token, place) = token(&request.answer)?;
        let total = request.images.len();
        let mut log_probs = Array2::zeros((total, 1));
        for (number, image) in request.images.iter().enumerate() {
            self.context.step(number as u64, total as u64, "scoring")?;
            log_probs[(number, 0)] = self.log_probs(image)[place];
        }
        Ok(Scores::new(vec![token], Tensor::from_array(log_probs)))
    }
}

medfocus_plugin_api::export_plugin! {
    model Brightness;
}
