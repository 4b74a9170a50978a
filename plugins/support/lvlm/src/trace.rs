//! One teacher-forced pass seen from the inside: attention, hidden states, and gradients.
//!
//! The decoder is walked by a [`Tape`]. Pixels lie below it: their gradient is that of the image
//! features, pulled back through the tower one stage at a time ([`crate::pullback`]).

use std::collections::{BTreeSet, HashMap};

use medfocus_plugin_api::{
    Capture, GrayImage, Layout, PixelBaseline, PixelPath, Trace, TraceRequest, Want, Wrt,
};
use medfocus_torch::interop;
use medfocus_torch::relevance::HandDown;
use medfocus_torch::tch::{Kind, Tensor};

use crate::backend::{Backend, Watch};
use crate::forward;
use crate::network::{Family, Grid, Network, Pass};
use crate::objective::{Scored, Target};
use crate::prompt::Answered;
use crate::pullback::TowerRun;
use crate::tape::{Place, Plan, Tape};
use crate::{Error, Result};

/// The fixed text of a request.
struct Sequence<'a, N: Network> {
    answered: &'a Answered,
    pass: Pass<N>,
    target: Target,
}

impl<F: Family> Backend<F> {
    /// Traces one image, question and answer.
    pub fn trace(&self, request: &TraceRequest, watch: &Watch<'_>) -> Result<Trace> {
        let plan = Plan::new(&request.wants, self.network.depth())?;
        if request.path.is_some() && !plan.pixel_gradient {
            return Err(Error::Request(
                "a pixel path was given, but no gradient with respect to pixels is wanted"
                    .to_owned(),
            ));
        }
        let TraceRequest {
            image,
            question,
            answer,
            span,
            ..
        } = request;
        let (answered, pass, grid) = self.read(image, question, answer, *span)?;
        let sequence = Sequence {
            target: Target::new(&request.objective, &answered, &self.prompter)?,
            pass,
            answered: &answered,
        };
        watch(0, 1)?;
        let pixels = self.pixels(&[image])?;
        let main = self.main_pass(&plan, &sequence, image, &pixels, request.path.is_none())?;
        let along = request
            .path
            .as_ref()
            .map(|path| {
                let batch = self.batch(image.view().dim())?.pixel_gradient;
                self.along(path, &sequence, &pixels, batch, watch)
            })
            .transpose()?;

        let mut captured = main.captured;
        let (baseline_values, baseline_objective) = match along {
            None => (None, None),
            Some(along) => {
                captured.insert(Want::Gradient(Wrt::Pixels), along.gradients);
                (
                    Some(interop::export(&along.baseline)?),
                    Some(along.objective),
                )
            }
        };
        let captures = request
            .wants
            .iter()
            .map(|&want| {
                let tensor = captured
                    .get(&want)
                    .ok_or_else(|| Error::Request(format!("{want} was not captured")))?;
                Ok(Capture {
                    want,
                    tensor: interop::export(tensor)?,
                })
            })
            .collect::<Result<_>>()?;
        let mut trace = Trace::new(
            self.layout(&answered, grid),
            captures,
            interop::export(&main.log_probs)?,
            main.objective,
            interop::export(&pixels.f_squeeze_dim(0)?)?,
        );
        trace.baseline_values = baseline_values;
        trace.baseline_objective = baseline_objective;
        Ok(trace)
    }

    fn main_pass(
        &self,
        plan: &Plan,
        sequence: &Sequence<'_, F::Network>,
        image: &GrayImage,
        pixels: &Tensor,
        at_image: bool,
    ) -> Result<MainPass> {
        let pull = plan.pixel_gradient && at_image;
        let cut = if pull {
            Some(Place::Features)
        } else {
            plan.lowest()
        };
        let mut tape = Tape::new(plan, cut);
        let tower = pull
            .then(|| TowerRun::new(&self.network, pixels, true))
            .transpose()?;
        let features = match &tower {
            Some(tower) => tower.features().shallow_clone(),
            None => self.features_through(image, || Ok(pixels.shallow_clone()))?,
        };
        let _rule = HandDown::by(plan.rule);
        let scored = self.scored(&mut tape, sequence, &features)?;
        let value = sequence.target.value(&scored)?.f_sum(Kind::Float)?;

        let places: BTreeSet<Place> = plan
            .gradients
            .iter()
            .map(|(_, place)| *place)
            .chain(pull.then_some(Place::Features))
            .collect();
        let gradients = tape.gradients(&value, &places)?;
        tape.keep(&gradients)?;
        if let Some(tower) = &tower {
            let pixels = tower.pull_back(&self.network, &gradients[&Place::Features])?;
            tape.captured
                .insert(Want::Gradient(Wrt::Pixels), pixels.f_squeeze_dim(0)?);
        }
        Ok(MainPass {
            captured: std::mem::take(&mut tape.captured),
            log_probs: scored.answer.f_detach()?.f_squeeze_dim(0)?,
            objective: value.f_double_value(&[])?,
        })
    }

