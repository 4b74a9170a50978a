//! `medfocus plan`, `medfocus run`, `medfocus merge`, `medfocus report`.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::Args;
use medfocus_plugin_api::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use super::terminal;
use crate::{
    calibration::Calibration,
    experiment::{
        estimate::Estimate,
        filtering::FilterCost,
        merge,
        part::Part,
        plan::Plan,
        results::{self, Results},
        run::{self, Progress},
        shards::{self, Shard, Shards},
        stage::Finished,
        trial::{self, MethodCost, ModelTrial},
    },
    output::OutDir,
    report,
    workbench::{Provenance, Workbench},
};

#[derive(Args)]
pub struct PlanCommand {
    /// Config with an `experiment` section [default: --config]
    pub file: Option<PathBuf>,
    /// Load no model: leave out what the run will cost
    #[arg(long)]
    no_estimate: bool,
    /// Load no model: say what the run will cost where `medfocus bench` wrote this file; one for each model
    #[arg(
        long = "calibration",
        value_name = "FILE",
        conflicts_with = "no_estimate"
    )]
    calibrations: Vec<PathBuf>,
    /// Cut the experiment into so many shards, for `medfocus run --shard`
    #[arg(long, value_name = "N")]
    shards: Option<u32>,
}

#[derive(Args)]
pub struct RunCommand {
    /// Config with an `experiment` section [default: --config]
    pub file: Option<PathBuf>,
    /// Do failed samples again
    #[arg(long)]
    retry_failed: bool,
    /// Do one shard, as 0/8 for the first of eight; auto/8 where Slurm, HyperQueue or Kubernetes tells the number
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
}

#[derive(Args)]
pub struct MergeCommand {
    /// Config with an `experiment` section [default: --config]
    pub file: Option<PathBuf>,
    /// Merge what there is, although samples are missing
    #[arg(long)]
    partial: bool,
}

#[derive(Args)]
pub struct ReportCommand {
    /// Folder of an experiment's results, finished or not
    folder: PathBuf,
}

impl PlanCommand {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let plan = Plan::new(bench)?;
        let out = OutDir::create(plan.folder())?;
        match results::plan_of_results(out.path())? {
            // Beside results stands the plan they were made by.
            Some(earlier) => plan.check_continues(&earlier)?,
            None => {
                out.json(results::PLAN, &plan)?;
            }
        }
        out.write("tasks.jsonl", |file| write_tasks(file, &plan))?;
        println!("{}", describe(&plan));
        let trials = match self.no_estimate {
            true => Vec::new(),
            false => {
                terminal::attend(&bench.session);
                let (trials, places) = tried(bench, &plan, &self.calibrations)?;
                let estimates = Estimate::of(&plan, &trials)?;
                println!("{}", costs(&plan, &estimates, &places));
                trials
            }
        };
        if let Some(count) = self.shards {
            let shards = match self.no_estimate {
                true => Shards::even(&plan, count)?,
                false => Shards::cut(&plan, count, &Estimate::costs(&plan, &trials)?)?,
            };
            let folder = out.within(&[results::SHARDS, &count.to_string()])?;
            folder.json(shards::MANIFEST, &shards)?;
        }
        println!("Written to {}.", out.path().display());
        Ok(ExitCode::SUCCESS)
    }
}

impl RunCommand {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let plan = Plan::new(bench)?;
        println!("{}", describe(&plan));
        terminal::attend(&bench.session);
        let shard = self.shard.as_deref().map(str::parse).transpose()?;
        let part = Part::new(&plan, shard)?;
        let done = run::run(bench, &part, self.retry_failed).map_err(resumable)?;
        if let Some(shard) = shard {
            return Ok(shard_ended(shard, done));
        }
        let Progress::Done(finished) = done else {
            return Err(Error::internal("a whole experiment waits for itself"));
        };
        let folder = plan.folder();
        let results = Results::read(&folder)?;
        let table = report::write(&OutDir::create(&folder)?, &results)?;
        println!("{}", report::summary(&table));
        if finished.resumed > 0 {
            println!("{} samples were there already.", finished.resumed);
        }
        println!("The report is {}.", folder.join(report::HTML).display());
        Ok(exit(finished))
    }
}

