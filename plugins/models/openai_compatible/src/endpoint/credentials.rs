//! What the server is told of us, and by what it is believed to be itself.

use medfocus_plugin_api::{Error, Result, file};
use ureq::{
    Proxy,
    http::HeaderValue,
    tls::{PemItem, RootCerts, parse_pem},
};

use crate::settings::Settings;

/// The proxy, if there is one.
pub(super) fn proxy(settings: &Settings) -> Result<Option<Proxy>> {
    let url = &*settings.proxy;
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

fn content(parameter: &str, path: &str) -> Result<String> {
    file::read_to_string(std::path::Path::new(path)).map_err(|error| {
        Error::missing(format!(
            "parameter `{parameter}`: {path} cannot be read: {error}"
        ))
        .with_key(parameter)
    })
}

/// The authorities that are trusted.
pub(super) fn roots(settings: &Settings) -> Result<RootCerts> {
    let path = &*settings.ca_file;
    if path.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let text = content("ca_file", path)?;
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
pub(super) fn key(settings: &Settings) -> Result<Option<HeaderValue>> {
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
        ("", path) => ("api_key_file", content("api_key_file", path)?),
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
