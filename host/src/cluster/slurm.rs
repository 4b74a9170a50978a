//! Slurm, by its own commands: sbatch, squeue, sacct, scancel, scontrol.

use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
};

use medfocus_plugin_api::{Error, Result};

use super::{
    job::{Job, Submitted},
    quote,
};

/// Slurm's default of `MaxArraySize`.
const ARRAY: u32 = 1001;

/// An existing Slurm cluster.
pub struct Slurm {
    /// Number behind the highest index of an array.
    array: u32,
}

impl Slurm {
    /// The cluster of this machine. Where none answers, as one with Slurm's own limits.
    pub fn here() -> Self {
        let config = say("scontrol", &["show", "config"], None).unwrap_or_default();
        let mut lines = config.lines().filter_map(|line| line.split_once('='));
        let size = lines.find(|(key, _)| key.trim() == "MaxArraySize");
        let size = size.and_then(|(_, value)| value.trim().parse().ok());
        Self {
            array: size.unwrap_or(ARRAY).max(1),
        }
    }

    /// All scripts: those of each wave's arrays, then the merge.
    ///
    /// # Errors
    ///
    /// A setting or a folder has a name that Slurm would take for something else.
    pub fn scripts(&self, job: &Job) -> Result<(Vec<Vec<String>>, String)> {
        let offsets = || (0..job.shards).step_by(self.array as usize);
        let wave = || offsets().map(|offset| self.array(job, offset)).collect();
        let waves: Vec<Vec<String>> = (0..job.waves).map(|_| wave()).collect::<Result<_>>()?;
        let merge = head(job, "%A.txt", false)? + "exec " + &quote::words(&job.merge()) + "\n";
        Ok((waves, merge))
    }

    fn array(&self, job: &Job, offset: u32) -> Result<String> {
        let last = (job.shards - offset).min(self.array) - 1;
        let mut script = head(job, "%A_%a.txt", true)?;
        let throttle = job.settings.throttle;
        let throttle = throttle.map_or(String::new(), |tasks| format!("%{tasks}"));
        let _ = writeln!(script, "#SBATCH --array=0-{last}{throttle}");
        let _ = writeln!(script, "export MEDFOCUS_SHARD_OFFSET={offset}");
        Ok(script + "exec " + &quote::words(&job.shard()) + "\n")
    }

    /// Hands all to the scheduler, and returns at once. Each wave waits until the one before has ended, whichever way.
    ///
    /// # Errors
    ///
    /// Slurm refuses; then what it had taken is cancelled.
    pub fn submit(&self, job: &Job) -> Result<Submitted> {
        let (waves, merge) = self.scripts(job)?;
        let mut jobs: Vec<String> = Vec::new();
        let mut before: Vec<String> = Vec::new();
        for scripts in waves.into_iter().chain([vec![merge]]) {
            let mut numbers = Vec::new();
            for script in scripts {
                match hand(&script, &before) {
                    Ok(number) => {
                        jobs.push(number.clone());
                        numbers.push(number);
                    }
                    Err(error) => {
                        if !jobs.is_empty() {
                            cancel(&jobs)?;
                        }
                        return Err(error);
                    }
                }
            }
            before = numbers;
        }
        Ok(Submitted {
            shards: job.shards,
            jobs,
        })
    }

    /// Cancels jobs; those that have ended stay as they are.
    ///
    /// # Errors
    ///
    /// There is no Slurm here, or it refuses.
    pub fn cancel(&self, jobs: &[String]) -> Result<()> {
        cancel(jobs)
    }

    /// Number and state of each task that Slurm still knows; by its accounting where there is one.
    pub fn states(&self, jobs: &[String]) -> Vec<(String, String)> {
        let jobs = jobs.join(",");
        let queue = ["--noheader", "-r", "-o", "%i|%T", "-j", &jobs];
        let accounts = [
            "--noheader",
            "--parsable2",
            "-X",
            "-o",
            "JobID,State",
            "-j",
            &jobs,
        ];
        // Each says an error where it knows nothing of these jobs.
        let accounts = say("sacct", &accounts, None).unwrap_or_default();
        let queue = say("squeue", &queue, None).unwrap_or_default();
        let text = if accounts.trim().is_empty() {
            queue
        } else {
            accounts
        };
        let lines = text.lines().filter_map(|line| line.split_once('|'));
        lines
            .map(|(number, state)| (number.to_owned(), state.to_owned()))
            .collect()
    }
}

fn cancel(jobs: &[String]) -> Result<()> {
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    say("scancel", &jobs, None).map(|_| ())
}

