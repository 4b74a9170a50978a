//! A model with the attention and the gradients that a test gives it.

use std::sync::{Arc, Mutex};

use medfocus_plugin_api::{
    AnswerSpan, AttentionKind, Capture, Error, Layout, ModelInfo, Quantity, Result, Tensor, Token,
    Trace, TraceRequest, VisionLanguageModel, Want, Wrt, testkit::ToyModel,
};
use ndarray::{Array1, Array2, Array3, Axis};
use proptest::prelude::*;

/// Tokens that close the turn after the answer.
pub const CLOSING: usize = 2;

/// Shows fixed maps, and remembers what it was asked.
///
/// The sequence is: begin, the image tokens from last to first with a text token in their midst, end of the question,
/// the answer's tokens, the closing ones.
#[derive(Clone)]
pub struct Fixed {
    /// How far each layer sees.
    pub kinds: Vec<AttentionKind>,
    /// Rows and columns of image tokens.
    pub grid: (usize, usize),
    /// Positions of the image tokens, row by row over the grid.
    pub image: Vec<usize>,
    /// Tokens of the answer.
    pub tokens: usize,
    /// A of each layer: (heads, S, S).
    pub attention: Vec<Array3<f32>>,
    /// The gradient of each token's log p with respect to A of each layer: (heads, S, S).
    pub gradient: Vec<Vec<Array3<f32>>>,
    /// What is done to a trace before it is given away.
    pub spoil: fn(&mut Trace),
    pub asked: Arc<Mutex<Vec<TraceRequest>>>,
}

impl Fixed {
    /// Position of the answer's first token.
    pub fn first(&self) -> usize {
        self.image.len() + 3
    }

    /// The mean of a layer's heads.
    pub fn mean(&self, layer: usize) -> Array2<f32> {
        self.attention[layer].mean_axis(Axis(0)).unwrap()
    }

    /// The gradient of some tokens' log p together.
    pub fn gradient_of(
        &self,
        layer: usize,
        mut tokens: impl Iterator<Item = usize>,
    ) -> Array3<f32> {
        let first = self.gradient[layer][tokens.next().unwrap()].clone();
        tokens.fold(first, |sum, t| sum + &self.gradient[layer][t])
    }

    /// A request that the model was sent.
    pub fn asked(&self, number: usize) -> TraceRequest {
        self.asked.lock().unwrap()[number].clone()
    }
}

/// A model of `heads` heads whose attention is causal, keeps to its windows and is random otherwise. A gradient
/// reaches the rows up to the one that predicts its token.
pub fn random(
    seed: u64,
    kinds: &[AttentionKind],
    heads: usize,
    grid: (usize, usize),
    tokens: usize,
) -> Fixed {
    let cells = grid.0 * grid.1;
    let length = cells + 3 + tokens + CLOSING;
    let text = 1 + cells / 2;
    let image = (1..=cells + 1).rev().filter(|&at| at != text).collect();
    let mut state = seed;
    // SplitMix64 (Steele et al., OOPSLA 2014), to 24 bits of the unit interval.
    let mut noise = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    };
    let shape = (heads, length, length);
    let attention = |&kind: &AttentionKind| {
        let mut map = Array3::from_shape_simple_fn(shape, &mut noise);
        for ((_, q, k), weight) in map.indexed_iter_mut() {
            let far = match kind {
                AttentionKind::Sliding(window) => k + window as usize <= q,
                _ => false,
            };
            if k > q || far {
                *weight = 0.0;
            }
        }
        let sums = map.sum_axis(Axis(2)).insert_axis(Axis(2));
        map / sums
    };
    let attention = kinds.iter().map(attention).collect();
    let mut gradient = |t: usize| {
        let last = cells + 2 + t;
        let values = Array3::from_shape_simple_fn(shape, || noise() - 0.5);
        Array3::from_shape_fn(shape, |at| if at.1 <= last { values[at] } else { 0.0 })
    };
    let gradient = kinds
        .iter()
        .map(|_| (0..tokens + CLOSING).map(&mut gradient).collect())
        .collect();
    Fixed {
        kinds: kinds.to_vec(),
        grid,
        image,
        tokens,
        attention,
        gradient,
        spoil: |_| (),
        asked: Arc::default(),
    }
}

/// Random models of 1 to 5 full layers, on grids that need not be square.
pub fn seeds() -> impl Strategy<Value = Fixed> {
    let sizes = (1usize..=5, 1usize..=3, (1usize..=3, 1usize..=4), 1usize..=4);
    (any::<u64>(), sizes).prop_map(|(seed, (depth, heads, grid, tokens))| {
        random(seed, &vec![AttentionKind::Full; depth], heads, grid, tokens)
    })
}

impl std::fmt::Debug for Fixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} layers, grid {:?}, {} tokens",
            self.kinds.len(),
            self.grid,
            self.tokens
        )
    }
}

impl VisionLanguageModel for Fixed {
    fn info(&self) -> Result<ModelInfo> {
        let mut info = ToyModel::looking_at(self.grid, (0, 0), 1.0, 0.0).info()?;
        info.layers = self.kinds.clone();
        info.heads = self.attention[0].len_of(Axis(0)) as u32;
        Ok(info)
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        self.asked.lock().unwrap().push(request.clone());
        let first = self.first();
        let count = match request.span {
            AnswerSpan::Answer => self.tokens,
            AnswerSpan::Turn => self.tokens + CLOSING,
        };
        let objective = &request.objective;
        let tokens = objective.tokens.clone().unwrap_or(0..count);
        if tokens.end > count {
            return Err(Error::invalid(format!("the answer has {count} tokens")));
        }
        // A mean of probabilities has another scale and the same direction here.
        let scale = match objective.quantity {
            Quantity::LogProb => 1.0,
            _ => 0.5 / tokens.len() as f32,
        };
        let capture = |&want: &Want| {
            let tensor = match want {
                Want::Attention { layer, heads: true } => {
                    Tensor::from_array(self.attention[layer as usize].clone())
                }
                Want::Attention { layer, .. } => Tensor::from_array(self.mean(layer as usize)),
                Want::Gradient(Wrt::Attention { layer }) => {
                    Tensor::from_array(self.gradient_of(layer as usize, tokens.clone()) * scale)
                }
                _ => return Err(Error::unsupported(format!("{want} was asked for"))),
            };
            Ok(Capture { want, tensor })
        };
        let token = |id| Token {
            id,
            text: id.to_string(),
        };
        let mut trace = Trace::new(
            Layout::new(
                vec![0; first + self.tokens + CLOSING],
                self.image.clone(),
                (self.grid.0 as u32, self.grid.1 as u32),
                first..first + count,
                (0..count as u32).map(token).collect(),
            ),
            request.wants.iter().map(capture).collect::<Result<_>>()?,
            Tensor::from_array(Array1::<f32>::zeros(count)),
            tokens.len() as f64,
            Tensor::from_array(Array3::<f32>::zeros((3, 1, 1))),
        );
        trace.baseline_values = None;
        trace.baseline_objective = None;
        (self.spoil)(&mut trace);
        Ok(trace)
    }
}
