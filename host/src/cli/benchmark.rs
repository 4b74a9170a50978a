//! `medfocus benchmark`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use medfocus_plugin_api::Result;

use super::{experiment, terminal};
use crate::{
    causal::published,
    experiment::{part::Part, plan::Plan, results::Results, run},
    output::OutDir,
    report,
    workbench::Workbench,
};

#[derive(Subcommand)]
pub enum Benchmark {
    /// Build a benchmark, or go on with it: edit each sample, ask the models, keep what is proven
    Build(Build),
}

#[derive(Args)]
pub struct Build {
    /// Config with an `experiment.filter` section [default: --config]
    pub file: Option<PathBuf>,
    /// Do failed samples again
    #[arg(long)]
    retry_failed: bool,
}

impl Benchmark {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let Self::Build(build) = self;
        let plan = Plan::new(bench)?;
        terminal::attend(&bench.session);
        let finished = run::build(bench, &Part::new(&plan, None)?, build.retry_failed)
            .map_err(experiment::resumable)?;
        let out = OutDir::create(plan.folder())?;
        let results = Results::read(out.path())?;
        let table = report::write(&out, &results)?;
        print!("{}", report::filter(&table));
        println!(
            "The benchmark is in {}.",
            out.path().join(published::FOLDER).display()
        );
        Ok(experiment::exit(finished))
    }
}
