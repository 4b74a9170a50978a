//! The host's side of a component in a process of its own.

#![allow(unsafe_code, reason = "messages of plugins come in as raw parts")]

use std::{
    io,
    os::fd::AsFd,
    process::Stdio,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use medfocus_plugin_api::{
    Error, ErrorKind, Message, Result,
    abi::{
        self, AbiError, AbiMessage, ComponentBox, HostBox,
        std_types::{RErr, ROk, RResult, RStr},
        type_level::downcasting::TD_Opaque,
    },
};

use crate::plugin::Sealed;

use super::{
    Confined, Order, Start, Word,
    process::{self, Process},
    wire::Broken,
};

/// How long a process that was asked to stop may go on before it is ended.
const GRACE: Duration = Duration::from_secs(5);
/// After so many processes in a row that came to an end in a call, no other is started.
const DEATHS: u32 = 5;
/// How long the next process waits after the first death; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(100);
/// Lines that a component may log in one call.
const LINES: u32 = 1000;

/// A component in a process of its own.
pub struct Remote {
    start: Start,
    /// What runs the plugin, if it is no library.
    script: Option<Sealed>,
    host: HostBox,
    life: Mutex<Life>,
}

struct Life {
    process: Option<Process>,
    /// Processes in a row that came to an end in a call.
    deaths: u32,
}

impl Life {
    /// Counts a process that came to an end, unless the user wanted that.
    fn mourn(&mut self, error: &Error) {
        if error.kind != ErrorKind::Cancelled {
            self.deaths += 1;
        }
    }
}

impl Remote {
    /// Starts a process and makes the component there.
    ///
    /// # Errors
    ///
    /// The process cannot be started or ends, or what the component's constructor fails with.
    pub fn boxed(start: Start, script: Option<Sealed>, host: HostBox) -> Result<ComponentBox> {
        let remote = Self {
            start,
            script,
            host,
            life: Mutex::new(Life {
                process: None,
                deaths: 0,
            }),
        };
        let process = remote.started()?;
        remote.lock().process = Some(process);
        Ok(ComponentBox::from_value(remote, TD_Opaque))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process with the component.
    fn started(&self) -> Result<Process> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::internal(format!("no process can be started for a plugin: {error}"))
        };
        let program =
            process::program(self.start.isolation.program.as_deref()).ok_or_else(|| {
                failed(&"this program is not medfocus, and `plugins.isolation.program` names none")
            })?;
        let confined = self.script.as_ref().map(|script| {
            serde_json::to_string(&Confined {
                isolation: self.start.isolation.clone(),
                command: script.command.clone(),
            })
        });
        let confined = confined.transpose().map_err(|error| failed(&error))?;
        let args = std::iter::once("plugin-host").chain(confined.as_deref());
        // What a plugin prints is no part of what the program prints.
        let out = io::stderr().as_fd().try_clone_to_owned();
        let out = out.map_err(|error| failed(&error))?;
        let mut process = Process::start(
            &program,
            &Vec::from_iter(args),
            out.into(),
            Stdio::inherit(),
        )
        .map_err(|error| failed(&error))?;
        let order = Order::Start(Box::new(self.start.clone()));
        match self.ask(&process, &order, &Message::default()) {
            Ok(_) => Ok(process),
            Err(Ended::Failed(error)) => Err(error),
            Err(Ended::Broken(broken)) => Err(self.obituary(&mut process, broken)),
        }
    }

    fn invoked(&self, op: &str, message: &Message) -> Result<Message> {
        let mut life = self.lock();
        let mut process = match life.process.take() {
            Some(process) => process,
            None => self
                .again(life.deaths)
                .inspect_err(|error| life.mourn(error))?,
        };
        let answer = match self.ask(&process, &Order::Invoke(op.to_owned()), message) {
            Ok(answer) => Ok(answer),
            Err(Ended::Failed(error)) => Err(error),
            Err(Ended::Broken(broken)) => {
                let error = self.obituary(&mut process, broken);
                life.mourn(&error);
                return Err(error);
            }
        };
        *life = Life {
            process: Some(process),
            deaths: 0,
        };
        answer
    }

    /// Another process after some that came to an end.
    fn again(&self, deaths: u32) -> Result<Process> {
        if deaths >= DEATHS {
            return Err(self.dead(format!(
                "came to an end {DEATHS} times in a row and is not started again"
            )));
        }
        let until = Instant::now() + PAUSE * 2_u32.pow(deaths.saturating_sub(1));
        while Instant::now() < until {
            if self.host.cancelled() {
                return Err(Error::cancelled());
            }
            thread::sleep(PAUSE / 4);
        }
        self.started()
    }

    /// Gives an order, and does what the process asks for until it is done.
    fn ask(&self, process: &Process, order: &Order, message: &Message) -> Result<Message, Ended> {
        let mut clock = Clock::new(Duration::from_secs(self.start.isolation.seconds));
        let mut patience = || clock.check(self);
        process.wire.send(order, message, &mut patience)?;
        let mut lines = 0;
        loop {
            let mut patience = || clock.check(self);
            let (word, message) = process.wire.receive::<Word>(&mut patience)?;
            clock.check(self).map_err(Broken::GivenUp)?;
            match word {
                Word::Done => return Ok(message),
                Word::Failed(error) => return Err(Ended::Failed(error)),
                Word::Progress(done, total, note) => {
                    self.host.progress(done, total, note.as_str().into());
                }
                Word::Log(level, target, text) => {
                    lines += 1;
                    if lines <= LINES {
                        self.host
                            .log(level, target.as_str().into(), text.as_str().into());
                    }
                    if lines == LINES {
                        let text = "it logs too much; no more is shown of this call";
                        self.host.log(2, "isolation".into(), text.into());
                    }
                }
                Word::Cancelled => {
                    let answer = Order::Cancelled(self.host.cancelled());
                    let mut patience = || clock.check(self);
                    process
                        .wire
                        .send(&answer, &Message::default(), &mut patience)?;
                }
                Word::Call(slot, op) => {
                    let begun = Instant::now();
                    let answer = self.host.call(
                        slot.as_str().into(),
                        op.as_str().into(),
                        message.into_abi(),
                    );
                    // What the host takes is not the plugin's time.
                    clock.begun += begun.elapsed();
                    let answer = match answer {
                        // SAFETY: the host's handles are made by `into_abi`.
                        ROk(message) => unsafe { Message::from_abi(message) },
                        RErr(error) => Err(error.into()),
                    };
                    let (order, message) = match answer {
                        Ok(message) => (Order::Answer, message),
                        Err(error) => (Order::Refusal(error), Message::default()),
                    };
                    let mut patience = || clock.check(self);
                    process.wire.send(&order, &message, &mut patience)?;
                }
            }
        }
    }

    /// Ends a process that broke the line, and says what became of it.
    fn obituary(&self, process: &mut Process, broken: Broken) -> Error {
        match broken {
            Broken::GivenUp(error) => {
                process.end();
                error
            }
            Broken::Garbled(why) => {
                process.end();
                self.dead(format!("said what cannot be read ({why}) and was ended"))
            }
            Broken::Gone => self.dead(process.fate()),
        }
    }

    fn dead(&self, what: String) -> Error {
        let memory = self.start.isolation.memory_mib;
        let error = Error::new(
            ErrorKind::Panicked,
            format!("`{}` {what}", self.start.component),
        );
        error.with_hint(format!(
            "it ran in a process of its own with {memory} MiB (`plugins.isolation.memory_mib`); the host and all else go on"
        ))
    }
}

