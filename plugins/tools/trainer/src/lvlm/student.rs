//! What a small network must say of itself to be trained.

use std::collections::BTreeMap;

use anyhow::Result;
use medfocus_lvlm::network::{self, Network};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;
use serde_json::Value;

use super::corpus::Boxes;
use super::tokenizer::Tokens;
use crate::checkpoint::{Format, Staging};

/// An architecture in small, how training starts, and how its checkpoint is laid out.
pub trait Student: 'static {
    /// What runs it.
    type Family: network::Family;
    /// How it is to write boxes.
    const BOXES: Boxes;
    /// Its tokens.
    const TOKENS: Tokens;
    /// How its weights are stored.
    const FORMAT: Format;

    /// `config.json` for a vocabulary of this size.
    fn config(vocabulary: usize) -> Value;

    /// Writes the files beside configuration, tokenizer and weights.
    fn write(staging: &Staging) -> Result<()>;

    /// Whether a parameter belongs to the image tower.
    fn sees(name: &str) -> bool;

    /// Where a parameter starts. `pixels` are images to scale the patch embedding by.
    fn initial(name: &str, shape: &[i64], pixels: &Tensor) -> Tensor;
}

/// A student's network.
pub type Net<S> = <<S as Student>::Family as network::Family>::Network;
/// A student's configuration.
pub type Config<S> = <<S as Student>::Family as network::Family>::Config;

/// Name and shape of every parameter of this configuration.
pub fn shapes<S: Student>(config: &Config<S>) -> Result<BTreeMap<String, Vec<i64>>> {
    let blueprint = Weights::blueprint();
    <S::Family as network::Family>::network(config, &blueprint)?;
    Ok(blueprint.wanted())
}

/// The network over these parameters.
pub fn build<S: Student>(
    config: &Config<S>,
    parameters: &BTreeMap<String, Tensor>,
) -> Result<Net<S>> {
    let tensors = parameters
        .iter()
        .map(|(name, value)| (name.clone(), value.shallow_clone()))
        .collect();
    let weights = Weights::from_tensors(tensors);
    Ok(<S::Family as network::Family>::network(config, &weights)?)
}

/// What the tower makes of each patch, `[images, patches, width]`, and the image features made of that.
pub fn see<N: Network>(network: &N, pixels: &Tensor) -> Result<(Tensor, Tensor)> {
    let last = network.stages() - 1;
    let patches =
        (0..last).try_fold(pixels.shallow_clone(), |x, stage| network.stage(stage, &x))?;
    let features = network.stage(last, &patches)?;
    let (images, width) = (patches.size()[0], *patches.size().last().unwrap_or(&1));
    Ok((patches.f_reshape([images, -1, width])?, features))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::lvlm::architecture::IMAGE_TOKENS;
    use crate::lvlm::settings;
    use medfocus_lvlm::prompt::Prompter;
    use network::Family as _;

    /// A question as this student reads it, token by token.
    pub fn prompt<S: Student>(question: &str) -> Vec<String> {
        let parent = tempfile::tempdir().unwrap();
        let staging = Staging::new(&parent.path().join("checkpoint")).unwrap();
        settings::write::<S>(&staging).unwrap();
        let config = S::Family::config(staging.folder()).unwrap();
        let prompter = Prompter::from_folder::<S::Family>(staging.folder(), &config).unwrap();
        let pixels = S::Family::pixels(staging.folder(), &config).unwrap();
        assert_eq!(pixels.size(224, 224).unwrap(), (112, 112));
        let ids = prompter.question(question, IMAGE_TOKENS).unwrap();
        let tokens = prompter.describe(&ids).into_iter();
        tokens.map(|token| token.text).collect()
    }
}
