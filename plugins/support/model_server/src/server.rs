//! A server that lives as long as a test.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use medfocus_plugin_api::VisionLanguageModel;
use rustls::{ServerConnection, StreamOwned};
use serde_json::Value;

use crate::{
    authority::Identity,
    vllm,
    wire::{Request, Wire, misbehave, respond},
};

type Conduct = Box<dyn Fn(usize, &Value) -> Wire + Send + Sync>;
type Edit = Box<dyn Fn(&Value, &mut Value) + Send + Sync>;

/// A server that is not there yet.
pub struct Plan {
    model: Box<dyn VisionLanguageModel>,
    conduct: Conduct,
    edit: Edit,
    key: Option<String>,
    identity: Option<Identity>,
    pause: Duration,
}

/// A server on a port of this machine.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

struct Shared {
    plan: Plan,
    over: AtomicBool,
    /// What was asked of `chat/completions`.
    asked: Mutex<Vec<Value>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Plan {
    /// A server that shows a model under the name `local`, and behaves.
    pub fn of(model: impl VisionLanguageModel + 'static) -> Self {
        Self {
            model: Box::new(model),
            conduct: Box::new(|_, _| Wire::Well),
            edit: Box::new(|_, _| {}),
            key: None,
            identity: None,
            pause: Duration::ZERO,
        }
    }

    /// What it does on the wire, by how many chats there were before and what is asked.
    #[must_use]
    pub fn conduct(self, conduct: impl Fn(usize, &Value) -> Wire + Send + Sync + 'static) -> Self {
        let conduct = Box::new(conduct);
        Self { conduct, ..self }
    }

    /// What it changes in its answers to chats.
    #[must_use]
    pub fn edit(self, edit: impl Fn(&Value, &mut Value) + Send + Sync + 'static) -> Self {
        let edit = Box::new(edit);
        Self { edit, ..self }
    }

    /// The key that it wants.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        let key = Some(key.to_owned());
        Self { key, ..self }
    }

    /// Lets it speak TLS.
    #[must_use]
    pub fn identity(self, identity: Identity) -> Self {
        let identity = Some(identity);
        Self { identity, ..self }
    }

    /// How long it takes for a chat at least.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Begins to serve.
    pub fn start(self) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let scheme = if self.identity.is_some() {
            "https"
        } else {
            "http"
        };
        let shared = Arc::new(Shared {
            plan: self,
            over: AtomicBool::new(false),
            asked: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let address = listener.local_addr().expect("it is bound");
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.over.load(Ordering::Relaxed) {
                    return;
                }
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        Server {
            address,
            scheme,
            shared,
        }
    }
}

impl Server {
    /// Its address.
    pub fn url(&self) -> String {
        format!("{}://{}/v1", self.scheme, self.address)
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What was asked of `chat/completions` so far.
    pub fn asked(&self) -> Vec<Value> {
        lock(&self.shared.asked).clone()
    }

    /// How many chats were under way at once at most.
    pub fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        // Whoever asked may be gone.
        let _ = match &self.plan.identity {
            None => self.answer(stream),
            Some(Identity(config)) => {
                let connection =
                    ServerConnection::new(config.clone()).expect("the identity is whole");
                self.answer(StreamOwned::new(connection, stream))
            }
        };
    }

    fn answer(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        let request = Request::read(&mut stream)?;
        if let Some(key) = &self.plan.key
            && request.header("authorization") != Some(&format!("Bearer {key}"))
        {
            return respond(&mut stream, 401, b"{}");
        }
        match &*request.path {
            "/v1/models" => respond(&mut stream, 200, vllm::models().to_string().as_bytes()),
            "/version" => respond(&mut stream, 200, br#"{"version": "0.0.test"}"#),
            "/v1/chat/completions" => self.chat(&mut stream, &request.body),
            _ => respond(&mut stream, 404, b"{}"),
        }
    }

    fn chat(&self, stream: &mut (impl Read + Write), body: &[u8]) -> std::io::Result<()> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        thread::sleep(self.plan.pause);
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let before = {
            let mut all = lock(&self.asked);
            all.push(asked.clone());
            all.len() - 1
        };
        let wire = (self.plan.conduct)(before, &asked);
        let answer = vllm::chat(&*self.plan.model, &asked);
        // Before the answer goes out: whoever has it may ask again.
        self.now.fetch_sub(1, Ordering::Relaxed);
        match answer {
            Ok(mut answer) => {
                (self.plan.edit)(&asked, &mut answer);
                misbehave(stream, &wire, answer.to_string().as_bytes())
            }
            Err(why) => respond(stream, 400, why.as_bytes()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
