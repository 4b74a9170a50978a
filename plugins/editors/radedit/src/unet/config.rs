//! `config.json` of a UNet.

use std::path::Path;

use medfocus_torch::settings;

use crate::Result;
use crate::diffusers::keys::{Keys, check_levels, check_multiple, check_size, refuse};
use crate::diffusers::resnet::ResnetShape;

/// The reference's class.
const CLASS: &str = "UNet2DConditionModel";

/// The resolved configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Channels of the latents.
    pub in_channels: i64,
    /// Channels of the prediction.
    pub out_channels: i64,
    /// The levels from the finest to the coarsest; each has half the size of the one before.
    pub levels: Vec<Level>,
    /// Width of a text state.
    pub cross_attention_dim: i64,
    /// Whether the projections around attention are stored as linear maps instead of convolutions.
    pub use_linear_projection: bool,
    /// Groups of the norms.
    pub norm_num_groups: i64,
    /// Epsilon of the norms of the residual blocks and the output.
    pub norm_eps: f64,
    /// Padding where a level is halved: 1 on all sides, or 0 for one on the right and below.
    pub downsample_padding: i64,
    /// The sums of the residual blocks in the middle are divided by this.
    pub mid_block_scale_factor: f64,
    /// Width of the embedding of the timestep.
    pub time_width: i64,
    /// Whether the cosines of the timestep come before the sines.
    pub flip_sin_to_cos: bool,
    /// How many fewer steps than channels the frequencies of the timestep take.
    pub freq_shift: f64,
}

/// One level, on the way down and on the way up.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Channels.
    pub channels: i64,
    /// Residual blocks on the way down; there is one more on the way up.
    pub layers: i64,
    /// Attention heads.
    pub heads: i64,
    /// Transformer layers behind each residual block.
    pub depth: i64,
    /// Whether the first attention of a transformer layer looks at the text, too.
    pub only_cross_attention: bool,
    /// Whether there is attention on the way down.
    pub attends_down: bool,
    /// Whether there is attention on the way up.
    pub attends_up: bool,
}

impl Config {
    /// Reads `config.json` of the folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        settings::config(folder, "diffusers UNet", Self::parse)
    }

    /// Reads the text of a `config.json`. What a file leaves out takes the reference's default.
    ///
    /// # Errors
    ///
    /// A key that asks for what is not run here, or does not fit the others, by its name.
    pub fn parse(text: &str) -> Result<Self> {
        let mut keys = Keys::parse(text, CLASS)?;
        let levels = levels(&mut keys)?;
        let first = levels[0].channels;
        let config = Self {
            in_channels: keys.size("in_channels", 4)?,
            out_channels: keys.size("out_channels", 4)?,
            cross_attention_dim: keys.size("cross_attention_dim", 1280)?,
            use_linear_projection: keys.take("use_linear_projection", false)?,
            norm_num_groups: keys.size("norm_num_groups", 32)?,
            norm_eps: keys.take("norm_eps", 1e-5)?,
            downsample_padding: keys.take("downsample_padding", 1)?,
            mid_block_scale_factor: keys.take("mid_block_scale_factor", 1.0)?,
            time_width: match keys.take("time_embedding_dim", None::<i64>)? {
                None => 4 * first,
                Some(width) => check_size("time_embedding_dim", width)?,
            },
            flip_sin_to_cos: keys.take("flip_sin_to_cos", true)?,
            freq_shift: keys.take("freq_shift", 0.0)?,
            levels,
        };
        refuse_others(keys)?;
        config.check()?;
        Ok(config)
    }

    /// What the residual blocks have in common.
    pub fn resnet(&self) -> ResnetShape {
        ResnetShape {
            groups: self.norm_num_groups,
            eps: self.norm_eps,
            time: Some(self.time_width),
            scale: 1.0,
        }
    }

    fn check(&self) -> Result<()> {
        if !matches!(self.downsample_padding, 0 | 1) {
            return refuse(format!(
                "downsample_padding is {}, but only 0 and 1 can be run",
                self.downsample_padding
            ));
        }
        for (key, value) in [
            ("norm_eps", self.norm_eps),
            ("mid_block_scale_factor", self.mid_block_scale_factor),
        ] {
            if value <= 0.0 {
                return refuse(format!("{key} is {value}, which is not positive"));
            }
        }
        let first = self.levels[0].channels;
        check_multiple("the first of block_out_channels", first, "the number", 2)?;
        if self.freq_shift >= first as f64 / 2.0 {
            return refuse(format!(
                "freq_shift is {}, which is not below half of the first of block_out_channels",
                self.freq_shift
            ));
        }
        let coarsest = self.levels.len() - 1;
        for (number, level) in self.levels.iter().enumerate() {
            let (key, groups) = ("block_out_channels", self.norm_num_groups);
            check_multiple(key, level.channels, "norm_num_groups", groups)?;
            if level.attends_down || level.attends_up || number == coarsest {
                check_multiple(key, level.channels, "attention_head_dim", level.heads)?;
            }
        }
        Ok(())
    }
}