impl MergeCommand {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let plan = Plan::new(bench)?;
        let merged = merge::merge(&plan, self.partial)?;
        let folder = plan.folder();
        let results = Results::read(&folder)?;
        let table = report::write(&OutDir::create(&folder)?, &results)?;
        match plan.methods.is_empty() {
            true => print!("{}", report::filter(&table)),
            false => println!("{}", report::summary(&table)),
        }
        for missing in &merged.missing {
            println!("Partial: {missing}.");
        }
        println!("The report is {}.", folder.join(report::HTML).display());
        Ok(exit(Finished {
            resumed: 0,
            samples: merged.samples,
            failed: merged.failed,
        }))
    }
}

/// How a shard went, in a sentence and as the exit code.
fn shard_ended(shard: Shard, done: Progress) -> ExitCode {
    match done {
        Progress::Done(finished) => {
            let Finished {
                samples, resumed, ..
            } = finished;
            println!("Shard {shard} is done: {samples} samples, {resumed} of them before.");
            exit(finished)
        }
        Progress::Waiting(phase, missing) => {
            println!(
                "Shard {shard} goes on, by the same command, once the other shards have done {missing} more samples of {}.",
                phase.words()
            );
            ExitCode::SUCCESS
        }
    }
}

/// A run that the user stopped can go on.
pub(super) fn resumable(error: Error) -> Error {
    match (&error.kind, &error.hint) {
        (ErrorKind::Cancelled, None) => error.with_hint("the same command goes on from here"),
        _ => error,
    }
}

/// How a run went, as the exit code.
pub(super) fn exit(finished: Finished) -> ExitCode {
    if finished.failed == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "medfocus: {} of {} samples failed; the report lists why",
        finished.failed, finished.samples
    );
    ExitCode::from(1)
}

impl ReportCommand {
    pub fn run(self) -> Result<ExitCode> {
        let results = Results::read(&self.folder)?;
        let table = report::write(&OutDir::create(&self.folder)?, &results)?;
        println!("{}", report::summary(&table));
        Ok(ExitCode::SUCCESS)
    }
}

/// One line a sample, for whoever wants to run them otherwise.
fn write_tasks(file: &mut dyn Write, plan: &Plan) -> std::io::Result<()> {
    for cell in &plan.cells {
        for case in cell.cases() {
            let task = json!({ "case": case, "methods": cell.methods });
            writeln!(file, "{task}")?;
        }
    }
    Ok(())
}

fn describe(plan: &Plan) -> String {
    let mut lines = vec![format!("{}: plan {}", plan.experiment.name, plan.digest)];
    for cell in &plan.cells {
        lines.push(format!(
            "  {} samples  {}  {}  {}  {} methods",
            cell.samples,
            cell.dataset,
            cell.model,
            cell.mode.name(),
            cell.methods.len()
        ));
        for misfit in &cell.misfits {
            lines.push(format!("    without {}: {}", misfit.method, misfit.reason));
        }
    }
    for editor in &plan.editors {
        lines.push(format!(
            "  editor {}  {} draws  {}",
            editor.name,
            editor.draws,
            json!(editor.editor.params)
        ));
    }
    for method in &plan.methods {
        let reference = plan.reference(method).and_then(|name| plan.method(name));
        let reference = reference.filter(|r| r.method.component == method.method.component);
        lines.push(match reference {
            Some(reference) => {
                let others = differences(&method.method, &reference.method);
                format!("  {}  as {}, but {others}", method.name, reference.name)
            }
            None => format!("  {}  {}", method.name, json!(method.method.params)),
        });
        if let Some(tuning) = plan
            .tuning
            .as_ref()
            .filter(|_| !method.candidates.is_empty())
        {
            lines.push(format!(
                "    {} candidates to choose from on {} samples of {}",
                method.candidates.len(),
                tuning.samples,
                tuning.name
            ));
        }
    }
    lines.join("\n")
}

/// The parameters and the components in slots that differ from another of the same component.
fn differences(ours: &Provenance, theirs: &Provenance) -> Value {
    let params = ours.params.iter();
    let params = params.filter(|(name, value)| theirs.params.get(*name) != Some(*value));
    let mut differences: Map<String, Value> = params
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for slot in ours.slots.keys().chain(theirs.slots.keys()) {
        if ours.slots.get(slot) != theirs.slots.get(slot) {
            let component = ours.slots.get(slot).map(|filling| &filling.component);
            differences.insert(format!("slots.{slot}"), json!(component));
        }
    }
    Value::Object(differences)
}

