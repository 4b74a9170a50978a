//! The chat template of a checkpoint, and the settings of its tokenizer.

use std::path::Path;

use medfocus_plugin_api::file;
use minijinja::Environment;
use serde::Deserialize;

use crate::jinja::environment;
use crate::{Error, Result};

/// `tokenizer_config.json`, as far as it matters here.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct TokenizerSettings {
    pub eos_token: Option<TokenText>,
    pub pad_token: Option<TokenText>,
    chat_template: Option<Template>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum TokenText {
    Plain(String),
    Object { content: String },
}

impl TokenText {
    /// Either way, its text.
    pub fn into_string(self) -> String {
        match self {
            Self::Plain(text) | Self::Object { content: text } => text,
        }
    }
}

/// One template, or several by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Template {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

impl TokenizerSettings {
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer_config.json");
        read_optional(&path)?.map_or(Ok(Self::default()), |text| {
            serde_json::from_str(&text).map_err(|error| Error::File {
                path,
                reason: error.to_string(),
            })
        })
    }

    fn template(&self) -> Option<&str> {
        match self.chat_template.as_ref()? {
            Template::One(text) => Some(text),
            Template::Named(all) => all
                .iter()
                .find(|named| named.name == "default")
                .map(|named| named.template.as_str()),
        }
    }
}

/// The text of a file, or `None` when there is no such file.
fn read_optional(path: &Path) -> Result<Option<String>> {
    match file::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::unreadable(path, error)),
    }
}

/// Finds and compiles the chat template, looking where transformers 4.57.3 looks, in its order.
pub(crate) fn compile(folder: &Path, settings: &TokenizerSettings) -> Result<Environment<'static>> {
    let path = folder.join("chat_template.jinja");
    let legacy = folder.join("chat_template.json");
    let (path, source) = if let Some(text) = read_optional(&path)? {
        (path, text)
    } else if let Some(text) = read_optional(&legacy)? {
        #[derive(Deserialize)]
        struct Legacy {
            chat_template: String,
        }
        let parsed: Legacy = serde_json::from_str(&text).map_err(|error| Error::File {
            path: legacy.clone(),
            reason: error.to_string(),
        })?;
        (legacy, parsed.chat_template)
    } else if let Some(text) = settings.template() {
        (folder.join("tokenizer_config.json"), text.to_owned())
    } else {
        return Err(Error::File {
            path,
            reason:
                "the checkpoint has no chat template; copy it from the instruction-tuned checkpoint"
                    .to_owned(),
        });
    };
    environment(source).map_err(|error| Error::File {
        path,
        reason: format!("is not a chat template this backend can run ({error})"),
    })
}
