//! One question on its way to an answer.

use std::sync::{Arc, OnceLock};

use medfocus_plugin_api::{Error, ErrorKind, Mode, Result};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{answer::Answer, id::Id};
use crate::{
    attribute::Query, dicom::source::Source, files::File, plugin::Progress, workbench::Recipe,
};

/// What is asked, checked as far as it can be before a model is loaded.
pub struct Asked {
    /// About which image.
    pub source: Arc<Source>,
    /// The question.
    pub question: String,
    /// The answer to explain; the model's own if nothing.
    pub answer: Option<String>,
    /// How it is to be answered.
    pub mode: Mode,
    /// The finding it is about.
    pub finding: Option<String>,
    /// Name of the model.
    pub model: String,
    /// How it is made.
    pub model_recipe: Recipe,
    /// Name of the method.
    pub method: String,
    /// How it is made.
    pub method_recipe: Recipe,
}

impl Asked {
    /// The same for [`attribute`](crate::attribute::attribute).
    pub fn query(&self) -> Query<'_> {
        Query {
            study: &self.source.study,
            question: &self.question,
            answer: self.answer.as_deref(),
            mode: self.mode,
            finding: self.finding.as_deref(),
        }
    }
}

/// What came of it.
pub struct Done {
    /// For the page.
    pub answer: Answer,
    /// As `medfocus attribute` writes them.
    pub files: Vec<File>,
    /// Transparent pictures that lie over the image.
    pub layers: Vec<File>,
}

impl Done {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let files = self.files.iter().chain(&self.layers);
        files.map(|file| file.bytes.len()).sum()
    }
}

/// A question and what became of it.
pub struct Job {
    /// Its name.
    pub id: Id,
    /// What is asked.
    pub asked: Asked,
    state: watch::Sender<State>,
    done: OnceLock<Done>,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// Jobs to be done before it, while it waits.
    pub ahead: usize,
    /// What is being done, while it runs.
    pub step: Option<Step>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits for others.
    Queued,
    /// It is worked on.
    Running,
    /// Its answer is there.
    Done,
    /// It has none.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl Phase {
    /// Whether nothing more will happen.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// A step of the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// Which component works.
    pub component: String,
    /// Steps done.
    pub done: u64,
    /// Of so many; 0 if unknown.
    pub total: u64,
    /// What it does.
    pub note: String,
}

/// At most so many characters of what a plugin says that it does.
const NOTE: usize = 200;

impl Job {
    /// One that waits behind so many others.
    pub fn new(id: Id, asked: Asked) -> Self {
        let state = State {
            phase: Phase::Queued,
            ahead: 0,
            step: None,
            error: None,
        };
        Self {
            id,
            asked,
            state: watch::Sender::new(state),
            done: OnceLock::new(),
        }
    }

    /// How far it is.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// How far it is, whenever that changes.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// What came of it, once it is done.
    pub fn done(&self) -> Option<&Done> {
        self.done.get()
    }

    /// Says how many jobs come before it.
    pub fn place(&self, ahead: usize) {
        self.change(|state| state.ahead = ahead);
    }

    /// Says that it is worked on.
    pub fn start(&self) {
        self.change(|state| {
            state.phase = Phase::Running;
            state.ahead = 0;
        });
    }

    /// Says what is being done.
    pub fn step(&self, progress: &Progress<'_>) {
        let step = Step {
            component: progress.component.to_owned(),
            done: progress.done,
            total: progress.total,
            note: progress.note.chars().take(NOTE).collect(),
        };
        self.change(|state| state.step = Some(step));
    }

    /// Says what came of it; nothing that comes later counts.
    pub fn end(&self, outcome: Result<Done>) {
        let (phase, error) = match outcome {
            Ok(done) => match self.done.set(done) {
                Ok(()) => (Phase::Done, None),
                Err(_) => return,
            },
            Err(error) if error.kind == ErrorKind::Cancelled => (Phase::Cancelled, None),
            Err(error) => (Phase::Failed, Some(error.to_string())),
        };
        self.change(|state| {
            state.phase = phase;
            state.error = error;
            state.step = None;
        });
    }

    /// Says that somebody stopped it.
    pub fn cancel(&self) {
        self.end(Err(Error::cancelled()));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_if_modified(|state| {
            let goes_on = !state.phase.is_end();
            if goes_on {
                change(state);
            }
            goes_on
        });
    }
}
