//! `generation_config.json`, as far as greedy generation follows it.

use std::path::Path;

use medfocus_plugin_api::file;
use serde::Deserialize;

use crate::{Error, Result};

/// What decides a greedy generation, beside the model.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationSettings {
    /// Tokens that end it.
    pub eos: Vec<i64>,
    /// Logits of tokens that are there already are divided by this where positive, multiplied by it where negative (Keskar et
    /// al. 2019, as transformers does it); 1 changes nothing.
    pub repetition_penalty: f64,
}

impl GenerationSettings {
    /// Reads the file of a checkpoint folder; what it leaves out takes these end tokens and no penalty.
    pub fn from_folder(folder: &Path, eos: Vec<i64>) -> Result<Self> {
        #[derive(Deserialize, Default)]
        struct Raw {
            eos_token_id: Option<Ids>,
            repetition_penalty: Option<f64>,
        }
        let path = folder.join("generation_config.json");
        let wrong = |reason: String| Error::File {
            path: path.clone(),
            reason,
        };
        let raw = match file::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Raw::default(),
            Err(error) => return Err(wrong(format!("cannot be read ({error})"))),
            Ok(text) => serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?,
        };
        let repetition_penalty = raw.repetition_penalty.unwrap_or(1.0);
        if !(repetition_penalty.is_finite() && repetition_penalty > 0.0) {
            return Err(wrong(format!(
                "repetition_penalty is {repetition_penalty}, which is not a positive number"
            )));
        }
        Ok(Self {
            eos: raw.eos_token_id.map_or(eos, Ids::into_vec),
            repetition_penalty,
        })
    }
}

/// One id or several.
#[derive(Debug, Deserialize, Clone)]
#[serde(untagged)]
pub enum Ids {
    /// One.
    One(i64),
    /// Several.
    Many(Vec<i64>),
}

impl Ids {
    /// All of them.
    pub fn into_vec(self) -> Vec<i64> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}
