//! Who does a shard: a file in the shard's folder, for file systems whose locks cannot be trusted.
//!
//! The file is made by `link`, which succeeds for one only, on NFS as well. While the owner lives it is written anew
//! every few seconds; how old it is says the file server's clock, never this machine's. Whoever finds that it is not
//! theirs any more writes nothing further.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use medfocus_plugin_api::{Error, Result};
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::output::failed;

/// Name of the file.
pub const FILE: &str = "owner.json";
/// How often the owner shows that it lives.
const BEAT: Duration = Duration::from_secs(5);
/// How often another looks whether it did.
const LOOK: Duration = Duration::from_millis(500);
/// Silence after which it is taken for dead.
const SILENCE: Duration = Duration::from_secs(120);

/// A process that does a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The scheduler's name for its task, if there is a scheduler: the same once it is requeued.
    pub task: Option<String>,
    /// Tells it from all others.
    pub mark: String,
}

/// This process, as the owner of a shard until it is dropped.
pub(super) struct Owner {
    path: PathBuf,
    claim: Claim,
    beat: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Owner {
    /// Claims a folder.
    ///
    /// # Errors
    ///
    /// Somebody else does it, or the disk fails.
    pub fn claim(folder: &Path) -> Result<Arc<Self>> {
        let claim = Claim::this();
        let path = folder.join(FILE);
        let own = folder.join(format!(".owner-{}", claim.mark));
        let failed = |error: std::io::Error| failed("write", &own, &error);
        let file = File::create_new(&own).map_err(failed)?;
        claim.write(&file).map_err(failed)?;
        let claimed = claim.place(&path, &own, &file);
        // Its other name is the one that counts.
        let _ = fs::remove_file(&own);
        claimed?;
        let (stop, stopped) = mpsc::channel();
        let beats = claim.clone();
        let beat = thread::spawn(move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                // Written through the file that this process made: if another took its place, that one stays as it is.
                let written = beats.write(&file);
                if let Err(error) = written {
                    tracing::warn!("the owner of the shard cannot be written anew: {error}");
                }
            }
        });
        Ok(Arc::new(Self {
            path,
            claim,
            beat: Some((stop, beat)),
        }))
    }

    /// Checks that nobody has taken over.
    ///
    /// # Errors
    ///
    /// Somebody has.
    pub fn check(&self) -> Result<()> {
        match Claim::read(&self.path) {
            Some(found) if found.mark == self.claim.mark => Ok(()),
            found => {
                let by = found.map_or("something".to_owned(), |found| found.words());
                Err(Error::invalid(format!("the shard was taken over by {by}"))
                    .with_hint("let that one do it; nothing is lost"))
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some((stop, beat)) = self.beat.take() {
            drop(stop);
            let _ = beat.join();
        }
        if self.check().is_ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Claim {
    fn this() -> Self {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        let pid = std::process::id();
        let mut random = [0; 8];
        let moment = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        if getrandom::fill(&mut random).is_err() {
            random = (moment.map_or(0, |since| since.as_nanos()) as u64).to_le_bytes();
        }
        Self {
            mark: format!("{host}-{pid}-{:016x}", u64::from_le_bytes(random)),
            host,
            pid,
            task: task(),
        }
    }

    /// Who does a folder, if anybody.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// It, in words.
    pub fn words(&self) -> String {
        match &self.task {
            Some(task) => format!("task {task} on {}", self.host),
            None => format!("process {} on {}", self.pid, self.host),
        }
    }

    /// Always the same bytes, so that a reader meets no half of them.
    fn write(&self, file: &File) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        file.write_all_at(&text, 0)?;
        file.sync_all()
    }

    /// Puts the file, called `own` so far, in its place.
    fn place(&self, path: &Path, own: &Path, file: &File) -> Result<()> {
        let mut seen = None;
        loop {
            match fs::hard_link(own, path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("write", path, &error)),
            }
            let Some(other) = Self::read(path) else {
                // It ended a moment ago, or what is there is nobody.
                let _ = fs::remove_file(path);
                continue;
            };
            // As new as the other's file would be, were it written now.
            let stamped = self.write(file).and_then(|()| file.metadata()?.modified());
            let now = stamped.map_err(|error| failed("write", own, &error))?;
            let Some(written) = written(path) else {
                continue;
            };
            let silence = now.duration_since(written).unwrap_or_default();
            if let Some(why) = self.may_follow(&other, silence) {
                let path_words = path.display();
                tracing::warn!("{path_words} is taken over from {}: {why}", other.words());
                self.follow(path, &other);
                continue;
            }
            if *seen.get_or_insert(written) != written {
                let message = format!("{} does this shard already", other.words());
                return Err(Error::invalid(message).with_hint("let it, or end it first"));
            }
            // It may be dead: the living show it before long.
            thread::sleep(LOOK);
        }
    }

    /// Moves another's file away: of two that try, one does.
    fn follow(&self, path: &Path, other: &Self) {
        let away = path.with_extension(&self.mark);
        if fs::rename(path, &away).is_ok() {
            let taken = Self::read(&away);
            if taken.is_some_and(|taken| taken.mark != other.mark) {
                // Somebody was faster: it is theirs.
                let _ = fs::hard_link(&away, path);
            }
            let _ = fs::remove_file(&away);
        }
    }

    /// Why this may take over from another, if it may.
    fn may_follow(&self, other: &Self, silence: Duration) -> Option<&'static str> {
        if other.task.is_some() && other.task == self.task {
            return Some("it is the same task, requeued");
        }
        if other.host == self.host && !lives(other.pid) {
            return Some("its process has ended");
        }
        (silence > SILENCE).then_some("it has not been seen for two minutes")
    }
}

