//! The way to the server: address, key, certificates, tries.

mod address;
mod credentials;
mod trouble;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use medfocus_plugin_api::{Error, Result};
use ureq::{
    Agent, Body,
    http::{HeaderValue, Response, header},
    tls::TlsConfig,
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
            .proxy(credentials::proxy(settings)?)
            .timeout_global(Some(timeout))
            .max_idle_connections_per_host(settings.concurrency as usize)
            .user_agent(concat!("medfocus/", env!("CARGO_PKG_VERSION")))
            .tls_config(
                TlsConfig::builder()
                    .root_certs(credentials::roots(settings)?)
                    .build(),
            );
        Ok(Self {
            address,
            agent: config.build().new_agent(),
            key: credentials::key(settings)?,
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
        let (mut pause, mut left) = (PAUSE, self.retries);
        loop {
            let outcome = send()
                .map_err(|error| self.trouble(&error))
                .and_then(|response| self.received(response));
            let (error, wish) = match outcome {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(error, wish)) => (error, wish),
            };
            if left == 0 {
                let tries = self.retries + 1;
                let times = if tries == 1 { "try" } else { "tries" };
                let message = format!("{} ({tries} {times})", error.message);
                return Err(Error { message, ..error });
            }
            let wait = wish.unwrap_or_else(|| pause.mul_f64(jitter()));
            if wait > self.timeout {
                let (said, seconds) = (error.message, wait.as_secs());
                return Err(Error::internal(format!(
                    "{said}; it asks to be left alone for {seconds} s"
                )));
            }
            stop.wait(wait)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
            left -= 1;
        }
    }

    fn trouble(&self, error: &ureq::Error) -> Trouble {
        trouble::of(self.host(), self.timeout, error)
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
                .map_err(|error| self.trouble(&error)),
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
