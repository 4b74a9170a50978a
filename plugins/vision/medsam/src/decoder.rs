//! The mask decoder: box tokens and an image embedding to masks and their scores.

use medfocus_torch::nn::{Activation, LayerNorm, Linear};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::DecoderConfig;
use crate::layers::{CHANNEL_NORM_EPS, channel_norm};
use crate::transformer::TwoWayTransformer;

/// The mask decoder.
#[derive(Debug)]
pub struct MaskDecoder {
    /// One token for the scores, then one for each mask, `[1 + masks, width]`. The first mask is meant for
    /// prompts of several clicks; its token takes part and its mask is not made.
    tokens: Tensor,
    transformer: TwoWayTransformer,
    upscale1: Upscale,
    upscale_norm: LayerNorm,
    upscale2: Upscale,
    hypernetworks: Vec<FeedForward>,
    scores: FeedForward,
}

/// A transposed convolution that doubles both sides.
#[derive(Debug)]
struct Upscale {
    weight: Tensor,
    bias: Tensor,
}

/// Linear maps with ReLU between them.
#[derive(Debug)]
struct FeedForward {
    maps: Vec<Linear>,
}

/// What the decoder makes of each box.
#[derive(Debug)]
pub struct Decoded {
    /// Logits `[boxes, masks, 4 grid, 4 grid]`.
    pub masks: Tensor,
    /// The predicted overlap (intersection over union) of each mask with the region meant, `[boxes, masks]`.
    pub scores: Tensor,
}

impl MaskDecoder {
    /// Takes its parameters under `mask_decoder`.
    pub fn new(config: &DecoderConfig, weights: &Weights) -> Result<Self> {
        let width = config.hidden_size;
        let masks = config.num_multimask_outputs + 1;
        let tokens = [
            weights.get("mask_decoder.iou_token.weight", &[1, width])?,
            weights.get("mask_decoder.mask_tokens.weight", &[masks, width])?,
        ];
        Ok(Self {
            tokens: Tensor::f_cat(&tokens, 0)?,
            transformer: TwoWayTransformer::new(config, weights, "mask_decoder.transformer")?,
            upscale1: Upscale::new(weights, "mask_decoder.upscale_conv1", width, width / 4)?,
            upscale_norm: LayerNorm::new(
                weights,
                "mask_decoder.upscale_layer_norm",
                width / 4,
                CHANNEL_NORM_EPS,
            )?,
            upscale2: Upscale::new(weights, "mask_decoder.upscale_conv2", width / 4, width / 8)?,
            hypernetworks: (0..masks)
                .map(|mask| {
                    let name = format!("mask_decoder.output_hypernetworks_mlps.{mask}");
                    FeedForward::new(weights, &name, width, width, width / 8, 3)
                })
                .collect::<Result<_>>()?,
            scores: FeedForward::new(
                weights,
                "mask_decoder.iou_prediction_head",
                width,
                config.iou_head_hidden_dim,
                masks,
                config.iou_head_depth,
            )?,
        })
    }

    /// The masks of each box of one image.
    ///
    /// `embedding` is `[1, width, grid, grid]`, with what stands for a mask prompt added; `places` codes its
    /// places, `[grid * grid, width]`; `prompts` are the boxes, `[boxes, 2, width]`.
    pub fn forward(
        &self,
        embedding: &Tensor,
        places: &Tensor,
        prompts: &Tensor,
    ) -> Result<Decoded> {
        let (_, width, rows, columns) = embedding.size4()?;
        let (boxes, ..) = prompts.size3()?;
        let own = self
            .tokens
            .f_unsqueeze(0)?
            .f_expand([boxes, -1, -1], false)?;
        let tokens = Tensor::f_cat(&[&own, prompts], 1)?;
        let image = embedding
            .f_flatten(2, -1)?
            .f_transpose(1, 2)?
            .f_expand([boxes, -1, -1], false)?;
        let (tokens, image) = self.transformer.forward(&tokens, &image, places)?;

        let image = image
            .f_transpose(1, 2)?
            .f_reshape([boxes, width, rows, columns])?;
        let gelu = |x: &Tensor| Activation::Gelu.apply(x);
        let upscaled = self.upscale1.forward(&image)?;
        let upscaled = gelu(&channel_norm(&self.upscale_norm, &upscaled)?)?;
        let upscaled = gelu(&self.upscale2.forward(&upscaled)?)?;

        let weights = (1..self.hypernetworks.len())
            .map(|mask| self.hypernetworks[mask].forward(&tokens.f_select(1, 1 + mask as i64)?))
            .collect::<Result<Vec<_>>>()?;
        let masks = Tensor::f_stack(&weights, 1)?
            .f_matmul(&upscaled.f_flatten(2, -1)?)?
            .f_reshape([boxes, -1, 4 * rows, 4 * columns])?;
        let scores = self.scores.forward(&tokens.f_select(1, 0)?)?;
        Ok(Decoded {
            masks,
            scores: scores.f_slice(1, 1, None, 1)?,
        })
    }
}

impl Upscale {
    fn new(weights: &Weights, name: &str, inputs: i64, outputs: i64) -> Result<Self> {
        Ok(Self {
            weight: weights.get(&format!("{name}.weight"), &[inputs, outputs, 2, 2])?,
            bias: weights.get(&format!("{name}.bias"), &[outputs])?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_conv_transpose2d(&self.weight, Some(&self.bias), 2, 0, 0, 1, 1)?)
    }
}

impl FeedForward {
    /// Takes `{name}.proj_in`, the `{name}.layers` between, and `{name}.proj_out`: `depth` maps.
    fn new(
        weights: &Weights,
        name: &str,
        inputs: i64,
        inner: i64,
        outputs: i64,
        depth: i64,
    ) -> Result<Self> {
        let linear = |leaf: &str, inputs, outputs| {
            Linear::new(weights, &format!("{name}.{leaf}"), inputs, outputs, true)
        };
        let mut maps = vec![linear("proj_in", inputs, inner)?];
        for layer in 0..depth - 2 {
            maps.push(linear(&format!("layers.{layer}"), inner, inner)?);
        }
        maps.push(linear("proj_out", inner, outputs)?);
        Ok(Self { maps })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (number, map) in self.maps.iter().enumerate() {
            if number > 0 {
                x = Activation::Relu.apply(&x)?;
            }
            x = map.forward(&x)?;
        }
        Ok(x)
    }
}
