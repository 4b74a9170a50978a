//! What a client asks, and whether it can be asked.

use std::sync::Arc;

use figment::value::{Dict, Value as Setting};
use medfocus_plugin_api::{Error, Mode, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{catalogue::Catalogue, job::Asked};
use crate::{config::Filling, dicom::source::Source, workbench::Workbench};

/// At most so many characters of a question, an answer or a finding.
const TEXT: usize = 4000;

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Name of the image.
    pub image: String,
    /// The question.
    question: String,
    /// The answer to explain; the model's own if nothing.
    answer: Option<String>,
    /// `direct` or `reasoning`.
    #[serde(default)]
    #[schema(value_type = String)]
    mode: Mode,
    /// The finding it is about, for methods that know findings.
    finding: Option<String>,
    /// Name of the model.
    model: String,
    /// Name of the method.
    method: String,
    /// Parameters of the method.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Map<String, Value>,
}

impl Ask {
    /// Checks all that can be checked before a model is loaded.
    ///
    /// # Errors
    ///
    /// It cannot be asked like this.
    pub fn check(
        self,
        bench: &Workbench,
        catalogue: &Catalogue,
        source: Arc<Source>,
    ) -> Result<Asked> {
        let long = |text: &str| text.chars().count() > TEXT;
        let texts = [
            Some(&self.question),
            self.answer.as_ref(),
            self.finding.as_ref(),
        ];
        if texts.into_iter().flatten().any(|text| long(text)) {
            return Err(Error::invalid(format!(
                "question, answer and finding have {TEXT} characters at most"
            )));
        }
        if self.question.trim().is_empty() {
            return Err(Error::invalid("there is no question").with_hint("write one"));
        }
        let model = catalogue.model(&self.model)?;
        catalogue.check(&self.method, &self.params)?;
        let mut params = bench.layers.config.method.clone();
        params.extend(settings(&self.params)?);
        let filling = Filling {
            component: self.method.clone(),
            params,
            ..Filling::default()
        };
        let method = bench.plan_method(&filling, &model.manifest)?;
        Ok(Asked {
            source,
            question: self.question,
            answer: self.answer,
            mode: self.mode,
            finding: self.finding,
            model_recipe: model.clone(),
            model: self.model,
            method_recipe: method,
            method: self.method,
        })
    }
}

fn settings(params: &Map<String, Value>) -> Result<Dict> {
    let setting = |(key, value): (&String, &Value)| {
        let value = Setting::serialize(value)
            .map_err(|error| Error::invalid(format!("parameter `{key}`: {error}")))?;
        Ok((key.clone(), value))
    };
    params.iter().map(setting).collect()
}
