//! Teacher-forced log-probabilities of one answer on many images.

use std::collections::HashMap;

use medfocus_plugin_api::{GrayImage, ScoreRequest, Scores};
use medfocus_torch::grad::GradMode;
use medfocus_torch::interop;
use medfocus_torch::tch::{Device, Tensor};

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
        let sizes: Vec<Different<'_>> = sizes.map(Different::of).collect();
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

/// Each different image of one size once; where half of an image is black, many of its masked copies are the same.
struct Different<'a> {
    images: Vec<&'a GrayImage>,
    /// Which of them each image is.
    places: Vec<i64>,
}

impl<'a> Different<'a> {
    fn of(all: &'a [GrayImage]) -> Self {
        let (mut images, mut known) = (Vec::new(), HashMap::new());
        let places = all.iter().map(|image| {
            *known.entry(image.bytes()).or_insert_with(|| {
                images.push(image);
                images.len() as i64 - 1
            })
        });
        Self {
            places: places.collect(),
            images,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn equal_images_are_run_once() {
        let levels = [3, 7, 3, 3, 9, 7];
        let all =
            levels.map(|level| GrayImage::from_array(Array2::from_elem((2, 2), level)).unwrap());
        let Different { images, places } = Different::of(&all);
        assert_eq!(places, [0, 1, 0, 0, 2, 1]);
        let found: Vec<u8> = images.iter().map(|image| image.bytes()[0]).collect();
        assert_eq!(found, [3, 7, 9]);
    }
}