impl abi::Component for Remote {
    fn invoke(&self, op: RStr<'_>, message: AbiMessage) -> RResult<AbiMessage, AbiError> {
        // SAFETY: handles within the host are made by `into_abi`.
        let message = unsafe { Message::from_abi(message) };
        match message.and_then(|message| self.invoked(op.as_str(), &message)) {
            Ok(answer) => ROk(answer.into_abi()),
            Err(error) => RErr(AbiError::from(&error)),
        }
    }
}

/// Why an order has no answer.
enum Ended {
    /// The component failed; its process lives.
    Failed(Error),
    /// The process is no more, or must not live on.
    Broken(Broken),
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// How long a process is waited for.
struct Clock {
    begun: Instant,
    limit: Duration,
    /// When the user asked to stop.
    cancelled: Option<Instant>,
}

impl Clock {
    fn new(limit: Duration) -> Self {
        Self {
            begun: Instant::now(),
            limit,
            cancelled: None,
        }
    }

    fn check(&mut self, remote: &Remote) -> Result<()> {
        if remote.host.cancelled() {
            let since = *self.cancelled.get_or_insert_with(Instant::now);
            if since.elapsed() > GRACE {
                return Err(Error::cancelled());
            }
        }
        if self.begun.elapsed() <= self.limit {
            return Ok(());
        }
        let name = &remote.start.component;
        let seconds = self.limit.as_secs();
        let error = Error::new(
            ErrorKind::Panicked,
            format!("`{name}` took longer than {seconds} s and was ended"),
        );
        Err(error.with_hint("raise `plugins.isolation.seconds` if it may"))
    }
}
