//! Gemma 3 as the engine sees it.

use std::path::Path;

use medfocus_lvlm::memory::Shapes;
use medfocus_lvlm::network::{self, Facts, ImageBlock, Pixels};
use medfocus_plugin_api::{AttentionKind, Coordinates};
use medfocus_torch::weights::Weights;

use crate::config::{Config, Reach};
use crate::names::Names;
use crate::processor::Processor;
use crate::{Gemma3, Result};

/// Gemma 3 and MedGemma.
#[derive(Debug)]
pub struct Family;

impl network::Family for Family {
    const NAME: &'static str = "gemma3";
    const SUMMARY: &'static str =
        "Gemma 3 and MedGemma checkpoints, with attention, hidden states and gradients.";
    const CHECKPOINT: &'static str = "a Gemma 3 or MedGemma checkpoint";

    type Network = Gemma3;
    type Config = Config;

    fn config(folder: &Path) -> Result<Config> {
        Config::from_folder(folder)
    }

    fn network(config: &Config, weights: &Weights) -> Result<Gemma3> {
        Gemma3::new(config.clone(), weights)
    }

    fn layer_prefix(weights: &Weights, layer: usize) -> Result<String> {
        let names = Names::detect(weights)?;
        Ok(format!("{}.layers.{layer}.", names.decoder))
    }

    fn image_prefixes(config: &Config, weights: &Weights) -> Result<Vec<Vec<String>>> {
        let Names {
            projector, vision, ..
        } = Names::detect(weights)?;
        let head = vec![format!("{projector}."), format!("{vision}.post_layernorm.")];
        let layers = (0..config.vision.num_hidden_layers).rev();
        let layers = layers.map(|layer| vec![format!("{vision}.encoder.layers.{layer}.")]);
        let patches = vec![format!("{vision}.embeddings.")];
        Ok([head].into_iter().chain(layers).chain([patches]).collect())
    }

    fn pixels(folder: &Path, config: &Config) -> Result<Box<dyn Pixels>> {
        let processor = Processor::from_folder(folder, config.vision.image_size)?;
        Ok(Box::new(processor))
    }

    fn image_block(
        config: &Config,
        text: &dyn Fn(i64, &str) -> Result<String>,
    ) -> Result<ImageBlock> {
        let begin = text(config.begin_image, "begin-of-image")?;
        let end = text(config.end_image, "end-of-image")?;
        Ok(ImageBlock {
            before: format!("\n\n{begin}"),
            token: config.image_token,
            after: format!("{end}\n\n"),
            placeholder: begin,
            begin: Some(config.text.bos),
        })
    }

    fn end_tokens(config: &Config) -> Vec<i64> {
        config.eos.clone()
    }

    fn facts(config: &Config) -> Facts {
        let text = &config.text;
        let window = text.sliding_window as u32;
        let layers = text.layers.iter().map(|reach| match reach {
            Reach::Full => AttentionKind::Full,
            Reach::Sliding => AttentionKind::Sliding(window),
        });
        Facts {
            coordinates: Coordinates::YxyxThousand,
            layers: layers.collect(),
            heads: text.heads as u32,
            hidden: text.hidden_size as u32,
        }
    }

    fn shapes(config: &Config, height: i64, width: i64) -> Shapes {
        let (text, vision) = (&config.text, &config.vision);
        Shapes {
            pixels: vision.num_channels * height * width,
            patches: vision.patches_per_side().pow(2),
            tower_layers: vision.num_hidden_layers,
            tower_width: vision.hidden_size,
            tower_inner: vision.intermediate_size,
            tokens: config.tokens_per_image,
            layers: text.layers.len() as i64,
            hidden: text.hidden_size,
            inner: text.intermediate_size,
            heads: text.heads * text.head_dim,
            vocabulary: text.vocab_size,
        }
    }
}
