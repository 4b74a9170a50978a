//! The way to the server: address, key, certificates, tries.

mod address;
mod trouble;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use medfocus_plugin_api::{Error, Result, file};
use ureq::{
    Agent, Body, Proxy,
    http::{HeaderValue, Response, header},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use self::{
    address::Address,
    trouble::{LONGEST, Trouble},
};
use crate::{settings::Settings, workers::Stop};

/// How long the first further try waits, about; twice as long each time.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a further try waits at most, unless the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// A server and how it is spoken to.
pub struct Endpoint {
    address: Address,
    agent: Agent,
    key: Option<HeaderValue>,
    timeout: Duration,
    retries: u32,
}

/// What a server answered.
pub enum Answer {
    /// That it did what it was asked to.
    Body(Vec<u8>),
    /// That it does not, with this status of HTTP.
    Status(u16),
}

impl Endpoint {
    /// The server of the parameters; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] or [`Error::missing`] that names the parameter.
    pub fn new(settings: &Settings) -> Result<Self> {
        let address = Address::parse(&settings.url)?;
        let timeout = Duration::from_secs(settings.timeout_seconds.into());
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A key must not travel elsewhere, nor an image.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy(&settings.proxy)?)
            .timeout_global(Some(timeout))
            .max_idle_connections_per_host(settings.concurrency as usize)
            .user_agent(concat!("medfocus/", env!("CARGO_PKG_VERSION")))
            .tls_config(
                TlsConfig::builder()
                    .root_certs(roots(&settings.ca_file)?)
                    .build(),
            );
        Ok(Self {
            address,
            agent: config.build().new_agent(),
            key: key(settings)?,
            timeout,
            retries: settings.retries,
        })
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        &self.address.host
    }

    /// Whether what is sent can be read on the way.
    pub fn open_to_all(&self) -> bool {
        self.address.open_to_all
    }

    /// What is at a path below the address.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or [`Error::cancelled`].
    pub fn get(&self, path: &str, stop: &Stop) -> Result<Answer> {
        self.read(&format!("{}/{path}", self.address.base), stop)
    }

    /// What is at a path of the host.
    ///
    /// # Errors
    ///
    /// Those of [`Endpoint::get`].
    pub fn get_at_root(&self, path: &str, stop: &Stop) -> Result<Answer> {
        self.read(&format!("{}/{path}", self.address.root), stop)
    }

    fn read(&self, url: &str, stop: &Stop) -> Result<Answer> {
        self.tried(stop, || {
            let mut request = self.agent.get(url);
            if let Some(key) = &self.key {
                request = request.header(header::AUTHORIZATION, key);
            }
            request.call()
        })
    }

    /// What the server answers to a body of JSON.
    ///
    /// # Errors
    ///
    /// Those of [`Endpoint::get`].
    pub fn post(&self, path: &str, body: &[u8], stop: &Stop) -> Result<Answer> {
        let url = format!("{}/{path}", self.address.base);
        self.tried(stop, || {
            let mut request = self.agent.post(&url).content_type("application/json");
            if let Some(key) = &self.key {
                request = request.header(header::AUTHORIZATION, key);
            }
            request.send(body)
        })
    }

    /// A refusal in a sentence. What the server said beside may hold what it was asked, so it is not repeated.
    pub fn refusal(&self, status: u16) -> Error {
        trouble::refusal(self.host(), status)
    }

    fn tried(
        &self,
        stop: &Stop,
        send: impl Fn() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer> {
        let mut pause = PAUSE;
        for left in (0..=self.retries).rev() {
            let trouble = match send() {
                Ok(response) => match self.received(response) {
                    Ok(answer) => return Ok(answer),
                    Err(trouble) => trouble,
                },
                Err(error) => trouble::of(self.host(), self.timeout, &error),
            };
            let (error, wish) = match trouble {
                Trouble::Lasting(error) => return Err(error),
                Trouble::Passing(error, wish) => (error, wish),
            };
            if left == 0 {
                let tries = self.retries + 1;
                let times = if tries == 1 { "try" } else { "tries" };
                return Err(Error {
                    message: format!("{} ({tries} {times})", error.message),
                    ..error
                });
            }
            let wait = wish.unwrap_or_else(|| pause.mul_f64(jitter()));
            if wait > self.timeout {
                let asked = format!(
                    "{}; it asks to be left alone for {} s",
                    error.message,
                    wait.as_secs()
                );
                return Err(Error::internal(asked).with_hint("try again later"));
            }
            stop.wait(wait)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(Error::internal("no try was made"))
    }

    fn received(&self, mut response: Response<Body>) -> Result<Answer, Trouble> {
        let status = response.status().as_u16();
        match status {
            200 => response
                .body_mut()
                .with_config()
                .limit(LONGEST)
                .read_to_vec()
                .map(Answer::Body)
                .map_err(|error| trouble::of(self.host(), self.timeout, &error)),
            429 | 500 | 502 | 503 | 504 => {
                let wish = response.headers().get(header::RETRY_AFTER);
                let wish = wish.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Err(Trouble::Passing(
                    self.refusal(status),
                    wish.map(Duration::from_secs),
                ))
            }
            _ => Ok(Answer::Status(status)),
        }
    }
}

/// Between a half and one, so that clients who met the same trouble do not come back together.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    0.5 + (random >> 11) as f64 / (1_u64 << 54) as f64
}

fn proxy(url: &str) -> Result<Option<Proxy>> {
    if url.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        Error::invalid("parameter `proxy` is no proxy without a password of its own")
            .with_key("proxy")
            .with_hint("write it as http://HOST:PORT")
    };
    if url.contains('@') {
        return Err(wrong());
    }
    Proxy::new(url).map(Some).map_err(|_| wrong())
}

fn read(parameter: &str, path: &str) -> Result<String> {
    file::read_to_string(std::path::Path::new(path)).map_err(|error| {
        Error::missing(format!(
            "parameter `{parameter}`: {path} cannot be read: {error}"
        ))
        .with_key(parameter)
    })
}

fn roots(path: &str) -> Result<RootCerts> {
    if path.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let text = read("ca_file", path)?;
    let certificates: Vec<_> = parse_pem(text.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(
            Error::invalid(format!("parameter `ca_file`: {path} holds no certificate"))
                .with_key("ca_file")
                .with_hint("it must be a PEM file"),
        );
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// The header that holds the key, which no message shows.
fn key(settings: &Settings) -> Result<Option<HeaderValue>> {
    let (parameter, key) = match (&*settings.api_key_env, &*settings.api_key_file) {
        ("", "") => return Ok(None),
        (name, "") => {
            let key = std::env::var(name).map_err(|_| {
                Error::missing(format!(
                    "parameter `api_key_env`: the environment variable {name} is not set"
                ))
                .with_key("api_key_env")
            })?;
            ("api_key_env", key)
        }
        ("", path) => ("api_key_file", read("api_key_file", path)?),
        _ => {
            return Err(
                Error::invalid("parameters `api_key_env` and `api_key_file` are both set")
                    .with_key("api_key_env")
                    .with_hint("keep one of them"),
            );
        }
    };
    let wrong = |what: &str| {
        Error::invalid(format!("parameter `{parameter}`: the key {what}")).with_key(parameter)
    };
    if key.trim().is_empty() {
        return Err(wrong("is empty"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
        .map_err(|_| wrong("holds characters that a key cannot hold"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
