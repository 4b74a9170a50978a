//! `medfocus submit`, `medfocus status`, `medfocus cancel`.

use std::{
    env, fs,
    path::{self, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use medfocus_plugin_api::{Error, Result};

use super::Common;
use crate::{
    calibration::Calibration,
    cluster::{self, Job, SUBMITTED, Slurm, Submitted},
    experiment::{
        estimate::Estimate,
        merge,
        phase::Phase,
        plan::{Plan, slug},
        results,
        shards::{self, Shards},
        trial::ModelTrial,
    },
    output::OutDir,
    workbench::Workbench,
};

/// How much longer than predicted a task may take, and how much more memory.
const MARGIN: f64 = 1.5;

#[derive(Args)]
pub struct Submit {
    /// Config with an `experiment` section [default: --config]
    pub file: Option<PathBuf>,
    /// Who runs the tasks
    #[arg(long)]
    engine: Engine,
    /// Into how many tasks the experiment is cut
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// Where `medfocus bench` wrote what a model takes, for time, memory and equal tasks; one for each model
    #[arg(long = "calibration", value_name = "FILE")]
    calibrations: Vec<PathBuf>,
    /// Print what would be handed to the engine
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Arrays of an existing Slurm cluster
    Slurm,
    /// An Indexed Job of Kubernetes: with --dry-run only
    Kubernetes,
    /// A HyperQueue server: with --dry-run only
    Hyperqueue,
}

#[derive(Args)]
pub struct Status {
    /// Config with an `experiment` section [default: --config]
    pub file: Option<PathBuf>,
}

#[derive(Args)]
pub struct Cancel {
    /// Config with an `experiment` section [default: --config]
    pub file: Option<PathBuf>,
}

impl Submit {
    pub fn run(self, bench: &Workbench, common: &Common) -> Result<ExitCode> {
        if self.engine != Engine::Slurm && !self.dry_run {
            return Err(Error::unsupported("only Slurm is spoken to directly")
                .with_hint("print what to hand to this engine with --dry-run"));
        }
        let plan = Plan::new(bench)?;
        let mut settings = bench.layers.config.cluster.clone();
        settings.check()?;
        let trials: Vec<ModelTrial> = self
            .calibrations
            .iter()
            .map(|file| Calibration::read(file).map(|calibration| calibration.trial))
            .collect::<Result<_>>()?;
        let shards = if trials.is_empty() {
            Shards::even(&plan, self.shards)?
        } else {
            let shards = Shards::cut(&plan, self.shards, &Estimate::costs(&plan, &trials)?)?;
            let workers = plan
                .experiment
                .workers
                .max(plan.experiment.devices.len())
                .max(1) as f64;
            let load = trials.iter().map(|trial| trial.load).sum::<f64>();
            let minutes = MARGIN * (shards.dearest() / workers + load) / 60.0;
            settings
                .minutes
                .get_or_insert(minutes.ceil().max(1.0) as u64);
            let peaks = Estimate::of(&plan, &trials)?
                .iter()
                .filter_map(Estimate::peak)
                .max();
            if let (None, Some(peak)) = (settings.memory, peaks) {
                settings.memory =
                    Some((MARGIN * workers * peak as f64 / f64::from(1 << 20)).ceil() as u64);
            }
            shards
        };
        let folder = path::absolute(plan.folder())
            .map_err(|error| Error::internal(format!("there is no working folder: {error}")))?;
        let cut = folder.join(results::SHARDS).join(self.shards.to_string());
        let job = job(&plan, common, self.shards, cut.join("log"), settings)?;
        match self.engine {
            Engine::Hyperqueue => print!("{}", cluster::line(&job)?),
            Engine::Kubernetes => println!("{:#}", cluster::manifest(&job)?),
            Engine::Slurm if self.dry_run => {
                let (waves, merge) = Slurm::here().scripts(&job)?;
                for script in waves.concat() {
                    println!("{script}");
                }
                print!("{merge}");
            }
            Engine::Slurm => {
                let out = OutDir::create(&folder)?;
                if let Some(earlier) = results::plan_of_results(out.path())? {
                    plan.check_continues(&earlier)?;
                }
                let cut = out.within(&[results::SHARDS, &self.shards.to_string()])?;
                cut.within(&["log"])?;
                cut.json(shards::MANIFEST, &shards)?;
                out.json(results::PLAN, &plan)?;
                let submitted = Slurm::here().submit(&job)?;
                out.json(SUBMITTED, &submitted)?;
                println!(
                    "{} tasks are Slurm's, as jobs {}; `medfocus status` says how far they are.",
                    self.shards,
                    submitted.jobs.join(", ")
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Status {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let plan = Plan::new(bench)?;
        let submitted = submitted(&plan)?;
        for (number, state) in Slurm::here().states(&submitted.jobs) {
            println!("{number}  {state}");
        }
        for (phase, done, of) in merge::progress(&plan)? {
            println!("{}: {done} of {of} samples", phase.words());
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Cancel {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let plan = Plan::new(bench)?;
        let submitted = submitted(&plan)?;
        Slurm::here().cancel(&submitted.jobs)?;
        println!("Cancelled; what is done stays, and `medfocus submit` goes on from there.");
        Ok(ExitCode::SUCCESS)
    }
}

fn submitted(plan: &Plan) -> Result<Submitted> {
    let path = plan.folder().join(SUBMITTED);
    let text = fs::read(&path).map_err(|error| {
        Error::missing(format!("{} cannot be read: {error}", path.display()))
            .with_hint("hand the experiment to a cluster with `medfocus submit`")
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::invalid(format!("{} cannot be read: {error}", path.display())))
}

/// The experiment for a scheduler, run as this command was.
fn job(
    plan: &Plan,
    common: &Common,
    shards: u32,
    logs: PathBuf,
    settings: cluster::Settings,
) -> Result<Job> {
    let nowhere = |error| Error::internal(format!("the program's place is not known: {error}"));
    let exe = env::current_exe().map_err(nowhere)?;
    let mut program = vec![exe.display().to_string()];
    for plugin in &common.plugins {
        let plugin = path::absolute(plugin).map_err(nowhere)?;
        program.extend(["--plugins".to_owned(), plugin.display().to_string()]);
    }
    for setting in &common.settings {
        program.extend(["--set".to_owned(), setting.clone()]);
    }
    let config = common.config.as_deref().map(path::absolute).transpose();
    let waves = Phase::ALL
        .iter()
        .filter(|phase| !phase.cells(plan).is_empty());
    let waves: std::collections::BTreeSet<usize> = waves.map(|phase| phase.wave()).collect();
    Ok(Job {
        name: format!("medfocus-{}", slug(&plan.experiment.name)),
        program,
        config: config.map_err(nowhere)?,
        here: env::current_dir().map_err(nowhere)?,
        logs,
        shards,
        waves: waves.len(),
        settings,
    })
}
