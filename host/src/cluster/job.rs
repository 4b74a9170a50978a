//! An experiment as a scheduler gets it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::settings::Settings;

/// Name of the file in the results' folder with a [`Submitted`].
pub const SUBMITTED: &str = "cluster.json";

/// An experiment as an array of tasks.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// The program with whatever stands before its command.
    pub program: Vec<String>,
    /// The config, if one was named.
    pub config: Option<PathBuf>,
    /// The folder in which it runs.
    pub here: PathBuf,
    /// The folder of logs.
    pub logs: PathBuf,
    /// How many tasks.
    pub shards: u32,
    /// How often each task is run: once for each phase that waits for another.
    pub waves: usize,
    /// What each task is given.
    pub settings: Settings,
}

/// What was handed to a scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// How many shards.
    pub shards: u32,
    /// The scheduler's numbers, the merge last.
    pub jobs: Vec<String>,
}

impl Job {
    /// The words of the command that does a shard.
    pub fn shard(&self) -> Vec<String> {
        self.command("run", &["--shard", &format!("auto/{}", self.shards)])
    }

    /// The words of the command that merges.
    pub fn merge(&self) -> Vec<String> {
        self.command("merge", &["--partial"])
    }

    fn command(&self, verb: &str, more: &[&str]) -> Vec<String> {
        let config = self.config.as_deref().and_then(Path::to_str);
        let rest = [verb].into_iter().chain(config).chain(more.iter().copied());
        let program = self.program.iter().cloned();
        program.chain(rest.map(str::to_owned)).collect()
    }
}
