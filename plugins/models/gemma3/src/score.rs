//! Teacher-forced log-probabilities of one answer on many images.

use medfocus_plugin_api::{GrayImage, ScoreRequest, Scores};
use medfocus_torch::grad::GradMode;
use medfocus_torch::interop;
use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::backend::{Backend, Watch};
use crate::objective::{Scored, check_numbers};
use crate::prompt::Answered;
use crate::{Error, Result};

impl Backend {
    /// Scores the answer on every image. Tower and decoder run on batches, and the vocabulary is
    /// projected only where the answer is predicted.
    pub fn score(&self, request: &ScoreRequest, watch: &Watch<'_>) -> Result<Scores> {
        if request.images.is_empty() {
            return Err(Error::Request("there is no image to score".to_owned()));
        }
        let answered = self
            .prompter
            .answered(&request.question, &request.answer, request.span)?;
        let log_probs = self.score_answered(&request.images, &answered, watch)?;
        Ok(Scores::new(
            self.prompter
                .describe(&answered.ids[answered.answer.clone()]),
            interop::export(&log_probs)?,
        ))
    }

    /// Log-probabilities `[images, T]` on the CPU, f32.
    fn score_answered(
        &self,
        images: &[GrayImage],
        answered: &Answered,
        watch: &Watch<'_>,
    ) -> Result<Tensor> {
        let _off = GradMode::off();
        let pass = self.model.prefill(&answered.ids)?;
        let decoder = self.model.decoder();
        let mut rows = Vec::new();
        let batch = self.batch.score;
        for (number, chunk) in images.chunks(batch).enumerate() {
            watch(number * batch, images.len())?;
            let chunk: Vec<&GrayImage> = chunk.iter().collect();
            let features = self.model.image_features(&self.pixels(&chunk)?)?;
            let finished =
                decoder.run(&self.model.embed(&answered.ids, &features)?, &pass, None)?;
            let scored = Scored::new(decoder, &finished, answered)?;
            check_numbers(&scored.answer, "log-probabilities")?;
            rows.push(
                scored
                    .answer
                    .f_to_device(Device::Cpu)?
                    .f_to_kind(Kind::Float)?,
            );
        }
        Ok(Tensor::f_cat(&rows, 0)?)
    }
}
