//! Teacher-forced log-probabilities of one answer on many images.

use medfocus_plugin_api::{GrayImage, ScoreRequest, Scores};
use medfocus_torch::grad::GradMode;
use medfocus_torch::interop;
use medfocus_torch::tch::{Device, Tensor};

use crate::backend::{Backend, Watch};
use crate::different::Different;
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
        let sizes = Different::by_size(&request.images);
        let total = sizes.iter().map(|size| size.images.len()).sum();
        for Different { images, places } in &sizes {
            let ScoreRequest {
                question,
                answer,
                span,
                ..
            } = request;
            let (answered, pass, _) = self.read(images[0], question, answer, *span)?;
            let mut scored = Vec::new();
            for batch in images.chunks(self.batch(images[0].view().dim())?.score) {
                watch(done, total)?;
                scored.push(self.score_batch(batch, &answered, &pass)?);
                done += batch.len();
            }
            // No batch is waited for before this but by the transfer of the next one's pixels, so those are made meanwhile.
            let scored = Tensor::f_cat(&scored, 0)?.f_to_device(Device::Cpu)?;
            rows.push(scored.f_index_select(0, &Tensor::f_from_slice(places)?)?);
            tokens = self.prompter.describe(&answered.ids[answered.answer]);
        }
        if rows.is_empty() {
            return Err(Error::Request("there is no image to score".to_owned()));
        }
        let log_probs = Tensor::f_cat(&rows, 0)?;
        Ok(Scores::new(tokens, interop::export(&log_probs)?))
    }

    /// Log-probabilities `[images, T]`, f32.
    fn score_batch(
        &self,
        images: &[&GrayImage],
        answered: &Answered,
        pass: &Pass<F::Network>,
    ) -> Result<Tensor> {
        let features = self.features(images)?;
        let embedded = forward::embed(&self.network, &answered.ids, &features)?;
        let finished = forward::run(&self.network, &embedded, pass, None)?;
        Ok(Scored::new(&self.network, &finished, answered)?.answer)
    }
}
