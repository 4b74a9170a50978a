//! `medfocus serve`, spoken to over HTTP.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use ureq::{Agent, http};

use crate::medfocus;

/// A server of its own, on a free port; it ends with the test.
pub struct Server {
    child: Child,
    /// The program ends when nobody reads what it prints.
    _out: BufReader<ChildStdout>,
    /// As `127.0.0.1:12345`.
    pub address: String,
    agent: Agent,
}

/// What it answers.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts a refusal: this status and one sentence that holds these words.
    pub fn refuses(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        let said = self.json();
        let sentence = said["error"].as_str().expect("it says why");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        for word in words {
            assert!(sentence.contains(word), "no `{word}` in {sentence}");
        }
    }
}

impl Server {
    /// `medfocus serve` with these arguments, once it listens.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = medfocus()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("MEDFOCUS_LOG", "debug")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut line = String::new();
        out.read_line(&mut line).expect("it prints");
        let address = line.trim().strip_prefix("serving at http://");
        let address = address.and_then(|address| address.strip_suffix('/'));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(120)));
        Self {
            address: address.expect("it prints its address").to_owned(),
            child,
            _out: out,
            agent: config.build().into(),
        }
    }

    /// A request with these headers.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("it is a request");
        let mut answer = self.agent.run(request).expect("the server answers");
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer
                .body_mut()
                .with_config()
                .limit(1 << 30)
                .read_to_vec()
                .expect("the answer comes whole"),
        }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[])
    }

    /// Hands in an image; its name.
    pub fn upload(&self, image: &[u8]) -> String {
        let answer = self.send("POST", "/api/images", &[], image);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().expect("it has a name").into()
    }

    /// Asks the demo model about an image by a method; `more` goes over that.
    pub fn ask(&self, image: &str, method: &str, more: &Value) -> Answer {
        let mut question = json!({
            "image": image,
            "question": "Is there evidence of consolidation in the image?",
            "model": "phantom-gemma3",
            "method": method,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            question[key] = value.clone();
        }
        let json = [("Content-Type", "application/json")];
        self.send("POST", "/api/jobs", &json, question.to_string().as_bytes())
    }

    /// Asks, and the name of the job.
    pub fn job(&self, image: &str, method: &str, more: &Value) -> String {
        let answer = self.ask(image, method, more);
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().expect("it has a name").into()
    }

    /// How a job ends; its events are followed until then.
    pub fn end(&self, job: &str) -> Value {
        let events = self.get(&format!("/api/jobs/{job}/events"));
        let text = String::from_utf8(events.body).expect("events are text");
        let last = text.lines().rfind(|line| line.starts_with("data: "));
        let last = last.unwrap_or_else(|| panic!("no events of {job}"));
        serde_json::from_str(&last["data: ".len()..]).expect("a state is JSON")
    }

    /// A file of a job that is done.
    pub fn file(&self, job: &str, name: &str) -> Vec<u8> {
        let answer = self.get(&format!("/api/jobs/{job}/files/{name}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Ends it, and what it wrote to standard error.
    pub fn log(mut self) -> String {
        self.child.kill().expect("it is a child");
        let mut log = String::new();
        if let Some(mut err) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut err, &mut log).expect("a log is text");
        }
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