/// What samples take, by calibrations or else by trying a few, and where.
fn tried(
    bench: &Workbench,
    plan: &Plan,
    calibrations: &[PathBuf],
) -> Result<(Vec<ModelTrial>, Vec<String>)> {
    Ok(if calibrations.is_empty() {
        let named = |name: &str| {
            plan.cells
                .iter()
                .any(|cell| cell.model == name && cell.samples > 0)
        };
        let models = plan.models.iter().filter(|model| named(&model.name));
        let trials = models.map(|model| trial::try_model(bench, plan, &model.name));
        let trials: Vec<ModelTrial> = trials
            .map(|tried| tried.map(|(_, trial)| trial))
            .collect::<Result<_>>()?;
        (trials, vec!["here".to_owned()])
    } else {
        let calibrations: Vec<Calibration> = calibrations
            .iter()
            .map(|file| Calibration::read(file))
            .collect::<Result<_>>()?;
        let tried = |calibration: Calibration| (calibration.trial.clone(), calibration.place());
        calibrations.into_iter().map(tried).unzip()
    })
}

fn costs(plan: &Plan, estimates: &[Estimate<'_>], places: &[String]) -> String {
    let mut lines = Vec::new();
    for estimate in estimates {
        let (cell, model) = (estimate.cell, &estimate.model.info);
        let memory = model.memory.as_ref().map(|memory| {
            format!(
                ", {:.0} MiB more an image scored, {:.0} MiB an image differentiated",
                mib(memory.score),
                mib(memory.pixel_gradient)
            )
        });
        lines.push(format!(
            "  {}  {}  {}: {:.1} min on one worker{}, {:.1} MiB of records ({} parameters on {} in {}{})",
            cell.dataset,
            cell.model,
            cell.mode.name(),
            estimate.seconds() / 60.0,
            held(estimate.peak()),
            mib(estimate.bytes()),
            model.parameters,
            model.device,
            model.dtype,
            memory.unwrap_or_default()
        ));
        lines.push(format!(
            "    {:<24} {:.3} s a sample",
            "the answer", estimate.trial.answer
        ));
        lines.extend(estimate.trial.filter.iter().map(filter_cost));
        let methods = estimate.methods.iter();
        lines.extend(methods.map(|(name, cost)| method_cost(name, *cost)));
    }
    let each = estimates.iter().map(Estimate::seconds);
    let tuning: f64 = estimates.iter().map(|e| e.tuning).sum::<f64>() / 60.0;
    if tuning > 0.0 {
        lines.push(format!("  {tuning:.1} min of tuning on one worker"));
    }
    let minutes = each.sum::<f64>() / 60.0 + tuning;
    let workers = plan.experiment.workers.max(1) as f64;
    lines.push(format!(
        "About {:.1} min with {workers} workers if every sample is explained; curves, flips and sanity checks aside; tried {}.",
        minutes / workers,
        places.join("; ")
    ));
    lines.join("\n")
}

/// What a method takes for a sample, as a line.
pub(super) fn method_cost(name: &str, cost: Option<&MethodCost>) -> String {
    match cost {
        Some(cost) => format!(
            "    {name:<24} {:.3} s, {:.0} calls, {:.0} images scored a sample{}",
            cost.seconds,
            cost.calls,
            cost.images,
            held(cost.peak)
        ),
        None => format!("    {name:<24} not measured"),
    }
}

/// What the causal filter takes for a sample, as a line.
pub(super) fn filter_cost(cost: &FilterCost) -> String {
    let FilterCost { seconds, calls } = cost;
    format!(
        "    {:<24} {seconds:.3} s, {calls} calls a sample",
        "the causal filter"
    )
}

/// The memory of a process at its peak, for the end of a line.
pub(super) fn held(peak: Option<u64>) -> String {
    peak.map_or(String::new(), |peak| {
        format!(", {:.0} MiB at most", mib(peak))
    })
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The config that a command names beside `--config`.
pub fn config(file: Option<PathBuf>, common: Option<PathBuf>) -> Result<Option<PathBuf>> {
    match (file, common) {
        (Some(_), Some(_)) => Err(Error::invalid(
            "the config is named twice; leave out --config",
        )),
        (file, common) => Ok(file.or(common)),
    }
}