/// The scheduler's name for this task: Slurm's stays the same when it is requeued.
fn task() -> Option<String> {
    let read = |name: &str| std::env::var(name).ok();
    let slurm = read("SLURM_ARRAY_JOB_ID").zip(read("SLURM_ARRAY_TASK_ID"));
    let other = || read("HQ_JOB_ID").zip(read("HQ_TASK_ID"));
    let (job, task) = slurm.or_else(other)?;
    Some(format!("{job}_{task}"))
}

fn lives(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// When a file was last written, by the file server's clock.
fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(host: &str, pid: u32, task: Option<&str>) -> Claim {
        Claim {
            host: host.to_owned(),
            pid,
            task: task.map(str::to_owned),
            mark: format!("{host}{pid}"),
        }
    }

    #[test]
    fn a_shard_has_one_owner_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = Owner::claim(folder.path()).unwrap();
        first.check().unwrap();
        let refused = Owner::claim(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("does this shard already"), "{refused}");
        first.check().unwrap();
        drop(first);
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 0, "nothing is left behind");
        Owner::claim(folder.path()).unwrap().check().unwrap();
    }

    #[test]
    fn who_was_replaced_writes_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let first = Owner::claim(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        fs::remove_file(&path).unwrap();
        let second = Owner::claim(folder.path()).unwrap();
        let error = first.check().unwrap_err().to_string();
        assert!(error.contains("taken over"), "{error}");
        drop(first);
        second.check().unwrap();
    }

    #[test]
    fn the_dead_are_followed_and_the_living_are_not() {
        let me = claim("a", std::process::id(), Some("7_1"));
        let soon = Duration::from_secs(1);
        let late = SILENCE + Duration::from_secs(1);
        // The same task, on whichever machine.
        assert!(me.may_follow(&claim("b", 1, Some("7_1")), soon).is_some());
        assert!(me.may_follow(&claim("b", 1, Some("7_2")), soon).is_none());
        assert!(me.may_follow(&claim("b", 1, Some("7_2")), late).is_some());
        // A process of this machine that has ended: no number is as high.
        assert!(
            me.may_follow(&claim("a", i32::MAX as u32, None), soon)
                .is_some()
        );
        assert!(
            me.may_follow(&claim("a", std::process::id(), None), soon)
                .is_none()
        );
        assert!(me.may_follow(&claim("b", 1, None), soon).is_none());
    }

    #[test]
    fn of_two_that_take_over_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let dead = claim(&Claim::this().host, i32::MAX as u32, None);
        fs::write(&path, serde_json::to_vec(&dead).unwrap()).unwrap();
        let claimed: Vec<_> = thread::scope(|scope| {
            let each = || Owner::claim(folder.path()).ok();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(each)).collect();
            threads
                .into_iter()
                .filter_map(|t| t.join().unwrap())
                .collect()
        });
        let sure = claimed.iter().filter(|owner| owner.check().is_ok());
        assert_eq!(sure.count(), 1);
    }
}
