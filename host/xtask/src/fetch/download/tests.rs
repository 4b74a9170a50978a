//! The download against a server that misbehaves in the ways networks do.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;

use super::*;

/// What the server does with one request for `data` from some byte on.
#[derive(Clone, Copy)]
enum Manner {
    /// Sends what was asked for.
    Honest,
    /// Promises all, sends at most so many bytes, and hangs up.
    Cut(usize),
    /// Sends everything whatever the range.
    RangeIgnored,
    /// Sends an error.
    Refusing,
}

struct Stage {
    http: Http,
    url: String,
    folder: TempDir,
    data: Vec<u8>,
    /// The byte every request asked to begin at.
    requests: thread::JoinHandle<Vec<usize>>,
}

impl Stage {
    /// A server that answers one request in each of these manners, then is gone.
    fn new(manners: Vec<Manner>) -> Self {
        let data: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.whl", listener.local_addr().unwrap());
        let served = data.clone();
        let requests = thread::spawn(move || {
            manners
                .iter()
                .map(|manner| answer(&listener.accept().unwrap().0, &served, *manner))
                .collect()
        });
        Self {
            http: Http::direct(),
            url,
            folder: tempfile::tempdir().unwrap(),
            data,
            requests,
        }
    }

    fn partial(&self) -> PathBuf {
        self.folder.path().join("file.whl")
    }

    fn download(&self) -> Result<()> {
        let digest: String = Sha256::digest(&self.data)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        download(&self.http, &self.url, &self.partial(), &digest)
    }

    /// Downloads, and returns where the requests began.
    fn succeed(self) -> Vec<usize> {
        self.download().unwrap();
        assert_eq!(fs::read(self.partial()).unwrap(), self.data);
        self.requests.join().unwrap()
    }
}

fn answer(mut stream: &TcpStream, data: &[u8], manner: Manner) -> usize {
    let mut from = 0;
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    let total = data.len();
    let rest = data.get(from..).unwrap_or_default();
    let (status, headers, body) = match manner {
        Manner::Refusing => ("503 Service Unavailable", String::new(), &[][..]),
        Manner::RangeIgnored => ("200 OK", String::new(), data),
        _ if from >= total => (
            "416 Range Not Satisfiable",
            format!("Content-Range: bytes */{total}\r\n"),
            &[][..],
        ),
        _ if from > 0 => (
            "206 Partial Content",
            format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1),
            rest,
        ),
        _ => ("200 OK", String::new(), rest),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let sent = if let Manner::Cut(bytes) = manner {
        bytes.min(body.len())
    } else {
        body.len()
    };
    stream.write_all(&body[..sent]).unwrap();
    from
}

#[test]
fn a_file_arrives_whole() {
    assert_eq!(Stage::new(vec![Manner::Honest]).succeed(), [0]);
}

#[test]
fn a_partial_file_is_continued_where_it_ends() {
    let stage = Stage::new(vec![Manner::Honest]);
    fs::write(stage.partial(), &stage.data[..40_000]).unwrap();
    assert_eq!(stage.succeed(), [40_000]);
}

#[test]
fn dropped_connections_are_continued_as_long_as_something_arrives() {
    let cuts = vec![
        Manner::Cut(30_000),
        Manner::Refusing,
        Manner::Cut(30_000),
        Manner::Refusing,
        Manner::Honest,
    ];
    assert_eq!(
        Stage::new(cuts).succeed(),
        [0, 30_000, 30_000, 60_000, 60_000]
    );
}

#[test]
fn a_server_without_ranges_starts_over() {
    let stage = Stage::new(vec![Manner::RangeIgnored]);
    fs::write(stage.partial(), &stage.data[..40_000]).unwrap();
    assert_eq!(stage.succeed(), [40_000]);
}

#[test]
fn a_damaged_partial_file_is_thrown_away_once() {
    let stage = Stage::new(vec![Manner::Honest, Manner::Honest]);
    fs::write(stage.partial(), vec![0; 40_000]).unwrap();
    assert_eq!(stage.succeed(), [40_000, 0]);
}

#[test]
fn a_file_that_is_too_long_is_thrown_away() {
    let stage = Stage::new(vec![Manner::Honest, Manner::Honest]);
    fs::write(stage.partial(), vec![0; 200_000]).unwrap();
    assert_eq!(stage.succeed(), [200_000, 0]);
}

#[test]
fn the_wrong_file_is_refused_after_one_more_try() {
    let stage = Stage::new(vec![Manner::Honest, Manner::Honest]);
    let error = download(&stage.http, &stage.url, &stage.partial(), &"0".repeat(64)).unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");
    assert!(!stage.partial().exists());
}

#[test]
fn without_any_progress_the_error_names_the_server() {
    let stage = Stage::new(vec![Manner::Refusing; ATTEMPTS as usize]);
    fs::write(stage.partial(), &stage.data[..10]).unwrap();
    let error = stage.download().unwrap_err();
    assert!(format!("{error:#}").contains("127.0.0.1"), "{error:#}");
    assert_eq!(
        fs::read(stage.partial()).unwrap(),
        stage.data[..10],
        "what had arrived is kept"
    );
}
