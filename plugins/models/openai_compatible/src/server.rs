//! The server as one that is asked about images.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use medfocus_plugin_api::{Error, Result};
use serde_json::Value;

use crate::{
    chat::Ask,
    endpoint::{Answer, Endpoint},
    reply::{Origin, Reply},
    settings::Settings,
    workers::Stop,
};

/// Characters of a name of the server's that are kept.
const NAME: usize = 100;

/// A model on a server.
pub struct Server {
    endpoint: Endpoint,
    model: String,
    /// Who answered first.
    origin: OnceLock<Origin>,
    salt: u64,
    asked: AtomicU64,
}

/// An answer, or the status with which the server refused.
pub enum Heard {
    /// An answer.
    Reply(Reply),
    /// A refusal.
    Refusal(u16),
}

impl Server {
    /// The server of the parameters; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// A parameter is missing or wrong.
    pub fn new(settings: &Settings) -> Result<Self> {
        Ok(Self {
            endpoint: Endpoint::new(settings)?,
            model: settings.model.clone(),
            origin: OnceLock::new(),
            salt: RandomState::new().build_hasher().finish(),
            asked: AtomicU64::new(0),
        })
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// Whether what is sent can be read on the way.
    pub fn open_to_all(&self) -> bool {
        self.endpoint.open_to_all()
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Who answers; nobody yet if nothing was asked.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.get()
    }

    /// A salt that no other request has, so that the server remembers nothing of one for the next.
    pub fn fresh_salt(&self) -> String {
        format!(
            "{:016x}-{}",
            self.salt,
            self.asked.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Asks, and takes no refusal.
    ///
    /// # Errors
    ///
    /// The server is not reached, refuses, or answers something that is none; another one answers than the first time;
    /// [`Error::cancelled`].
    pub fn ask(&self, ask: &Ask<'_>, stop: &Stop) -> Result<Reply> {
        match self.hear(ask, stop)? {
            Heard::Reply(reply) => Ok(reply),
            Heard::Refusal(status) => Err(self.refusal(status)),
        }
    }

    /// A refusal in a sentence.
    pub fn refusal(&self, status: u16) -> Error {
        self.endpoint.refusal(status)
    }

    /// Asks.
    ///
    /// # Errors
    ///
    /// Those of [`Server::ask`], but for a refusal.
    pub fn hear(&self, ask: &Ask<'_>, stop: &Stop) -> Result<Heard> {
        let body = ask.body(&self.model)?;
        let body = match self.endpoint.post("chat/completions", &body, stop)? {
            Answer::Status(status @ (400 | 422)) => return Ok(Heard::Refusal(status)),
            Answer::Status(status) => return Err(self.refusal(status)),
            Answer::Body(body) => body,
        };
        let reply = Reply::read(self.host(), &body)?;
        let origin = reply.origin();
        if *self.origin.get_or_init(|| origin.clone()) != origin {
            return Err(Error::protocol(format!(
                "the model server at {} is not the one it was: its name of itself has changed (`model` or `system_fingerprint`)",
                self.host()
            ))
            .with_hint("give the command again; behind one address there must be one server"));
        }
        Ok(Heard::Reply(reply))
    }

    /// Whether the server is there and serves the model: by what name it knows the checkpoint, if it says.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or serves other models alone.
    pub fn checkpoint(&self, stop: &Stop) -> Result<Option<String>> {
        let list = match self.endpoint.get("models", stop)? {
            Answer::Body(body) => serde_json::from_slice(&body).unwrap_or(Value::Null),
            // Some servers do not list what they serve.
            Answer::Status(404 | 405) if !self.model.is_empty() => return Ok(None),
            Answer::Status(status) => return Err(self.refusal(status)),
        };
        let models = list["data"].as_array().ok_or_else(|| {
            Error::protocol(format!(
                "what the model server at {} answers is no list of models",
                self.host()
            ))
        })?;
        let named = |model: &&Value| model["id"].as_str() == Some(&*self.model);
        if let Some(model) = models.iter().find(named) {
            return Ok(model["root"].as_str().map(name));
        }
        let names = models.iter().filter_map(|model| model["id"].as_str());
        let names: Vec<_> = names.map(|id| format!("`{}`", name(id))).take(10).collect();
        let error = match &*self.model {
            "" => Error::invalid("parameter `model` is missing"),
            model => Error::missing(format!(
                "the model server at {} does not serve `{model}`",
                self.host()
            )),
        };
        Err(error.with_key("model").with_hint(match &*names {
            [] => "it serves no model".to_owned(),
            names => format!("it serves {}", names.join(", ")),
        }))
    }

    /// The version of the server, if it says as vLLM does.
    pub fn version(&self, stop: &Stop) -> Option<String> {
        let Ok(Answer::Body(body)) = self.endpoint.get_at_root("version", stop) else {
            return None;
        };
        let said: Value = serde_json::from_slice(&body).ok()?;
        said["version"].as_str().map(name)
    }
}

/// A name that the server gives, fit for a record.
pub fn name(said: &str) -> String {
    let printable = said.chars().filter(|c| !c.is_control());
    printable.take(NAME).collect()
}
