//! The image tower: CLIP's ViT without its pooling, every patch weighed by the class token.

use medfocus_torch::nn::{EncoderLayer, LayerNorm, Patches};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::VisionConfig;

/// The image tower.
#[derive(Debug)]
pub struct ImageTower {
    class: Tensor,
    patches: Patches,
    positions: Tensor,
    pre_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
    post_norm: LayerNorm,
    merge_norm: LayerNorm,
}

impl ImageTower {
    /// Takes its parameters under `owlvit.vision_model`, and `layer_norm`.
    pub fn new(config: &VisionConfig, weights: &Weights) -> Result<Self> {
        let base = "owlvit.vision_model";
        let width = config.hidden_size;
        let norm = |name: &str| LayerNorm::new(weights, name, width, config.layer_norm_eps);
        let layer = |layer| {
            let name = format!("{base}.encoder.layers.{layer}");
            EncoderLayer::new(weights, &name, config.shape())
        };
        Ok(Self {
            class: weights.get(&format!("{base}.embeddings.class_embedding"), &[width])?,
            patches: Patches::new(
                weights,
                &format!("{base}.embeddings.patch_embedding"),
                config.num_channels,
                config.patch_size,
                width,
                false,
            )?,
            positions: weights.get(
                &format!("{base}.embeddings.position_embedding.weight"),
                &[config.grid().pow(2) + 1, width],
            )?,
            pre_norm: norm(&format!("{base}.pre_layernorm"))?,
            layers: (0..config.num_hidden_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            post_norm: norm(&format!("{base}.post_layernorm"))?,
            merge_norm: norm("layer_norm")?,
        })
    }

    /// Number of layers, which is how often [`Self::forward`] reports.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Pixels `[images, 3, side, side]` to features `[images, patches, width]`, row by row.
    ///
    /// Before each layer it tells `watch` how many are done; an error of it stops the work.
    pub fn forward(&self, pixels: &Tensor, watch: &dyn Fn(usize) -> Result<()>) -> Result<Tensor> {
        let patches = self.patches.forward(pixels)?;
        let (images, count, width) = patches.size3()?;
        let class = self.class.f_expand([images, 1, width], false)?;
        let tokens = Tensor::f_cat(&[class, patches], 1)?.f_add(&self.positions)?;
        let mut x = self.pre_norm.forward(&tokens)?;
        for (done, layer) in self.layers.iter().enumerate() {
            watch(done)?;
            x = layer.forward(&x, None)?;
        }
        // The norm of CLIP's class token, here of all.
        let x = self.post_norm.forward(&x)?;
        let (class, patches) = (x.f_narrow(1, 0, 1)?, x.f_narrow(1, 1, count)?);
        self.merge_norm.forward(&patches.f_mul(&class)?)
    }
}
