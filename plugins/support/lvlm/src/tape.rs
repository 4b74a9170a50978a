//! A pass through the decoder that looks and differentiates on the way.
//!
//! The lowest place that a gradient is wanted of is made a leaf of the autograd graph. Below it
//! nothing is recorded, so a gradient at layer l costs the memory of the layers from l on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use medfocus_plugin_api::{RelevanceRule, Want, Wrt};
use medfocus_torch::grad::GradMode;
use medfocus_torch::relevance;
use medfocus_torch::tch::{Kind, Tensor};

use crate::attention::Attend;
use crate::network::{Network, Pass};
use crate::{Error, Result, forward, logits};

/// A place in the network where something can be captured, ordered from the input to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The projected image features.
    Features,
    /// Within layer `.0`: 0 is the hidden state entering it, 1 its attention map.
    Layer(usize, u8),
}

impl Place {
    /// The hidden state entering this layer, or after the final norm.
    pub const fn hidden(layer: usize) -> Self {
        Self::Layer(layer, 0)
    }

    /// The attention map of this layer.
    pub const fn attention(layer: usize) -> Self {
        Self::Layer(layer, 1)
    }
}

/// What is wanted, with layer numbers resolved.
#[derive(Debug, Default)]
pub struct Plan {
    /// Places to capture; for attention whether each head is wanted, not their mean.
    captures: Vec<(Want, Place, bool)>,
    /// Places to differentiate with respect to, for gradients or for relevance.
    pub(crate) gradients: Vec<(Want, Place)>,
    pub(crate) pixel_gradient: bool,
    /// How relevance is handed down, if gradients are taken for it.
    pub(crate) rule: Option<RelevanceRule>,
    logits: bool,
}

impl Plan {
    /// Checks these wants against a decoder of `depth` layers.
    pub fn new(wants: &[Want], depth: usize) -> Result<Self> {
        let attention = |layer| layer_index(layer, depth, "attention layer").map(Place::attention);
        let hidden = |layer| layer_index(layer, depth + 1, "hidden state").map(Place::hidden);
        let mut plan = Self::default();
        let mut rules = Vec::new();
        for &want in wants {
            match want {
                Want::Attention { layer, heads } => {
                    plan.captures.push((want, attention(layer)?, heads))
                }
                Want::Hidden { layer } => plan.captures.push((want, hidden(layer)?, true)),
                Want::Logits => plan.logits = true,
                Want::Features => plan.captures.push((want, Place::Features, true)),
                Want::Gradient(Wrt::Attention { layer }) => {
                    plan.gradients.push((want, attention(layer)?))
                }
                Want::Gradient(Wrt::Hidden { layer }) => {
                    plan.gradients.push((want, hidden(layer)?))
                }
                Want::Gradient(Wrt::Features) => plan.gradients.push((want, Place::Features)),
                Want::Gradient(Wrt::Pixels) => plan.pixel_gradient = true,
                Want::Relevance { layer, .. } => {
                    let place = layer.map_or(Ok(Place::Features), hidden)?;
                    plan.gradients.push((want, place));
                }
            }
            match want {
                Want::Gradient(_) => rules.push(None),
                Want::Relevance { rule, .. } => rules.push(Some(rule)),
                _ => {}
            }
        }
        if rules.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Error::Request(
                "gradients, and relevance by each rule, take a pass of their own".to_owned(),
            ));
        }
        plan.rule = rules.pop().flatten();
        Ok(plan)
    }

    /// The lowest place that a gradient is wanted of: where the graph begins.
    pub fn lowest(&self) -> Option<Place> {
        self.gradients.iter().map(|(_, place)| *place).min()
    }

    fn needs_map(&self, layer: usize) -> bool {
        let place = Place::attention(layer);
        self.captures.iter().any(|(_, at, _)| *at == place)
            || self.gradients.iter().any(|(_, at)| *at == place)
    }
}

/// Walks along a pass, beginning the graph at the cut and keeping what is wanted.
///
/// While it lives, this thread records operations above the cut and none below it.
#[derive(Debug)]
pub struct Tape<'a> {
    plan: &'a Plan,
    cut: Option<Place>,
    pub(crate) captured: HashMap<Want, Tensor>,
    nodes: HashMap<Place, Tensor>,
    recorded: Vec<Place>,
    // Dropped in this order, which restores the modes from the inside out.
    recording: Option<GradMode>,
    _off: GradMode,
}

