//! Teacher-forced log-probabilities of one answer on many images.

use medfocus_plugin_api::{GrayImage, ScoreRequest, Scores};
use medfocus_torch::grad::GradMode;
use medfocus_torch::interop;
use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::backend::{Backend, Watch};
use crate::forward;
use crate::network::{Family, Pass};
use crate::objective::Scored;
use crate::prompt::Answered;
use crate::{Error, Result};

impl<F: Family> Backend<F> {
    /// Scores the answer on every image. Tower and decoder run on batches, and the vocabulary is
    /// projected only where the answer is predicted.
    pub fn score(&self, request: &ScoreRequest, watch: &Watch<'_>) -> Result<Scores> {
        let _off = GradMode::off();
        let (mut rows, mut tokens, mut done) = (Vec::new(), Vec::new(), 0);
        // Images of one size make sequences of one length.
        let sizes = request
            .images
            .chunk_by(|a, b| a.view().dim() == b.view().dim());
        for images in sizes {
            let ScoreRequest {
                question,
                answer,
                span,
                ..
            } = request;
            let (answered, pass, _) = self.read(&images[0], question, answer, *span)?;
            for batch in images.chunks(self.batch(images[0].view().dim())?.score) {
                watch(done, request.images.len())?;
                rows.push(self.score_batch(batch, &answered, &pass)?);
                done += batch.len();
            }
            tokens = self.prompter.describe(&answered.ids[answered.answer]);
        }
        if rows.is_empty() {
            return Err(Error::Request("there is no image to score".to_owned()));
        }
        let log_probs = Tensor::f_cat(&rows, 0)?;
        Ok(Scores::new(tokens, interop::export(&log_probs)?))
    }

    /// Log-probabilities `[images, T]` on the CPU, f32.
    fn score_batch(
        &self,
        images: &[GrayImage],
        answered: &Answered,
        pass: &Pass<F::Network>,
    ) -> Result<Tensor> {
        let images: Vec<&GrayImage> = images.iter().collect();
        let features = forward::features(&self.network, &self.pixels(&images)?)?;
        let embedded = forward::embed(&self.network, &answered.ids, &features)?;
        let finished = forward::run(&self.network, &embedded, pass, None)?;
        let scored = Scored::new(&self.network, &finished, answered)?;
        Ok(scored
            .answer
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Float)?)
    }
}
