//! The host's side of a component in a process of its own.

#![allow(unsafe_code, reason = "messages of plugins come in as raw parts")]

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    process::{Child, Command, ExitStatus, Stdio},
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

use super::{
    Confined, Order, Start, Word, nursery,
    wire::{Broken, Wire},
};

/// How long a process that was asked to stop may go on before it is ended.
const GRACE: Duration = Duration::from_secs(5);
/// How long one that broke the line may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// After so many processes in a row that came to an end in a call, no other is started.
const DEATHS: u32 = 5;
/// How long the next process waits after the first death; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(100);
/// Lines that a component may log in one call.
const LINES: u32 = 1000;

/// A component in a process of its own.
pub struct Remote {
    start: Start,
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
    pub fn boxed(start: Start, host: HostBox) -> Result<ComponentBox> {
        let remote = Self {
            start,
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
        let failed = |error: io::Error| {
            Error::internal(format!("no process can be started for a plugin: {error}"))
        };
        let program = match &self.start.isolation.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(failed)?,
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        // What a plugin prints is no part of what the program prints.
        let errors = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("plugin-host");
        if let Some(script) = &self.start.command {
            let confined = serde_json::to_string(&Confined {
                isolation: self.start.isolation.clone(),
                command: script.clone(),
            });
            command.arg(confined.map_err(|error| failed(error.into()))?);
        }
        command
            // Ctrl-C at a terminal is for the host, which says so to the plugin.
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(errors)
            .stderr(Stdio::inherit());
        let child = nursery::start(command).map_err(failed)?;
        let mut process = Process {
            wire: Wire::new(ours).map_err(failed)?,
            child,
        };
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
            Broken::Gone => match process.ended() {
                Some(status) => self.dead(fate(status)),
                None => self.dead("closed its line and was ended".to_owned()),
            },
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

/// A running process and the line to it. It does not outlive this.
struct Process {
    wire: Wire,
    child: Child,
}

impl Process {
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it does so by itself.
    fn ended(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + LAST_WORDS;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.end();
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It sees the line's end and drops its component; then it is gone, or it is ended.
        let _ = self.wire.close();
        self.ended();
    }
}

fn fate(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}{}", named(signal)),
        (None, code) => format!("ended its process with exit code {}", code.unwrap_or(-1)),
    }
}

fn named(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => " (abort)",
        libc::SIGSEGV => " (segmentation fault)",
        libc::SIGBUS => " (bus error)",
        libc::SIGILL => " (illegal instruction)",
        libc::SIGFPE => " (arithmetic)",
        libc::SIGKILL => " (killed, as the system does when memory runs out)",
        libc::SIGSYS => " (forbidden system call)",
        _ => "",
    }
}
