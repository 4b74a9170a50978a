//! Where processes are started: a thread that lives as long as the program.
//!
//! The kernel ends a process of a plugin when the thread that started it ends. Workers come and go with the stages of a run,
//! and what they hold goes on.

use std::{
    io::{Error, Result},
    process::{Child, Command},
    sync::{
        LazyLock,
        mpsc::{Sender, channel},
    },
    thread,
};

type Birth = (Command, Sender<Result<Child>>);

static NURSERY: LazyLock<Sender<Birth>> = LazyLock::new(|| {
    let (births, waiting) = channel::<Birth>();
    thread::spawn(move || {
        for (mut command, parent) in waiting {
            let child = command.spawn();
            // What it was given of ours is closed before anybody talks to it.
            drop(command);
            // A parent that waits no more ends the child as it drops it.
            let _ = parent.send(child);
        }
    });
    births
});

/// Starts a program, which is ended with this one.
///
/// # Errors
///
/// It cannot be started.
pub fn start(command: Command) -> Result<Child> {
    let gone = || Error::other("no process is started any more");
    let (parent, child) = channel();
    NURSERY.send((command, parent)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}
