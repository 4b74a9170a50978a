//! One teacher-forced pass seen from the inside: attention, hidden states, and gradients.
//!
//! The lowest thing that a gradient is wanted of is made a leaf of the autograd graph. Below it
//! nothing is recorded, so a gradient at layer l costs the memory of the layers from l on. Pixels
//! are further down still: their gradient is that of the image features, pulled back through the
//! tower one layer at a time ([`crate::pullback`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use medfocus_plugin_api::{
    Capture, GrayImage, Layout, PixelBaseline, PixelPath, Trace, TraceRequest, Want, Wrt,
};
use medfocus_torch::grad::GradMode;
use medfocus_torch::interop;
use medfocus_torch::tch::{Kind, Tensor};

use crate::backend::{Backend, Watch};
use crate::objective::{Scored, Target};
use crate::prompt::Answered;
use crate::pullback::TowerRun;
use crate::text::{Attend, Pass, layer_index};
use crate::{Error, Result};

/// A place in the network where something can be captured, ordered from the input to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Place {
    /// The projected image features.
    Features,
    /// Within layer `.0`: 0 is the hidden state entering it, 1 its attention map.
    Layer(usize, u8),
}

impl Place {
    const fn hidden(layer: usize) -> Self {
        Self::Layer(layer, 0)
    }

    const fn attention(layer: usize) -> Self {
        Self::Layer(layer, 1)
    }
}

/// What is wanted, with layer numbers resolved.
#[derive(Debug, Default)]
struct Plan {
    /// Places to capture; for attention whether each head is wanted, not their mean.
    captures: Vec<(Want, Place, bool)>,
    /// Places to differentiate with respect to.
    gradients: Vec<(Want, Place)>,
    pixel_gradient: bool,
}

impl Plan {
    fn new(wants: &[Want], depth: usize) -> Result<Self> {
        let attention = |layer| layer_index(layer, depth, "attention layer").map(Place::attention);
        let hidden = |layer| layer_index(layer, depth + 1, "hidden state").map(Place::hidden);
        let mut plan = Self::default();
        for &want in wants {
            match want {
                Want::Attention { layer, heads } => plan.captures.push((want, attention(layer)?, heads)),
                Want::Hidden { layer } => plan.captures.push((want, hidden(layer)?, true)),
                Want::Features => plan.captures.push((want, Place::Features, true)),
                Want::Gradient(Wrt::Attention { layer }) => plan.gradients.push((want, attention(layer)?)),
                Want::Gradient(Wrt::Hidden { layer }) => plan.gradients.push((want, hidden(layer)?)),
                Want::Gradient(Wrt::Features) => plan.gradients.push((want, Place::Features)),
                Want::Gradient(Wrt::Pixels) => plan.pixel_gradient = true,
            }
        }
        Ok(plan)
    }

    fn needs_map(&self, layer: usize) -> bool {
        let place = Place::attention(layer);
        self.captures.iter().any(|(_, at, _)| *at == place) || self.gradients.iter().any(|(_, at)| *at == place)
    }
}

/// Walks along a pass, cutting the graph at the lowest place and keeping what is wanted.
struct Tape<'a> {
    plan: &'a Plan,
    cut: Option<Place>,
    captured: HashMap<Want, Tensor>,
    nodes: HashMap<Place, Tensor>,
    // Dropped in this order, which restores the modes from the inside out.
    recording: Option<GradMode>,
    _off: GradMode,
}

impl<'a> Tape<'a> {
    fn new(plan: &'a Plan, cut: Option<Place>) -> Self {
        Self {
            plan,
            cut,
            captured: HashMap::new(),
            nodes: HashMap::new(),
            recording: None,
            _off: GradMode::off(),
        }
    }

