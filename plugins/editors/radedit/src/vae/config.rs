//! `config.json` of an autoencoder.

use std::path::Path;

use medfocus_torch::settings;

use crate::Result;
use crate::diffusers::keys::{Keys, check_multiple, refuse};
use crate::diffusers::resnet::ResnetShape;

/// The reference's class.
const CLASS: &str = "AutoencoderKL";
/// Epsilon of all norms, whatever the configuration says.
pub const EPS: f64 = 1e-6;
/// Colours of an image.
pub const COLOURS: i64 = 3;

/// The resolved configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Channels of the levels, from the finest to the coarsest; each has half the size of the one before.
    pub block_out_channels: Vec<i64>,
    /// Residual blocks of a level of the encoder; the decoder has one more.
    pub layers_per_block: i64,
    /// Channels of the latents.
    pub latent_channels: i64,
    /// Groups of the norms.
    pub norm_num_groups: i64,
    /// The diffusion model sees latents times this.
    pub scaling_factor: f64,
    /// Whether it must be computed in f32.
    pub force_upcast: bool,
}

impl Config {
    /// Reads `config.json` of the folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        settings::config(folder, "diffusers autoencoder", Self::parse)
    }

    /// Reads the text of a `config.json`. What a file leaves out takes the reference's default.
    ///
    /// # Errors
    ///
    /// A key that asks for what is not run here, or does not fit the others, by its name.
    pub fn parse(text: &str) -> Result<Self> {
        let mut keys = Keys::parse(text, CLASS)?;
        let config = Self {
            block_out_channels: keys.sizes("block_out_channels", &[64])?,
            layers_per_block: keys.size("layers_per_block", 1)?,
            latent_channels: keys.size("latent_channels", 4)?,
            norm_num_groups: keys.size("norm_num_groups", 32)?,
            scaling_factor: keys.take("scaling_factor", 0.18215)?,
            force_upcast: keys.take("force_upcast", true)?,
        };
        let levels = config.block_out_channels.len();
        keys.only("in_channels", COLOURS)?;
        keys.only("out_channels", COLOURS)?;
        keys.only("down_block_types", vec!["DownEncoderBlock2D"; levels])?;
        keys.only("up_block_types", vec!["UpDecoderBlock2D"; levels])?;
        keys.only("act_fn", "silu")?;
        for key in [
            "use_quant_conv",
            "use_post_quant_conv",
            "mid_block_add_attention",
        ] {
            keys.only(key, true)?;
        }
        for key in ["shift_factor", "latents_mean", "latents_std"] {
            keys.only(key, None::<()>)?;
        }
        // Images may have any size.
        keys.skip(&["sample_size"]);
        keys.finish()?;
        config.check()?;
        Ok(config)
    }

    /// Channels of the coarsest level.
    pub fn coarsest(&self) -> i64 {
        self.block_out_channels[self.block_out_channels.len() - 1]
    }

    /// What the residual blocks have in common.
    pub fn resnet(&self) -> ResnetShape {
        ResnetShape {
            groups: self.norm_num_groups,
            eps: EPS,
            time: None,
            scale: 1.0,
        }
    }

    fn check(&self) -> Result<()> {
        for &channels in &self.block_out_channels {
            let (key, groups) = ("block_out_channels", self.norm_num_groups);
            check_multiple(key, channels, "norm_num_groups", groups)?;
        }
        if self.scaling_factor <= 0.0 {
            return refuse(format!(
                "scaling_factor is {}, which is not positive",
                self.scaling_factor
            ));
        }
        Ok(())
    }
}
