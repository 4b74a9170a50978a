//! A process of this program's own, and the line to it.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{nursery, wire::Wire};

/// How long one that broke the line may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(2);

static HOSTS: AtomicBool = AtomicBool::new(false);

/// Says that the running program is `medfocus`, and can be started again for what has a process of its own.
pub fn hosts() {
    HOSTS.store(true, Ordering::Relaxed);
}

/// The program to start: the one that is named, or the running one.
pub fn program(named: Option<&Path>) -> Option<PathBuf> {
    let running = || {
        let hosts = HOSTS.load(Ordering::Relaxed);
        std::env::current_exe().ok().filter(|_| hosts)
    };
    named.map(Path::to_owned).or_else(running)
}

/// A running process and the line to it. It does not outlive this.
pub struct Process {
    /// The line.
    pub wire: Wire,
    child: Child,
}

impl Process {
    /// Starts a program, whose standard input becomes the other end of the line.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(program: &Path, args: &[&str], out: Stdio, errors: Stdio) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command
            .args(args)
            // Ctrl-C at a terminal is for the host, which says so to the process.
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(out)
            .stderr(errors);
        let child = nursery::start(command)?;
        Ok(Self {
            wire: Wire::new(ours)?,
            child,
        })
    }

    /// Ends it at once.
    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What became of one that broke the line; it is ended if it does not do so by itself.
    pub fn fate(&mut self) -> String {
        match self.ended() {
            Some(status) => fate(status),
            None => "closed its line and was ended".to_owned(),
        }
    }

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