    /// Passes a tensor through, as the leaf of the graph if this is where it begins.
    fn visit(&mut self, place: Place, tensor: Tensor) -> Result<Tensor> {
        let tensor = if self.cut == Some(place) {
            self.recording = Some(GradMode::recording());
            tensor.f_detach()?.f_set_requires_grad(true)?
        } else {
            tensor
        };
        if self.cut == Some(place) || self.plan.gradients.iter().any(|(_, at)| *at == place) {
            self.nodes.insert(place, tensor.shallow_clone());
        }
        for (want, _, each) in self.plan.captures.iter().filter(|(_, at, _)| *at == place) {
            let value = tensor.f_detach()?.f_squeeze_dim(0)?;
            let value = if *each { value } else { value.f_mean_dim(0, false, Kind::Float)? };
            self.captured.insert(*want, value);
        }
        Ok(tensor)
    }

    /// Gradients of a scalar at these places, which must have been visited.
    fn gradients(&self, scalar: &Tensor, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, Tensor>> {
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let nodes: Vec<&Tensor> = places.iter().map(|place| &self.nodes[place]).collect();
        let gradients = Tensor::f_run_backward(&[scalar], &nodes, false, false)?;
        Ok(places.iter().copied().zip(gradients).collect())
    }
}

/// The fixed text of a request.
struct Sequence<'a> {
    answered: &'a Answered,
    pass: Pass,
    target: Target,
}

