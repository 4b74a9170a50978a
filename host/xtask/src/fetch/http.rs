//! One HTTP client, set up the way pip would reach the outside.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use super::pip::Settings;

/// A server that sends nothing for this long is given up; the download goes on with a new request.
const SILENCE: Duration = Duration::from_secs(60);

/// Variables by which HTTP clients are told what to trust, in the order pip would look.
const CERT_VARIABLES: [&str; 3] = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"];

/// Where Linux distributions keep the certificates their administrator trusts.
const SYSTEM_CERTS: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// A client with the proxy (by default the one of `HTTPS_PROXY` and its kin) and the certificates of
/// the environment.
pub struct Http {
    agent: Agent,
}

impl Http {
    pub fn new(settings: &Settings) -> Result<Self> {
        let tls = TlsConfig::builder()
            .root_certs(root_certs(settings)?)
            .build();
        let mut config = Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE));
        if let Some(proxy) = &settings.proxy {
            // Users write `host:port`; without a scheme it is an HTTP proxy.
            config = config.proxy(Some(
                Proxy::new(proxy).context("pip's proxy setting is no URL")?,
            ));
        }
        Ok(Self {
            agent: config.build().new_agent(),
        })
    }

    /// A client that ignores proxies, for servers on this machine.
    #[cfg(test)]
    pub fn direct() -> Self {
        Self {
            agent: Agent::config_builder().proxy(None).build().new_agent(),
        }
    }

    /// GET `url` from byte `from` on. Credentials in the URL are sent.
    pub fn get(&self, url: &str, from: u64) -> Result<Response<Body>> {
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        request.call().with_context(|| without_credentials(url))
    }

    /// The text at `url`, and the URL it came from after redirects.
    pub fn page(&self, url: &str) -> Result<(String, String)> {
        use ureq::ResponseExt as _;
        let mut response = self.get(url, 0)?;
        let from = response.get_uri().to_string();
        let text = response
            .body_mut()
            .read_to_string()
            .with_context(|| without_credentials(url))?;
        Ok((text, from))
    }
}

/// The URL as it may be shown.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

/// A configured bundle that cannot be used is an error; without one, the system's certificates, or on
/// a machine that has none, Mozilla's as built in.
fn root_certs(settings: &Settings) -> Result<RootCerts> {
    let configured = settings.cert.clone().or_else(|| {
        CERT_VARIABLES
            .iter()
            .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    });
    // The variables may also name a folder, as may pip; then the system's bundle is used.
    let configured = configured.filter(|path| !Path::new(path).is_dir());
    let system = || {
        SYSTEM_CERTS
            .iter()
            .find(|path| Path::new(path).is_file())
            .map(|path| (*path).to_owned())
    };
    let Some(path) = configured.or_else(system) else {
        return Ok(RootCerts::WebPki);
    };
    let pem =
        fs::read(&path).with_context(|| format!("could not read the certificates in {path}"))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        bail!(
            "{path} holds no certificate, but pip or the environment names it as the bundle to trust"
        );
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::{Http, without_credentials};

    #[test]
    fn credentials_in_a_url_are_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://me:pw@{}/simple/x/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                .unwrap();
            head
        });
        assert_eq!(Http::direct().page(&url).unwrap().0, "hi");
        let head = server.join().unwrap();
        // Base64 of "me:pw".
        assert!(
            head.iter()
                .any(|line| line.eq_ignore_ascii_case("authorization: basic bWU6cHc=")),
            "{head:?}"
        );
    }

    #[test]
    fn credentials_are_never_shown() {
        assert_eq!(
            without_credentials("https://me:secret@host/simple/torch/"),
            "https://host/simple/torch/"
        );
        assert_eq!(without_credentials("https://host/a@b"), "https://host/a@b");
        assert_eq!(without_credentials("https://me@host"), "https://host");
    }
}