    /// Pixel gradients at the inputs of a path, in batches.
    fn along(
        &self,
        path: &PixelPath,
        sequence: &Sequence<'_, F::Network>,
        image: &Tensor,
        batch: usize,
        watch: &Watch<'_>,
    ) -> Result<Along> {
        if path.alphas.is_empty() {
            return Err(Error::Request("the pixel path has no points".to_owned()));
        }
        let kind = image.f_kind()?;
        let image = image.f_to_kind(Kind::Float)?;
        let baseline = match &path.baseline {
            PixelBaseline::NormalisedZero => image.f_zeros_like()?,
            PixelBaseline::Image(other) => self.pixels(&[other])?.f_to_kind(Kind::Float)?,
        };
        let line = image.f_sub(&baseline)?;
        let mut gradients = Vec::new();
        for (number, alphas) in path.alphas.chunks(batch).enumerate() {
            watch(number * batch, path.alphas.len())?;
            let alphas = Tensor::f_from_slice(alphas)?
                .f_to_kind(Kind::Float)?
                .f_to_device(image.device())?
                .f_reshape([-1, 1, 1, 1])?;
            let inputs = line.f_mul(&alphas)?.f_add(&baseline)?.f_to_kind(kind)?;
            gradients.push(self.pixel_gradient(sequence, &inputs)?);
        }
        let nothing = Plan::default();
        let mut tape = Tape::new(&nothing, None);
        let scored = self.scored(
            &mut tape,
            sequence,
            &forward::features(&self.network, &baseline)?,
        )?;
        Ok(Along {
            gradients: Tensor::f_cat(&gradients, 0)?,
            objective: sequence.target.value(&scored)?.f_double_value(&[0])?,
            baseline: baseline.f_squeeze_dim(0)?,
        })
    }

    fn scored(
        &self,
        tape: &mut Tape<'_>,
        sequence: &Sequence<'_, F::Network>,
        features: &Tensor,
    ) -> Result<Scored> {
        let finished = tape.walk(
            &self.network,
            &sequence.answered.ids,
            &sequence.pass,
            features,
        )?;
        Scored::new(&self.network, &finished, sequence.answered)
    }

    /// The objective's gradient at each of these inputs `[batch, 3, height, width]`.
    fn pixel_gradient(
        &self,
        sequence: &Sequence<'_, F::Network>,
        inputs: &Tensor,
    ) -> Result<Tensor> {
        let nothing = Plan::default();
        let mut tape = Tape::new(&nothing, Some(Place::Features));
        let tower = TowerRun::new(&self.network, inputs, true)?;
        let scored = self.scored(&mut tape, sequence, tower.features())?;
        let value = sequence.target.value(&scored)?.f_sum(Kind::Float)?;
        let gradients = tape.gradients(&value, &BTreeSet::from([Place::Features]))?;
        tower.pull_back(&self.network, &gradients[&Place::Features])
    }

    fn layout(&self, answered: &Answered, grid: Grid) -> Layout {
        Layout::new(
            answered.ids.iter().map(|&id| id as u32).collect(),
            (0..answered.ids.len())
                .filter(|&at| answered.ids[at] == self.network.image_token())
                .collect(),
            (grid.rows as u32, grid.columns as u32),
            answered.answer.clone(),
            self.prompter
                .describe(&answered.ids[answered.answer.clone()]),
        )
    }
}

struct MainPass {
    captured: HashMap<Want, Tensor>,
    log_probs: Tensor,
    objective: f64,
}

struct Along {
    gradients: Tensor,
    baseline: Tensor,
    objective: f64,
}
