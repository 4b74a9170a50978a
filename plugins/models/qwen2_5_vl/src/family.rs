//! Qwen2.5-VL as the engine sees it.

use std::path::Path;

use medfocus_lvlm::memory::Shapes;
use medfocus_lvlm::network::{self, Facts, ImageBlock, Pixels};
use medfocus_plugin_api::{AttentionKind, Coordinates};
use medfocus_torch::weights::Weights;

use crate::config::Config;
use crate::names::Names;
use crate::processor::Processor;
use crate::{Qwen2_5Vl, Result};

/// Qwen2.5-VL.
#[derive(Debug)]
pub struct Family;

impl network::Family for Family {
    const NAME: &'static str = "qwen2_5_vl";
    const SUMMARY: &'static str =
        "Qwen2.5-VL checkpoints, with attention, hidden states and gradients.";
    const CHECKPOINT: &'static str = "a Qwen2.5-VL checkpoint";

    type Network = Qwen2_5Vl;
    type Config = Config;

    fn config(folder: &Path) -> Result<Config> {
        Config::from_folder(folder)
    }

    fn network(config: &Config, weights: &Weights) -> Result<Qwen2_5Vl> {
        Qwen2_5Vl::new(config.clone(), weights)
    }

    fn layer_prefix(weights: &Weights, layer: usize) -> Result<String> {
        let names = Names::detect(weights)?;
        Ok(format!("{}.layers.{layer}.", names.decoder))
    }

    fn image_prefixes(config: &Config, weights: &Weights) -> Result<Vec<Vec<String>>> {
        let vision = Names::detect(weights)?.vision;
        let blocks = (0..config.vision.depth).rev();
        let blocks = blocks.map(|block| format!("{vision}.blocks.{block}."));
        let [merger, patches] = ["merger", "patch_embed"].map(|end| format!("{vision}.{end}."));
        let stages = [merger].into_iter().chain(blocks).chain([patches]);
        Ok(stages.map(|stage| vec![stage]).collect())
    }

    fn pixels(folder: &Path, config: &Config) -> Result<Box<dyn Pixels>> {
        Ok(Box::new(Processor::from_folder(folder, &config.vision)?))
    }

    fn image_block(
        config: &Config,
        text: &dyn Fn(i64, &str) -> Result<String>,
    ) -> Result<ImageBlock> {
        Ok(ImageBlock {
            placeholder: text(config.image_token, "image")?,
            before: String::new(),
            token: config.image_token,
            after: String::new(),
            begin: None,
        })
    }

    fn end_tokens(config: &Config) -> Vec<i64> {
        config.eos.clone()
    }

    fn facts(config: &Config) -> Facts {
        let text = &config.text;
        Facts {
            coordinates: Coordinates::XyxyPixels,
            layers: vec![AttentionKind::Full; text.layers as usize],
            heads: text.heads as u32,
            hidden: text.hidden_size as u32,
        }
    }

    fn shapes(config: &Config, height: i64, width: i64) -> Shapes {
        let (text, vision) = (&config.text, &config.vision);
        let squares = |side: i64| (height / side) * (width / side);
        Shapes {
            pixels: vision.in_channels * height * width,
            patches: squares(vision.patch_size),
            tower_layers: vision.depth,
            tower_width: vision.hidden_size,
            tower_inner: 2 * vision.intermediate_size,
            tokens: squares(vision.token_side()),
            layers: text.layers,
            hidden: text.hidden_size,
            inner: text.intermediate_size,
            heads: text.hidden_size,
            vocabulary: text.vocab_size,
        }
    }
}