fn levels(keys: &mut Keys) -> Result<Vec<Level>> {
    let channels = keys.sizes("block_out_channels", &[320, 640, 1280, 1280])?;
    let count = channels.len();
    let down = ["CrossAttnDownBlock2D", "DownBlock2D"];
    let down = keys.types("down_block_types", vec![true, true, true, false], down)?;
    let up = ["CrossAttnUpBlock2D", "UpBlock2D"];
    let up = keys.types("up_block_types", vec![false, true, true, true], up)?;
    check_levels("down_block_types", &down, count)?;
    check_levels("up_block_types", &up, count)?;
    let layers = keys.sizes_per_level("layers_per_block", 2, count)?;
    let heads = keys.sizes_per_level("attention_head_dim", 8, count)?;
    let depth = keys.sizes_per_level("transformer_layers_per_block", 1, count)?;
    let only_cross = keys.per_level("only_cross_attention", false, count)?;
    let level = |at: usize| Level {
        channels: channels[at],
        layers: layers[at],
        heads: heads[at],
        depth: depth[at],
        only_cross_attention: only_cross[at],
        attends_down: down[at],
        // The way up is listed from the coarsest level.
        attends_up: up[count - 1 - at],
    };
    Ok((0..count).map(level).collect())
}

/// Refuses what would make another network than the one that is built here.
fn refuse_others(mut keys: Keys) -> Result<()> {
    // The latents may have any size, nothing is dropped outside training, and the fused kernel adds up in f32 anyway, as the
    // reference's does.
    keys.skip(&["sample_size", "dropout", "upcast_attention"]);
    keys.only("act_fn", "silu")?;
    keys.only("mid_block_type", "UNetMidBlock2DCrossAttn")?;
    keys.only("resnet_time_scale_shift", "default")?;
    keys.only("resnet_out_scale_factor", 1.0)?;
    keys.only("time_embedding_type", "positional")?;
    keys.only("attention_type", "default")?;
    keys.only("conv_in_kernel", 3)?;
    keys.only("conv_out_kernel", 3)?;
    keys.only("addition_embed_type_num_heads", 64)?;
    for key in [
        "center_input_sample",
        "dual_cross_attention",
        "resnet_skip_time_act",
        "class_embeddings_concat",
    ] {
        keys.only(key, false)?;
    }
    for key in [
        "num_attention_heads",
        "reverse_transformer_layers_per_block",
        "encoder_hid_dim",
        "encoder_hid_dim_type",
        "class_embed_type",
        "num_class_embeds",
        "projection_class_embeddings_input_dim",
        "addition_embed_type",
        "addition_time_embed_dim",
        "time_embedding_act_fn",
        "timestep_post_act",
        "time_cond_proj_dim",
        "mid_block_only_cross_attention",
        "cross_attention_norm",
    ] {
        keys.only(key, None::<()>)?;
    }
    keys.finish()
}
