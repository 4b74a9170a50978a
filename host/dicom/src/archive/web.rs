//! STOW-RS: objects in one HTTP request.

use medfocus_plugin_api::{Error, Result};
use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::Speaking;
use crate::uid;

/// Stores these files together.
pub fn send(address: &str, files: &[&[u8]], speaking: &Speaking) -> Result<()> {
    // A UUID of the content cannot stand in the content.
    let boundary = format!("medfocus-{}", uid::of("boundary", &files.concat()));
    let body = related(&boundary, files);
    let answer = agent(speaking)?
        .post(address)
        .header(
            "Content-Type",
            format!("multipart/related; type=\"application/dicom\"; boundary={boundary}"),
        )
        .header("Accept", "application/dicom+json")
        .send(&body[..])
        .map_err(|error| match error {
            ureq::Error::Timeout(_) => Error::missing(format!(
                "the archive {address} did not answer within {} s",
                speaking.patience.as_secs()
            )),
            error => Error::missing(format!("the archive {address} cannot be reached: {error}")),
        })?;
    match answer.status().as_u16() {
        200 => Ok(()),
        202 => Err(Error::invalid(format!(
            "the archive {address} stored some of the objects, but not all (HTTP 202)"
        ))),
        status => Err(Error::invalid(format!(
            "the archive {address} did not store the objects (HTTP {status})"
        ))),
    }
}

fn agent(speaking: &Speaking) -> Result<Agent> {
    let mut tls = TlsConfig::builder();
    if let Some(pem) = &speaking.authorities {
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            if let Ok(PemItem::Certificate(certificate)) = item {
                certificates.push(certificate);
            }
        }
        if certificates.is_empty() {
            return Err(Error::invalid(
                "`dicom.ca_file` holds no certificate in PEM",
            ));
        }
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
    }
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // What is about a patient goes where it was sent, and nowhere else.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(speaking.patience))
        .tls_config(tls.build());
    Ok(config.build().into())
}

/// The body of RFC 2387 with one part a file.
fn related(boundary: &str, files: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for file in files {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}
