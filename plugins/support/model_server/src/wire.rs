//! What a server does on the wire.

use std::{
    io::{self, Read, Write},
    thread,
    time::Duration,
};

/// How a request is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Wire {
    /// As it should be.
    Well,
    /// Never: the line stays open for so long.
    Never(Duration),
    /// The line breaks in the middle of the answer.
    Dropped,
    /// With this status, and perhaps a wish to be left alone for so many seconds.
    Status(u16, Option<u32>),
    /// With a way to another address.
    Redirect(String),
    /// With more and more, a piece every few milliseconds.
    Endless,
    /// With so many bytes of white space.
    Huge(usize),
    /// With this text.
    Text(&'static str),
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let path = lines.next().and_then(|line| line.split(' ').nth(1));
        let path = path.unwrap_or_default().to_owned();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, value)| value.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body)?;
        Ok(Self {
            path,
            headers,
            body,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, value)| &**value)
    }
}

pub(crate) fn respond(stream: &mut impl Write, status: u16, body: &[u8]) -> io::Result<()> {
    let head = head(status, &format!("content-length: {}\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}

fn head(status: u16, more: &str) -> String {
    format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\nconnection: close\r\n{more}\r\n"
    )
}

/// Misbehaves; `proper` is what should have been answered.
pub(crate) fn misbehave(stream: &mut impl Write, wire: &Wire, proper: &[u8]) -> io::Result<()> {
    match wire {
        Wire::Well => respond(stream, 200, proper),
        Wire::Never(duration) => {
            thread::sleep(*duration);
            Ok(())
        }
        Wire::Dropped => {
            let head = head(200, &format!("content-length: {}\r\n", proper.len()));
            stream.write_all(head.as_bytes())?;
            stream.write_all(&proper[..proper.len() / 2])?;
            stream.flush()
        }
        Wire::Status(status, wait) => {
            let wait = wait.map(|seconds| format!("retry-after: {seconds}\r\n"));
            let more = format!("{}content-length: 0\r\n", wait.unwrap_or_default());
            stream.write_all(head(*status, &more).as_bytes())?;
            stream.flush()
        }
        Wire::Redirect(to) => {
            let more = format!("location: {to}\r\ncontent-length: 0\r\n");
            stream.write_all(head(307, &more).as_bytes())?;
            stream.flush()
        }
        Wire::Endless => {
            stream.write_all(head(200, "transfer-encoding: chunked\r\n").as_bytes())?;
            loop {
                stream.write_all(b"1\r\n \r\n")?;
                stream.flush()?;
                thread::sleep(Duration::from_millis(5));
            }
        }
        Wire::Huge(bytes) => {
            stream.write_all(head(200, &format!("content-length: {bytes}\r\n")).as_bytes())?;
            io::copy(&mut io::repeat(b' ').take(*bytes as u64), stream)?;
            stream.flush()
        }
        Wire::Text(text) => respond(stream, 200, text.as_bytes()),
    }
}
