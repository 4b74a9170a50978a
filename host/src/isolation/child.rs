//! The process of one plugin's component: `medfocus plugin-host`.

#![allow(unsafe_code, reason = "messages of plugins come in as raw parts")]

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use medfocus_plugin_api::{
    Error, Message, Result,
    abi::{
        self, AbiError, AbiMessage, ComponentBox, HostBox,
        std_types::{RErr, ROk, RResult, RStr},
        type_level::downcasting::TD_Opaque,
    },
};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::{
    Confined, Order, Start, Word,
    sandbox::{self, Whose},
    wire::{Broken, Wire},
};
use crate::{
    libtorch::Libtorch,
    plugin::{Gate, Library, inspect},
};

/// Becomes the program that runs a plugin, confined before it is started; it then serves the host itself.
///
/// # Errors
///
/// This cannot be confined, or there is no such program. The host sees the line's end.
pub fn become_program(confined: &str) -> Result<ExitCode> {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let Confined { isolation, command } = serde_json::from_str(confined)
        .map_err(|error| Error::invalid(format!("what to confine cannot be read: {error}")))?;
    sandbox::confine(&isolation, Whose::Program, false)?;
    let program = command.first().map(String::as_str).unwrap_or_default();
    let error = Command::new(program)
        .args(&command[1..])
        // Python takes no module from the folder where the host happens to run.
        .env("PYTHONSAFEPATH", "1")
        .exec();
    Err(Error::missing(format!(
        "`{program}` cannot be started: {error}"
    )))
}

/// Serves the host at the other end of standard input until that is no more.
pub fn serve() -> ExitCode {
    // A host that is killed takes its plugins along.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let Ok(line) = line() else {
        eprintln!(
            "medfocus: `plugin-host` is started by medfocus itself, for a plugin in a process of its own"
        );
        return ExitCode::from(2);
    };
    match converse(&line) {
        // There is nobody left to tell more.
        Ok(()) | Err(Broken::Gone) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

fn line() -> std::io::Result<Arc<Line>> {
    Ok(Arc::new(Line {
        wire: Wire::of_stdin()?,
        sending: Mutex::default(),
        asking: Mutex::default(),
    }))
}

fn converse(line: &Arc<Line>) -> Result<(), Broken> {
    let component = match line.receive()? {
        (Order::Start(start), _) => make(&start, line),
        (other, _) => return Err(unexpected(&other)),
    };
    let component = match component {
        Ok(component) => component,
        Err(error) => return line.send(&Word::Failed(error), &Message::default()),
    };
    line.send(&Word::Done, &Message::default())?;
    loop {
        let (op, message) = match line.receive()? {
            (Order::Invoke(op), message) => (op, message),
            (other, _) => return Err(unexpected(&other)),
        };
        let answer =
            match abi::Component::invoke(&component, op.as_str().into(), message.into_abi()) {
                // SAFETY: a plugin's handles are made by `into_abi`; its layout was checked as it was opened.
                ROk(message) => unsafe { Message::from_abi(message) },
                RErr(error) => Err(error.into()),
            };
        match answer {
            Ok(message) => line.send(&Word::Done, &message)?,
            Err(error) => line.send(&Word::Failed(error), &Message::default())?,
        }
    }
}

fn make(start: &Start, line: &Arc<Line>) -> Result<ComponentBox> {
    let plugin = inspect(&start.plugin)?
        .ok_or_else(|| Error::invalid(format!("{} is no plugin", start.plugin.display())))?;
    let whose = match plugin.manifest.libtorch {
        Some(_) => Whose::Libtorch,
        None => Whose::Library,
    };
    let network = start.isolation.reaches_network(&plugin.manifest)?;
    sandbox::confine(&start.isolation, whose, network)?;
    let libtorch = Libtorch::new(start.libtorch.clone());
    // The host has let a plugin of this very digest pass its gate.
    let library = Library::open(&plugin, Some(&start.id), &Gate::default(), &libtorch)?;
    let host = HostBox::from_value(Host(line.clone()), TD_Opaque);
    library.create(&start.component, &start.params, host)
}

fn unexpected(order: &Order) -> Broken {
    Broken::Garbled(format!("{order:?} out of turn"))
}

/// The line to the host, which the component's threads share.
struct Line {
    wire: Wire,
    /// Held while a packet is sent.
    sending: Mutex<()>,
    /// Held by whoever waits for an order or an answer.
    asking: Mutex<()>,
}

impl Line {
    fn send(&self, word: &Word, message: &Message) -> Result<(), Broken> {
        let _turn = lock(&self.sending);
        self.wire.send(word, message, &mut || Ok(()))
    }

    fn receive(&self) -> Result<(Order, Message), Broken> {
        let _turn = lock(&self.asking);
        self.wire.receive(&mut || Ok(()))
    }

    fn ask(&self, word: &Word, message: &Message) -> Result<(Order, Message), Broken> {
        let _turn = lock(&self.asking);
        self.send(word, message)?;
        self.wire.receive(&mut || Ok(()))
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The host as the component sees it.
struct Host(Arc<Line>);

impl abi::Host for Host {
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>) {
        let word = Word::Log(level, target.into(), message.into());
        let _ = self.0.send(&word, &Message::default());
    }

    fn progress(&self, done: u64, total: u64, note: RStr<'_>) {
        let word = Word::Progress(done, total, note.into());
        let _ = self.0.send(&word, &Message::default());
    }

    fn cancelled(&self) -> bool {
        let answer = self.0.ask(&Word::Cancelled, &Message::default());
        // Without a host there is nothing to go on for.
        !matches!(answer, Ok((Order::Cancelled(false), _)))
    }

    fn call(
        &self,
        slot: RStr<'_>,
        op: RStr<'_>,
        message: AbiMessage,
    ) -> RResult<AbiMessage, AbiError> {
        // SAFETY: the component's handles are made by `into_abi`.
        let answer = unsafe { Message::from_abi(message) }.and_then(|message| {
            let word = Word::Call(slot.into(), op.into());
            match self.0.ask(&word, &message) {
                Ok((Order::Answer, message)) => Ok(message),
                Ok((Order::Refusal(error), _)) => Err(error),
                Ok((other, _)) => Err(Error::protocol(format!("the host said {other:?}"))),
                Err(broken) => Err(Error::internal(format!("the host is gone: {broken:?}"))),
            }
        });
        match answer {
            Ok(message) => ROk(message.into_abi()),
            Err(error) => RErr(AbiError::from(&error)),
        }
    }
}
