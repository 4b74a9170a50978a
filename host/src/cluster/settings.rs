//! What a task is given: the config's `cluster` section.

use medfocus_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};

/// What each task of a cluster is given, and from whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Slurm's partition; its default if nothing.
    pub partition: Option<String>,
    /// Whose time it is; the user's default if nothing.
    pub account: Option<String>,
    /// Graphics cards a task.
    pub gpus: u32,
    /// Cores a task.
    pub cpus: u32,
    /// Memory a task in MiB; by a calibration if nothing, else what the cluster gives.
    pub memory: Option<u64>,
    /// Minutes after which a task is ended; by a calibration if nothing, else what the cluster allows.
    pub minutes: Option<u64>,
    /// Tasks at the same time at most; as many as the cluster takes if nothing.
    pub throttle: Option<u32>,
    /// Kubernetes: image of the container.
    pub image: Option<String>,
    /// Kubernetes: claim of the volume that holds the folder of the experiment.
    pub volume: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            gpus: 0,
            cpus: 1,
            memory: None,
            minutes: None,
            throttle: None,
            image: None,
            volume: None,
        }
    }
}

impl Settings {
    /// Checks what a scheduler would read as something else.
    ///
    /// # Errors
    ///
    /// A name has a character that names of clusters have not, or a number is 0.
    pub fn check(&self) -> Result<()> {
        let names = [
            ("partition", &self.partition),
            ("account", &self.account),
            ("image", &self.image),
            ("volume", &self.volume),
        ];
        for (key, name) in names {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/@".contains(c);
            let fits =
                |name: &str| !name.is_empty() && !name.starts_with('-') && name.chars().all(plain);
            if let Some(name) = name.as_deref().filter(|name| !fits(name)) {
                return Err(Error::invalid(format!(
                    "`cluster.{key}` is {name:?}, which is no name on a cluster"
                )));
            }
        }
        let numbers = [
            ("cpus", Some(u64::from(self.cpus))),
            ("memory", self.memory),
            ("minutes", self.minutes),
            ("throttle", self.throttle.map(u64::from)),
        ];
        match numbers.iter().find(|(_, number)| *number == Some(0)) {
            Some((key, _)) => Err(Error::invalid(format!("`cluster.{key}` is 0"))),
            None => Ok(()),
        }
    }
}