impl Backend {
    /// Traces one image, question and answer.
    pub fn trace(&self, request: &TraceRequest, watch: &Watch<'_>) -> Result<Trace> {
        let plan = Plan::new(&request.wants, self.model.decoder().depth())?;
        if request.path.is_some() && !plan.pixel_gradient {
            return Err(Error::Request(
                "a pixel path was given, but no gradient with respect to pixels is wanted".to_owned(),
            ));
        }
        let answered = self.prompter.answered(&request.question, &request.answer, request.span)?;
        let sequence = Sequence {
            target: Target::new(&request.objective, &answered, &self.prompter)?,
            pass: self.model.prefill(&answered.ids)?,
            answered: &answered,
        };
        watch(0, 1)?;
        let pixels = self.pixels(&[&request.image])?;
        let main = self.main_pass(&plan, &sequence, &pixels, request.path.is_none())?;
        let along = request
            .path
            .as_ref()
            .map(|path| self.along(path, &sequence, &pixels, watch))
            .transpose()?;

        let mut captured = main.captured;
        let (baseline_values, baseline_objective) = match along {
            None => (None, None),
            Some(along) => {
                captured.insert(Want::Gradient(Wrt::Pixels), along.gradients);
                (Some(interop::export(&along.baseline)?), Some(along.objective))
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
        Ok(Trace {
            layout: self.layout(&answered),
            captures,
            log_probs: interop::export(&main.log_probs)?,
            objective: main.objective,
            pixel_values: interop::export(&pixels.f_squeeze_dim(0)?)?,
            baseline_values,
            baseline_objective,
        })
    }

    fn main_pass(&self, plan: &Plan, sequence: &Sequence<'_>, pixels: &Tensor, at_image: bool) -> Result<MainPass> {
        let pull = plan.pixel_gradient && at_image;
        let lowest = plan.gradients.iter().map(|(_, place)| *place).min();
        let cut = if pull { Some(Place::Features) } else { lowest };
        let mut tape = Tape::new(plan, cut);

        let tower = TowerRun::new(&self.model, pixels, pull)?;
        let features = tape.visit(Place::Features, tower.features().shallow_clone())?;
        let finished = self.walk(&mut tape, sequence, &features)?;
        let scored = Scored::new(self.model.decoder(), &finished, sequence.answered)?;
        let value = sequence.target.value(&scored)?.f_sum(Kind::Float)?;

        let places: BTreeSet<Place> = plan
            .gradients
            .iter()
            .map(|(_, place)| *place)
            .chain(pull.then_some(Place::Features))
            .collect();
        let gradients = tape.gradients(&value, &places)?;
        for (want, place) in &plan.gradients {
            tape.captured.insert(*want, gradients[place].f_squeeze_dim(0)?);
        }
        if pull {
            let pixels = tower.pull_back(&self.model, &gradients[&Place::Features])?;
            tape.captured.insert(Want::Gradient(Wrt::Pixels), pixels.f_squeeze_dim(0)?);
        }
        Ok(MainPass {
            captured: std::mem::take(&mut tape.captured),
            log_probs: scored.answer.f_detach()?.f_squeeze_dim(0)?,
            objective: value.f_double_value(&[])?,
        })
    }

    /// The decoder from the image features on, with maps only in the layers that need one.
    fn walk(&self, tape: &mut Tape<'_>, sequence: &Sequence<'_>, features: &Tensor) -> Result<Tensor> {
        let decoder = self.model.decoder();
        let mut hidden = self.model.embed(&sequence.answered.ids, features)?;
        for layer in 0..decoder.depth() {
            hidden = tape.visit(Place::hidden(layer), hidden)?;
            hidden = if tape.plan.needs_map(layer) {
                let mut look = |map| tape.visit(Place::attention(layer), map);
                decoder.layer(layer, &hidden, &sequence.pass, Attend::Map(&mut look), None)?
            } else {
                decoder.layer(layer, &hidden, &sequence.pass, Attend::Fused, None)?
            };
        }
        tape.visit(Place::hidden(decoder.depth()), decoder.finish(&hidden)?)
    }

    /// Pixel gradients at the inputs of a path, in batches.
    fn along(&self, path: &PixelPath, sequence: &Sequence<'_>, image: &Tensor, watch: &Watch<'_>) -> Result<Along> {
        if path.alphas.is_empty() {
            return Err(Error::Request("the pixel path has no points".to_owned()));
        }
        let kind = image.f_kind()?;
        let image = image.f_to_kind(Kind::Float)?;
        let baseline = match &path.baseline {
            PixelBaseline::NormalisedZero => image.f_zeros_like()?,
            PixelBaseline::Image(other) => self.pixels(&[other as &GrayImage])?.f_to_kind(Kind::Float)?,
        };
        let line = image.f_sub(&baseline)?;
        let mut gradients = Vec::new();
        for (number, alphas) in path.alphas.chunks(self.batch).enumerate() {
            watch(number * self.batch, path.alphas.len())?;
            let alphas = Tensor::f_from_slice(alphas)?
                .f_to_kind(Kind::Float)?
                .f_to_device(image.device())?
                .f_reshape([-1, 1, 1, 1])?;
            let inputs = line.f_mul(&alphas)?.f_add(&baseline)?.f_to_kind(kind)?;
            gradients.push(self.pixel_gradient(sequence, &inputs)?);
        }
        let _off = GradMode::off();
        let features = self.model.image_features(&baseline)?;
        let embedded = self.model.embed(&sequence.answered.ids, &features)?;
        let finished = self.model.decoder().run(&embedded, &sequence.pass, None)?;
        let scored = Scored::new(self.model.decoder(), &finished, sequence.answered)?;
        Ok(Along {
            gradients: Tensor::f_cat(&gradients, 0)?,
            objective: sequence.target.value(&scored)?.f_double_value(&[0])?,
            baseline: baseline.f_squeeze_dim(0)?,
        })
    }

    /// The objective's gradient at each of these inputs `[batch, 3, side, side]`.
    fn pixel_gradient(&self, sequence: &Sequence<'_>, inputs: &Tensor) -> Result<Tensor> {
        let nothing = Plan::default();
        let mut tape = Tape::new(&nothing, Some(Place::Features));
        let tower = TowerRun::new(&self.model, inputs, true)?;
        let features = tape.visit(Place::Features, tower.features().shallow_clone())?;
        let finished = self.walk(&mut tape, sequence, &features)?;
        let scored = Scored::new(self.model.decoder(), &finished, sequence.answered)?;
        let value = sequence.target.value(&scored)?.f_sum(Kind::Float)?;
        let gradients = tape.gradients(&value, &BTreeSet::from([Place::Features]))?;
        tower.pull_back(&self.model, &gradients[&Place::Features])
    }

    fn layout(&self, answered: &Answered) -> Layout {
        let config = self.model.config();
        let side = config.grid_side() as u32;
        Layout {
            input_ids: answered.ids.iter().map(|&id| id as u32).collect(),
            image_positions: (0..answered.ids.len())
                .filter(|&at| answered.ids[at] == config.image_token)
                .collect(),
            grid: (side, side),
            answer: answered.answer.clone(),
            tokens: self.prompter.describe(&answered.ids[answered.answer.clone()]),
        }
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
