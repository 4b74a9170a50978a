//! The image encoder: a ViT whose layers attend in windows, a few of them globally (Li et al., ViTDet, ECCV
//! 2022), and a neck of two convolutions.

use medfocus_torch::nn::{LayerNorm, Patches};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::attention::PatchAttention;
use crate::config::VisionConfig;
use crate::layers::{CHANNEL_NORM_EPS, Mlp, channel_norm};

/// The image encoder.
#[derive(Debug)]
pub struct ImageEncoder {
    patches: Patches,
    grid: i64,
    positions: Option<Tensor>,
    layers: Vec<EncoderLayer>,
    neck: Neck,
}

#[derive(Debug)]
struct EncoderLayer {
    norm1: LayerNorm,
    attention: PatchAttention,
    norm2: LayerNorm,
    mlp: Mlp,
}

#[derive(Debug)]
struct Neck {
    conv1: Tensor,
    norm1: LayerNorm,
    conv2: Tensor,
    norm2: LayerNorm,
}

impl ImageEncoder {
    /// Takes its parameters under `vision_encoder`.
    pub fn new(config: &VisionConfig, weights: &Weights) -> Result<Self> {
        let (width, grid) = (config.hidden_size, config.grid());
        let positions = || weights.get("vision_encoder.pos_embed", &[1, grid, grid, width]);
        Ok(Self {
            patches: Patches::new(
                weights,
                "vision_encoder.patch_embed.projection",
                config.num_channels,
                config.patch_size,
                width,
                true,
            )?,
            grid,
            positions: config.use_abs_pos.then(positions).transpose()?,
            layers: (0..config.num_hidden_layers)
                .map(|layer| EncoderLayer::new(config, weights, layer))
                .collect::<Result<_>>()?,
            neck: Neck::new(config, weights)?,
        })
    }

    /// Number of layers, which is how often [`Self::forward`] reports.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Pixels `[images, 3, side, side]` to embeddings `[images, channels, grid, grid]`.
    ///
    /// Before each layer it tells `watch` how many are done; an error of it stops the work.
    pub fn forward(&self, pixels: &Tensor, watch: &dyn Fn(usize) -> Result<()>) -> Result<Tensor> {
        let grid = self.grid;
        let patches = self.patches.forward(pixels)?;
        let patches = patches.f_reshape([-1, grid, grid, patches.size3()?.2])?;
        let mut x = match &self.positions {
            Some(positions) => patches.f_add(positions)?,
            None => patches,
        };
        for (done, layer) in self.layers.iter().enumerate() {
            watch(done)?;
            x = layer.forward(&x)?;
        }
        self.neck.forward(&x)
    }
}

impl EncoderLayer {
    fn new(config: &VisionConfig, weights: &Weights, layer: i64) -> Result<Self> {
        let name = format!("vision_encoder.layers.{layer}");
        let width = config.hidden_size;
        let norm = |leaf: &str| {
            LayerNorm::new(
                weights,
                &format!("{name}.{leaf}"),
                width,
                config.layer_norm_eps,
            )
        };
        Ok(Self {
            norm1: norm("layer_norm1")?,
            attention: PatchAttention::new(config, weights, &format!("{name}.attn"), layer)?,
            norm2: norm("layer_norm2")?,
            mlp: Mlp::new(
                weights,
                &format!("{name}.mlp"),
                width,
                config.mlp_dim(),
                config.hidden_act,
            )?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.f_add(&self.attention.forward(&self.norm1.forward(x)?)?)?;
        Ok(x.f_add(&self.mlp.forward(&self.norm2.forward(&x)?)?)?)
    }
}

impl Neck {
    fn new(config: &VisionConfig, weights: &Weights) -> Result<Self> {
        let (inputs, outputs) = (config.hidden_size, config.output_channels);
        let kernel = |leaf: &str, inputs, side| {
            weights.get(
                &format!("vision_encoder.neck.{leaf}.weight"),
                &[outputs, inputs, side, side],
            )
        };
        let norm = |leaf: &str| {
            let name = format!("vision_encoder.neck.{leaf}");
            LayerNorm::new(weights, &name, outputs, CHANNEL_NORM_EPS)
        };
        Ok(Self {
            conv1: kernel("conv1", inputs, 1)?,
            norm1: norm("layer_norm1")?,
            conv2: kernel("conv2", outputs, 3)?,
            norm2: norm("layer_norm2")?,
        })
    }

    /// `[images, rows, columns, width]` to `[images, channels, rows, columns]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let convolve =
            |x: &Tensor, kernel, padding| x.f_conv2d(kernel, None::<&Tensor>, 1, padding, 1, 1);
        let x = convolve(&x.f_permute([0, 3, 1, 2])?, &self.conv1, 0)?;
        let x = channel_norm(&self.norm1, &x)?;
        channel_norm(&self.norm2, &convolve(&x, &self.conv2, 1)?)
    }
}
