//! Who may come in, and what browsers are told: nobody under a strange name, no page of another site, nobody without the token.

use std::{net::IpAddr, path::Path, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use medfocus_plugin_api::{Error, Result, file};

use super::{id::Id, problem::Problem};

/// The name of the cookie that stands for the token.
const COOKIE: &str = "medfocus";
/// Nobody guesses a token of so many characters.
const SHORTEST: usize = 16;
/// What needs no token: the form that asks for it, and its looks.
const OPEN: [&str; 3] = ["/login", "/style.css", "/icon.svg"];

/// What is asked of every request.
pub struct Gate {
    hosts: Vec<String>,
    secret: Option<Secret>,
}

struct Secret {
    /// Digests are compared in constant time.
    token: blake3::Hash,
    /// What a browser shows in its place; new whenever the server starts.
    cookie: String,
}

impl Gate {
    /// One that lets requests to these host names in, with the token in the file if there is one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its token is too short.
    pub fn new(hosts: Vec<String>, token: Option<&Path>) -> Result<Self> {
        Ok(Self {
            hosts,
            secret: token.map(Secret::read).transpose()?,
        })
    }

    /// Whether it asks for a token.
    pub fn is_locked(&self) -> bool {
        self.secret.is_some()
    }

    /// The cookie for whoever shows the token.
    pub fn log_in(&self, token: &str) -> Option<HeaderValue> {
        let secret = self.secret.as_ref().filter(|secret| secret.is(token))?;
        let cookie = &secret.cookie;
        let cookie = format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict");
        HeaderValue::try_from(cookie).ok()
    }

    /// Why a request may not come in, if it may not.
    fn refusal(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let refuse = |status, sentence: &str| Some(Problem::new(status, sentence).into_response());
        let Some(host) = only(headers, &header::HOST).filter(|host| self.answers_to(host)) else {
            return refuse(
                StatusCode::MISDIRECTED_REQUEST,
                "this server does not answer to that host name; start it with --host NAME",
            );
        };
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        if changes && !is_own(headers, host) {
            return refuse(
                StatusCode::FORBIDDEN,
                "a page of another site cannot ask this server",
            );
        }
        let path = request.uri().path();
        let secret = self.secret.as_ref()?;
        if OPEN.contains(&path) || secret.shown(headers) {
            return None;
        }
        if path == "/" {
            return Some(Redirect::to("/login").into_response());
        }
        refuse(
            StatusCode::UNAUTHORIZED,
            "this server asks for its token; log in, or send `Authorization: Bearer TOKEN`",
        )
    }

    /// No name of others leads here: a browser would take what it shows for theirs. An address is no name.
    fn answers_to(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let named = |own: &str| own.eq_ignore_ascii_case(name);
        bare.unwrap_or(name).parse::<IpAddr>().is_ok()
            || named("localhost")
            || self.hosts.iter().any(|own| named(own))
    }
}

impl Secret {
    fn read(path: &Path) -> Result<Self> {
        let bytes = file::read(path).map_err(|error| {
            Error::missing(format!(
                "token file {} cannot be read: {error}",
                path.display()
            ))
        })?;
        let token = bytes.trim_ascii();
        if token.len() < SHORTEST || !token.iter().all(u8::is_ascii_graphic) {
            return Err(Error::invalid(format!(
                "the token in {} is not one line of at least {SHORTEST} letters, digits and signs",
                path.display()
            ))
            .with_hint("make one, as with `openssl rand -hex 24`"));
        }
        Ok(Self {
            token: blake3::hash(token),
            cookie: format!("{}{}", Id::random()?, Id::random()?),
        })
    }

    fn is(&self, token: &str) -> bool {
        blake3::hash(token.trim().as_bytes()) == self.token
    }

    fn shown(&self, headers: &HeaderMap) -> bool {
        let bearer = only(headers, &header::AUTHORIZATION)
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|token| self.is(token));
        let cookies = headers.get_all(header::COOKIE).iter();
        let cookies = cookies.filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';'));
        let own = blake3::hash(self.cookie.as_bytes());
        bearer
            || pairs.any(|pair| match pair.trim().split_once('=') {
                Some((COOKIE, value)) => blake3::hash(value.as_bytes()) == own,
                _ => false,
            })
    }
}

/// Lets a request in, or answers why not.
pub async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.refusal(&request) {
        None => next.run(request).await,
        Some(refusal) => refusal,
    }
}

/// What every answer tells the browser: nothing from elsewhere, in no frame, kept nowhere.
pub async fn tell(mut response: Response) -> Response {
    const TOLD: [(HeaderName, &str); 6] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer` a browser would not say that its own form comes from here.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in TOLD {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Whether a request comes from this server's own page, or from no page at all.
fn is_own(headers: &HeaderMap, host: &str) -> bool {
    let origin = headers.get(header::ORIGIN).is_none_or(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.split_once("://").is_some_and(|(_, own)| own == host)
    });
    let site = headers.get("sec-fetch-site");
    origin && site.is_none_or(|site| site == "same-origin" || site == "none")
}

/// A header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_own_names_are_answered_to() {
        let gate = Gate::new(vec!["Reading.hospital.example".to_owned()], None).unwrap();
        for host in [
            "localhost",
            "localhost:8750",
            "127.0.0.1:8750",
            "[::1]:8750",
            "[::1]",
            "10.1.2.3",
            "reading.hospital.example:443",
        ] {
            assert!(gate.answers_to(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example:8750",
            "[::1].evil.example",
        ] {
            assert!(!gate.answers_to(host), "{host}");
        }
    }
}