impl<'a> Tape<'a> {
    /// A tape whose graph begins at `cut`; without one nothing is recorded.
    pub fn new(plan: &'a Plan, cut: Option<Place>) -> Self {
        Self {
            plan,
            cut,
            captured: HashMap::new(),
            nodes: HashMap::new(),
            recorded: Vec::new(),
            recording: None,
            _off: GradMode::off(),
        }
    }

    /// Passes a tensor through, as the leaf of the graph if this is where it begins.
    pub(crate) fn visit(&mut self, place: Place, tensor: Tensor) -> Result<Tensor> {
        let tensor = if self.cut == Some(place) {
            self.recording = Some(GradMode::recording());
            tensor.f_detach()?.f_set_requires_grad(true)?
        } else {
            tensor
        };
        if tensor.requires_grad() {
            self.recorded.push(place);
        }
        if self.cut == Some(place) || self.plan.gradients.iter().any(|(_, at)| *at == place) {
            self.nodes.insert(place, tensor.shallow_clone());
        }
        for (want, _, each) in self.plan.captures.iter().filter(|(_, at, _)| *at == place) {
            let value = tensor.f_detach()?.f_squeeze_dim(0)?;
            let value = if *each {
                value
            } else {
                value.f_mean_dim(0, false, Kind::Float)?
            };
            self.captured.insert(*want, value);
        }
        Ok(tensor)
    }

    /// Gradients of a scalar at these places, which must have been visited.
    pub(crate) fn gradients(
        &self,
        scalar: &Tensor,
        places: &BTreeSet<Place>,
    ) -> Result<BTreeMap<Place, Tensor>> {
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let nodes: Vec<&Tensor> = places.iter().map(|place| &self.nodes[place]).collect();
        let gradients = Tensor::f_run_backward(&[scalar], &nodes, false, false)?;
        Ok(places.iter().copied().zip(gradients).collect())
    }

    /// Keeps what is wanted of the gradients at the places passed.
    pub(crate) fn keep(&mut self, gradients: &BTreeMap<Place, Tensor>) -> Result<()> {
        for &(want, place) in &self.plan.gradients {
            let gradient = gradients[&place].f_squeeze_dim(0)?;
            let value = match want {
                Want::Relevance { .. } => {
                    relevance::of(&self.nodes[&place].f_squeeze_dim(0)?, &gradient)?
                }
                _ => gradient,
            };
            self.captured.insert(want, value);
        }
        Ok(())
    }

    /// Runs the decoder on the image features of `ids`, to the state after the final norm. Only
    /// layers whose map is wanted compute one.
    pub fn walk<N: Network>(
        &mut self,
        network: &N,
        ids: &[i64],
        pass: &Pass<N>,
        features: &Tensor,
    ) -> Result<Tensor> {
        let features = self.visit(Place::Features, features.shallow_clone())?;
        let mut hidden = forward::embed(network, ids, &features)?;
        for layer in 0..network.depth() {
            hidden = self.visit(Place::hidden(layer), hidden)?;
            hidden = if self.plan.needs_map(layer) {
                let mut look = |map| self.visit(Place::attention(layer), map);
                network.layer(layer, &hidden, pass, Attend::Map(&mut look), None)?
            } else {
                network.layer(layer, &hidden, pass, Attend::Fused, None)?
            };
        }
        let finished = self.visit(Place::hidden(network.depth()), network.finish(&hidden)?)?;
        if self.plan.logits {
            let logits = logits::of_sequence(network, ids, &finished)?;
            self.captured.insert(Want::Logits, logits);
        }
        Ok(finished)
    }

    /// The places passed so far that are part of the graph.
    pub fn recorded(&self) -> &[Place] {
        &self.recorded
    }
}

/// Turns a layer number that may count from the end (-1 is the last of `count`) into an index.
fn layer_index(layer: i64, count: usize, what: &str) -> Result<usize> {
    let index = if layer < 0 {
        layer + count as i64
    } else {
        layer
    };
    usize::try_from(index)
        .ok()
        .filter(|&index| index < count)
        .ok_or_else(|| {
            Error::Request(format!(
                "{what} {layer} does not exist: this model has {count}, numbered 0 to {} or -{count} to -1",
                count - 1
            ))
        })
}