fn hand(script: &str, before: &[String]) -> Result<String> {
    let after = format!("--dependency=afterany:{}", before.join(":"));
    let mut arguments = vec!["--parsable"];
    if !before.is_empty() {
        arguments.push(&after);
    }
    let said = say("sbatch", &arguments, Some(script))?;
    // NUMBER, or NUMBER;CLUSTER.
    let number = said.trim().split(';').next().unwrap_or_default();
    match number.parse::<u64>() {
        Ok(_) => Ok(number.to_owned()),
        Err(_) => Err(Error::internal(format!(
            "sbatch said `{}`, no job's number",
            said.trim()
        ))),
    }
}

/// What every script begins with.
fn head(job: &Job, log: &str, shard: bool) -> Result<String> {
    let settings = &job.settings;
    let mut lines = vec![
        "#!/bin/sh".to_owned(),
        format!("#SBATCH --job-name={}", job.name),
        format!("#SBATCH --chdir={}", quote::path(&job.here)?),
        format!("#SBATCH --output={}/{log}", quote::path(&job.logs)?),
        "#SBATCH --open-mode=append".to_owned(),
        "#SBATCH --requeue".to_owned(),
    ];
    let mut add = |key: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("#SBATCH --{key}={value}")));
    };
    add("partition", settings.partition.clone());
    add("account", settings.account.clone());
    if shard {
        add("cpus-per-task", Some(settings.cpus.to_string()));
        add(
            "gres",
            (settings.gpus > 0).then(|| format!("gpu:{}", settings.gpus)),
        );
        add("mem", settings.memory.map(|memory| format!("{memory}M")));
        add("time", settings.minutes.map(|minutes| minutes.to_string()));
    }
    Ok(lines.join("\n") + "\n")
}

/// What a command of Slurm's says.
fn say(program: &str, arguments: &[&str], input: Option<&str>) -> Result<String> {
    let none = |error: std::io::Error| {
        Error::missing(format!("`{program}` cannot be started: {error}"))
            .with_hint("run this where Slurm's commands are, or print the script with --dry-run")
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(none)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read says why.
        let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    }
    let said = child.wait_with_output().map_err(none)?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        let why = why.trim().replace('\n', "; ");
        return Err(Error::invalid(format!("`{program}` refuses: {why}")));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::settings::Settings, *};

    fn job(shards: u32) -> Job {
        Job {
            name: "medfocus-demo".to_owned(),
            program: vec!["/opt/medfocus".to_owned()],
            config: Some("/data/it's.toml".into()),
            here: "/data".into(),
            logs: "/data/out/log".into(),
            shards,
            waves: 2,
            settings: Settings {
                partition: Some("gpu".to_owned()),
                gpus: 1,
                minutes: Some(90),
                throttle: Some(4),
                ..Settings::default()
            },
        }
    }

    #[test]
    fn a_script_says_what_a_task_needs_and_does() {
        let (waves, merge) = Slurm { array: 1001 }.scripts(&job(8)).unwrap();
        assert_eq!(waves.len(), 2);
        assert_eq!(
            waves[0],
            [r"#!/bin/sh
#SBATCH --job-name=medfocus-demo
#SBATCH --chdir=/data
#SBATCH --output=/data/out/log/%A_%a.txt
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --partition=gpu
#SBATCH --cpus-per-task=1
#SBATCH --gres=gpu:1
#SBATCH --time=90
#SBATCH --array=0-7%4
export MEDFOCUS_SHARD_OFFSET=0
exec /opt/medfocus run '/data/it'\''s.toml' --shard auto/8
"]
        );
        assert!(
            merge.ends_with("merge '/data/it'\\''s.toml' --partial\n"),
            "{merge}"
        );
    }

    #[test]
    fn more_tasks_than_an_array_holds_are_several_arrays() {
        let (waves, _) = Slurm { array: 10 }.scripts(&job(24)).unwrap();
        let arrays = waves[0].iter().map(|script| {
            let lines = script.lines();
            let told = lines.filter(|line| line.contains("--array") || line.contains("OFFSET"));
            told.map(|line| line.rsplit('=').next().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        });
        assert_eq!(
            arrays.collect::<Vec<_>>(),
            ["0-9%4 0", "0-9%4 10", "0-3%4 20"]
        );
    }

    #[test]
    fn a_folder_that_slurm_reads_otherwise_is_refused() {
        let mut job = job(1);
        job.logs = "/data/%u".into();
        let error = Slurm { array: 1 }.scripts(&job).unwrap_err().to_string();
        assert!(error.contains("choose another folder"), "{error}");
    }
}
