//! A download that survives kills, dropped connections and damaged partial files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use ureq::http::{HeaderMap, StatusCode, header};

use super::http::Http;

/// Requests in a row that may fail without a single byte of progress.
const ATTEMPTS: u32 = 3;

const CHUNK: usize = 1 << 18;

/// Whether `path` is a file with this SHA-256 (lower-case hexadecimal).
pub fn is_complete(path: &Path, sha256: &str) -> Result<bool> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.with_context(|| format!("could not read {}", path.display()))?,
    };
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file
            .read(&mut chunk)
            .with_context(|| format!("could not read {}", path.display()))?
        {
            0 => break,
            read => hasher.update(&chunk[..read]),
        }
    }
    let digest: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(digest == sha256)
}

/// Completes `partial` from `url`. A file that arrives whole but wrong (its partial beginning may have
/// been damaged) is thrown away and fetched once more.
pub fn download(http: &Http, url: &str, partial: &Path, sha256: &str) -> Result<()> {
    for _ in 0..2 {
        transfer(http, url, partial)?;
        if is_complete(partial, sha256)? {
            return Ok(());
        }
        fs::remove_file(partial)
            .with_context(|| format!("could not remove {}", partial.display()))?;
    }
    bail!("what the server sends has another SHA-256 than the pinned {sha256}")
}

/// Requests until everything has arrived or nothing arrives any more.
fn transfer(http: &Http, url: &str, partial: &Path) -> Result<()> {
    let mut fruitless = 0;
    loop {
        let before = length(partial);
        let Err(error) = resume(http, url, partial) else {
            return Ok(());
        };
        fruitless = if length(partial) > before {
            0
        } else {
            fruitless + 1
        };
        if fruitless == ATTEMPTS {
            return Err(error);
        }
        sleep(Duration::from_millis(500) * fruitless);
    }
}

/// One request for what is missing.
fn resume(http: &Http, url: &str, partial: &Path) -> Result<()> {
    let have = length(partial);
    let response = match http.get(url, have) {
        // Nothing comes after what there is; the digest tells whether it is right.
        Err(error) if status_of(&error) == Some(StatusCode::RANGE_NOT_SATISFIABLE) => return Ok(()),
        response => response?,
    };
    let is_continued = response.status() == StatusCode::PARTIAL_CONTENT;
    let total = total_length(response.headers(), is_continued);
    if is_continued && range_start(response.headers()) != Some(have) {
        bail!("the server sent another part of the file than it was asked for");
    }

    let writing = || format!("could not write {}", partial.display());
    let mut options = OpenOptions::new();
    // A server that ignores the range sends the file from its beginning.
    let mut file = options
        .create(true)
        .write(true)
        .append(is_continued)
        .truncate(!is_continued)
        .open(partial)
        .with_context(writing)?;
    let mut arrived = if is_continued { have } else { 0 };
    let mut progress = Progress::new(total);
    let mut body = response.into_body().into_reader();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match body.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.context("the connection broke")?,
        };
        if read == 0 {
            break;
        }
        file.write_all(&chunk[..read]).with_context(writing)?;
        arrived += read as u64;
        progress.show(arrived);
    }
    progress.end();
    match total {
        Some(total) if total != arrived => {
            bail!("the connection ended after {arrived} of {total} bytes")
        }
        _ => Ok(()),
    }
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn status_of(error: &anyhow::Error) -> Option<StatusCode> {
    match error.downcast_ref::<ureq::Error>() {
        Some(ureq::Error::StatusCode(code)) => StatusCode::from_u16(*code).ok(),
        _ => None,
    }
}

/// `500` of `Content-Range: bytes 100-499/500`, or the length of a whole answer.
fn total_length(headers: &HeaderMap, is_continued: bool) -> Option<u64> {
    if is_continued {
        headers
            .get(header::CONTENT_RANGE)?
            .to_str()
            .ok()?
            .rsplit('/')
            .next()?
            .parse()
            .ok()
    } else {
        headers
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }
}

/// `100` of `Content-Range: bytes 100-499/500`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range
        .trim()
        .strip_prefix("bytes")?
        .trim()
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// Tells how far a download is: in place on a terminal, every ten seconds elsewhere.
struct Progress {
    total: Option<u64>,
    shown: Instant,
    on_terminal: bool,
}

impl Progress {
    fn new(total: Option<u64>) -> Self {
        Self {
            total,
            shown: Instant::now(),
            on_terminal: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, arrived: u64) {
        let interval = if self.on_terminal {
            Duration::from_millis(200)
        } else {
            Duration::from_secs(10)
        };
        if self.shown.elapsed() < interval {
            return;
        }
        self.shown = Instant::now();
        let total = self
            .total
            .map_or_else(String::new, |total| format!(" of {}", total >> 20));
        let (begin, end) = if self.on_terminal {
            ("\r", "")
        } else {
            ("", "\n")
        };
        eprint!("{begin}  {}{total} MiB{end}", arrived >> 20);
    }

    fn end(&self) {
        if self.on_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests;
