//! Answers of `chat/completions`, of which nothing is taken on trust.

use std::collections::BTreeMap;

use medfocus_plugin_api::{Error, Result, Token};
use serde::Deserialize;

/// The number of a token whose number the server does not say.
pub const UNNUMBERED: u32 = u32::MAX;
/// What vLLM writes for the logarithm of nothing.
const NOTHING: f64 = -9999.0;
/// How far above 0 rounding may lift a log-probability.
const ROUNDING: f64 = 1e-3;

/// An answer that has the form it should have.
pub struct Reply {
    host: String,
    completion: Completion,
}

/// A token and its natural log-probability; -inf if it has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The token.
    pub token: Token,
    /// Its log-probability.
    pub log_prob: f32,
}

/// Who gave an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The model, as the server calls it.
    pub model: String,
    /// The server's name of itself and its settings.
    pub fingerprint: String,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    system_fingerprint: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
    /// One place a token, by the token's number.
    #[serde(default)]
    prompt_logprobs: Option<Vec<Option<BTreeMap<String, Place>>>>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<LogProbs>,
    #[serde(default)]
    token_ids: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct LogProbs {
    #[serde(default)]
    content: Option<Vec<Written>>,
}

#[derive(Deserialize)]
struct Written {
    token: String,
    logprob: f64,
    /// llama.cpp says it here.
    #[serde(default)]
    id: Option<u32>,
    #[serde(default)]
    top_logprobs: Vec<Other>,
}

#[derive(Deserialize)]
struct Other {
    token: String,
    logprob: f64,
}

#[derive(Deserialize)]
struct Place {
    logprob: f64,
    #[serde(default)]
    decoded_token: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<usize>,
}

impl Reply {
    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if it is not of the form of one.
    pub fn read(host: &str, body: &[u8]) -> Result<Self> {
        // What is wrong with it could be shown by its content alone.
        let completion = serde_json::from_slice(body)
            .map_err(|_| wrong(host, "is no chat completion as OpenAI's protocol has it"))?;
        let reply = Self {
            host: host.to_owned(),
            completion,
        };
        match reply.completion.choices.len() {
            1 => Ok(reply),
            n => Err(reply.wrong(&format!("holds {n} choices where one was asked for"))),
        }
    }

    fn wrong(&self, what: &str) -> Error {
        wrong(&self.host, what)
    }

    fn choice(&self) -> &Choice {
        &self.completion.choices[0]
    }

    /// Who gave it.
    pub fn origin(&self) -> Origin {
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        Origin {
            model: named(&self.completion.model),
            fingerprint: named(&self.completion.system_fingerprint),
        }
    }

    /// What the model wrote.
    pub fn text(&self) -> &str {
        self.choice().message.content.as_deref().unwrap_or_default()
    }

    /// Whether the model ended it itself.
    pub fn complete(&self) -> bool {
        self.choice().finish_reason.as_deref() == Some("stop")
    }

    /// Whether it comes with log-probabilities of what was written.
    pub fn has_log_probs(&self) -> bool {
        self.written().is_some()
    }

    fn written(&self) -> Option<&[Written]> {
        self.choice().logprobs.as_ref()?.content.as_deref()
    }

    /// The tokens that were written; none if it came without log-probabilities.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if there are more than `limit`, if their numbers are not as many, or if a log-probability is none.
    pub fn tokens(&self, limit: u32) -> Result<Vec<Scored>> {
        let Some(written) = self.written() else {
            return Ok(Vec::new());
        };
        if written.len() > limit as usize {
            return Err(self.wrong(&format!(
                "has {} tokens where {limit} were asked for at most",
                written.len()
            )));
        }
        let ids = self.choice().token_ids.as_deref();
        if let Some(ids) = ids.filter(|ids| ids.len() != written.len()) {
            return Err(self.wrong(&format!(
                "has {} tokens, but log-probabilities of {}",
                ids.len(),
                written.len()
            )));
        }
        let each = written.iter().enumerate();
        each.map(|(i, written)| {
            let id = ids.map(|ids| ids[i]).or(written.id);
            let log_prob = self.log_prob(written.logprob)?;
            if log_prob == f32::NEG_INFINITY {
                return Err(self.wrong("says that what the model wrote is impossible"));
            }
            Ok(Scored {
                token: Token {
                    id: id.unwrap_or(UNNUMBERED),
                    text: written.token.clone(),
                },
                log_prob,
            })
        })
        .collect()
    }

    /// The likeliest tokens at the first place, with their log-probabilities.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if there are none, or if a log-probability is none.
    pub fn first_place(&self) -> Result<Vec<(&str, f32)>> {
        let others = self.written().and_then(|written| written.first());
        let others = others.map_or(&[][..], |written| &written.top_logprobs);
        if others.is_empty() {
            return Err(self.wrong("comes without the likeliest tokens (`top_logprobs`)"));
        }
        let each = others.iter();
        each.map(|other| Ok((other.token.as_str(), self.log_prob(other.logprob)?)))
            .collect()
    }

    /// The tokens of the prompt from its second; the first has nothing before it.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if they are missing, some of them or all, or not those of the prompt alone, or if a
    /// log-probability is none.
    pub fn prompt(&self) -> Result<Vec<Scored>> {
        let places = self.completion.prompt_logprobs.as_deref();
        let Some([_, places @ ..]) = places else {
            return Err(self.wrong("comes without `prompt_logprobs`"));
        };
        let usage = self.completion.usage.as_ref();
        let counted = usage.and_then(|usage| usage.prompt_tokens);
        if let Some(counted) = counted.filter(|counted| *counted != places.len() + 1) {
            return Err(self.wrong(&format!(
                "counts {counted} tokens in the prompt, but has `prompt_logprobs` of {}",
                places.len() + 1
            )));
        }
        places
            .iter()
            .map(|place| self.place(place.as_ref()))
            .collect()
    }

    fn place(&self, place: Option<&BTreeMap<String, Place>>) -> Result<Scored> {
        let place = place.ok_or_else(|| self.wrong("leaves out some of the `prompt_logprobs`"))?;
        let mut tokens = place.iter();
        let (Some((id, place)), None) = (tokens.next(), tokens.next()) else {
            return Err(self.wrong(
                "has other tokens than the prompt's among the `prompt_logprobs`, so that nobody knows which is which",
            ));
        };
        let id = id
            .parse()
            .map_err(|_| self.wrong("has `prompt_logprobs` of tokens without numbers"))?;
        Ok(Scored {
            token: Token {
                id,
                text: place.decoded_token.clone().unwrap_or_default(),
            },
            log_prob: self.log_prob(place.logprob)?,
        })
    }

    fn log_prob(&self, value: f64) -> Result<f32> {
        if value <= NOTHING {
            return Ok(f32::NEG_INFINITY);
        }
        if value.is_nan() || value > ROUNDING {
            return Err(self.wrong(&format!("has {value} as a log-probability")));
        }
        Ok(value.min(0.0) as f32)
    }
}

fn wrong(host: &str, what: &str) -> Error {
    Error::protocol(format!("what the model server at {host} answers {what}"))
}
