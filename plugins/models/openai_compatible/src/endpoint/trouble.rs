//! What goes wrong on the way, in sentences.

use std::{io::ErrorKind, time::Duration};

use medfocus_plugin_api::Error;

/// Bytes of an answer at most.
pub(super) const LONGEST: u64 = 16 << 20;

/// Something went wrong.
pub(super) enum Trouble {
    /// It will be so the next time.
    Lasting(Error),
    /// It may go better later, after so long if the server says.
    Passing(Error, Option<Duration>),
}

/// What a failed request means.
pub(super) fn of(host: &str, timeout: Duration, error: &ureq::Error) -> Trouble {
    let server = format!("the model server at {host}");
    let lasting = Trouble::Lasting;
    match error {
        ureq::Error::Timeout(_) => lasting(
            Error::internal(format!(
                "{server} did not answer within {} s",
                timeout.as_secs()
            ))
            .with_hint("see whether it is overloaded, or raise the model's `timeout_seconds`"),
        ),
        ureq::Error::HostNotFound => lasting(unknown(&server)),
        // A failed look-up has no kind of its own.
        ureq::Error::Io(error) if error.to_string().contains("lookup address") => {
            lasting(unknown(&server))
        }
        ureq::Error::BodyExceedsLimit(_) => lasting(Error::protocol(format!(
            "{server} answers with more than {} MiB",
            LONGEST >> 20
        ))),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => lasting(untrusted(&server)),
        // The TLS library speaks through errors of input and output.
        ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            lasting(untrusted(&server))
        }
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => Trouble::Passing(
            Error::missing(format!("{server} cannot be reached: connection refused"))
                .with_hint("see whether it runs, and whether `url` names its port"),
            None,
        ),
        _ => Trouble::Passing(
            Error::internal(format!("the connection to {server} broke off")),
            None,
        ),
    }
}

fn unknown(server: &str) -> Error {
    Error::missing(format!("{server} is not found: there is no such host")).with_key("url")
}

fn untrusted(server: &str) -> Error {
    Error::invalid(format!("the certificate of {server} is not to be trusted"))
        .with_key("ca_file")
        .with_hint("set the model's `ca_file` to the certificate of the authority that signed it")
}

/// What a status other than success means.
pub(super) fn refusal(host: &str, status: u16) -> Error {
    let server = format!("the model server at {host}");
    match status {
        300..=399 => Error::invalid(format!(
            "{server} sends on to another address (status {status}), where neither key nor image may go"
        ))
        .with_key("url")
        .with_hint("set `url` to where the server is"),
        401 | 403 => Error::invalid(format!("{server} refuses the key (status {status})"))
            .with_hint("set the model's `api_key_env` or `api_key_file`"),
        404 | 405 => Error::missing(format!(
            "{server} knows no such path or model (status {status})"
        ))
        .with_hint("see whether `url` ends in /v1, as most servers want it, and whether `model` is right"),
        429 => Error::internal(format!("{server} is too busy (status 429)"))
            .with_hint("try again later, or lower the model's `concurrency`"),
        500.. => Error::internal(format!("{server} failed (status {status})"))
            .with_hint("its log says why"),
        _ => Error::invalid(format!("{server} does not take the request (status {status})"))
            .with_hint("its log says why: the image may be too large for it, or the model may take none"),
    }
}
