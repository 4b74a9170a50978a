//! Where a server is.

use std::net::IpAddr;

use medfocus_plugin_api::{Error, Result};
use ureq::http::Uri;

/// A server's address, taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Address {
    /// All of it, without a slash at its end.
    pub base: String,
    /// Scheme and host.
    pub root: String,
    /// Host and port.
    pub host: String,
    /// Whether it leaves this machine unencrypted.
    pub open_to_all: bool,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!("parameter `url` {why}"))
                .with_key("url")
                .with_hint("write it as https://HOST:PORT/v1")
        };
        if url.is_empty() {
            return Err(wrong("is missing"));
        }
        // A password in it would be in every record.
        if url.contains('@') {
            return Err(wrong(
                "holds a user or password, which belong into `api_key_env` or `api_key_file`",
            ));
        }
        let uri: Uri = url.parse().map_err(|_| wrong("is no address"))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        if !matches!(scheme, "http" | "https") || authority.is_empty() {
            return Err(wrong("is no address of a server"));
        }
        if uri.query().is_some() {
            return Err(wrong("holds a query"));
        }
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            root: format!("{scheme}://{authority}"),
            open_to_all: scheme == "http" && !is_here(uri.host().unwrap_or_default()),
            host: authority,
        })
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let address = Address::parse("https://llm.hospital:8443/a/v1/").unwrap();
        assert_eq!(address.base, "https://llm.hospital:8443/a/v1");
        assert_eq!(address.root, "https://llm.hospital:8443");
        assert_eq!(address.host, "llm.hospital:8443");
    }

    #[test]
    fn what_leaves_unencrypted_is_known() {
        let open = |url: &str| Address::parse(url).unwrap().open_to_all;
        assert!(open("http://llm.hospital/v1"));
        assert!(open("http://10.0.0.7:8000/v1"));
        for url in [
            "https://llm.hospital/v1",
            "http://localhost:8000/v1",
            "http://127.0.0.1:8000/v1",
            "http://[::1]:8000/v1",
        ] {
            assert!(!open(url), "{url}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for (url, why) in [
            ("", "is missing"),
            ("llm.hospital", "is no address of a server"),
            ("ftp://llm.hospital", "is no address of a server"),
            ("http://", "is no address"),
            (
                "https://me:secret@llm.hospital/v1",
                "holds a user or password",
            ),
            ("https://llm.hospital/v1?key=secret", "holds a query"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(error.message.contains(why), "{url}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
