//! The command line.

mod attribute;
mod audit;
mod bench;
mod benchmark;
mod bundle;
mod cluster;
mod dataset;
mod doctor;
mod ending;
mod experiment;
mod explaining;
mod image;
mod model;
mod plugins;
mod pool;
mod sample;
mod serve;
mod terminal;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use medfocus_plugin_api::{Error, Result};

use self::ending::Working;
use crate::{
    audit::{Audit, Event, Outcome},
    config::Layers,
    isolation::{child, pictures, process},
    output::OutDir,
    workbench::Workbench,
};

/// Why did the model say so? Visual attribution for chest X-ray models.
#[derive(Parser)]
#[command(name = "medfocus", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Common {
    /// Config file [default: medfocus.toml here, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one config value; a plain KEY is a parameter of the method
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Plugin folder or file, before those of the config's plugins.paths
    #[arg(long, global = true, value_name = "PATH")]
    plugins: Vec<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Explain an answer: which region made the model say so, how strongly
    Attribute(attribute::Attribute),
    /// Explain films as they come into a folder or are sent here, and send the results back
    Watch(watch::Watch),
    /// Show what an experiment comes down to and what it will cost
    Plan(experiment::PlanCommand),
    /// Run an experiment, or go on with it; results are never lost
    Run(experiment::RunCommand),
    /// Join what the shards of an experiment did, and write its report
    Merge(experiment::MergeCommand),
    /// Hand an experiment to a cluster, shard by shard
    Submit(cluster::Submit),
    /// Say how far a cluster is with an experiment
    Status(cluster::Status),
    /// Take an experiment back from a cluster; what is done stays
    Cancel(cluster::Cancel),
    /// Find the samples whose annotated region is proven to cause the answer
    #[command(subcommand)]
    Benchmark(benchmark::Benchmark),
    /// Write an experiment's tables and page anew from its records
    Report(experiment::ReportCommand),
    /// Write the 8-bit image as the pipeline sees it
    Image(image::Image),
    /// Say what a dataset is, check its samples, draw one
    #[command(subcommand)]
    Dataset(dataset::Dataset),
    /// Write one image of a dataset with its question and its annotated boxes
    Sample(sample::Sample),
    /// Build, check or draw a pool of reference images for the method `medfocus`
    #[command(subcommand)]
    Pool(pool::Pool),
    /// Look at plugins without running them, check, install, remove or begin one
    #[command(subcommand, visible_alias = "plugin")]
    Plugins(plugins::Plugins),
    /// Carry this installation to machines without a network
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    /// Ask a model directly
    #[command(subcommand)]
    Model(model::Model),
    /// Measure how fast a model and its methods are here, for planning experiments
    Bench(bench::Bench),
    /// Check or export the log of who ran what
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Serve a page on which people ask models about images
    Serve(serve::Serve),
    /// Check this installation: plugins, libtorch, models
    Doctor,
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Host one plugin in this process, for a medfocus that started it
    #[command(hide = true)]
    PluginHost {
        /// What to confine and then become, for a plugin that is no library
        confined: Option<String>,
    },
    /// Decode the image file that comes over standard input, for a medfocus that started it
    #[command(hide = true)]
    DecodeHost,
}

/// Runs the program: 0 done, 1 done with something to look at, 2 could not run.
pub fn main() -> ExitCode {
    terminal::end_with_the_reader();
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let name = matches.subcommand_name().unwrap_or_default();
    terminal::start_logging();
    process::hosts();
    // How the process of a plugin ends is the plugin's own.
    let own = !matches!(
        cli.command,
        Command::PluginHost { .. } | Command::DecodeHost
    );
    let _working = own.then(Working::begin);
    match run(name, cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("medfocus: {}", terminal::line(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

fn run(name: &str, cli: Cli) -> Result<ExitCode> {
    let mut common = cli.common;
    if let Command::Plan(experiment::PlanCommand { file, .. })
    | Command::Run(experiment::RunCommand { file, .. })
    | Command::Merge(experiment::MergeCommand { file, .. })
    | Command::Submit(cluster::Submit { file, .. })
    | Command::Status(cluster::Status { file, .. })
    | Command::Cancel(cluster::Cancel { file, .. })
    | Command::Benchmark(benchmark::Benchmark::Build(benchmark::Build { file, .. })) =
        &cli.command
    {
        common.config = experiment::config(file.clone(), common.config)?;
    }
    if let Command::Dataset(command) = &cli.command {
        common.config = experiment::config(command.config(), common.config)?;
    }
    match cli.command {
        Command::Plan(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Run(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Merge(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Submit(command) => common.on_bench(name, |bench| command.run(&bench, &common)),
        Command::Status(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Cancel(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Benchmark(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Report(command) => command.run(),
        Command::Attribute(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Watch(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Image(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Dataset(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Sample(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Pool(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Plugins(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Bundle(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Model(command) => common.on_bench(name, |bench| command.run(&bench)),
        Command::Serve(command) => common.on_bench(name, |bench| command.run(bench)),
        Command::Bench(command) => common.on_bench(name, |bench| command.run(bench)),
        Command::PluginHost { confined } => match confined {
            Some(confined) => child::become_program(&confined),
            None => Ok(child::serve()),
        },
        Command::DecodeHost => Ok(pictures::serve()),
        Command::Doctor => common.on_bench(name, |bench| doctor::run(&bench)),
        Command::Audit(command) => command.run(&common.layers()?),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "medfocus",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            let page = clap_mangen::Man::new(Cli::command());
            page.render(&mut std::io::stdout()).map_err(|error| {
                Error::internal(format!("the manual page cannot be printed: {error}"))
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Common {
    fn layers(&self) -> Result<Layers> {
        Layers::load(self.config.as_deref(), &self.settings)
    }

    /// Runs a command on a bench, and writes down that it began and how it ended.
    fn on_bench(
        &self,
        name: &str,
        run: impl FnOnce(Workbench) -> Result<ExitCode>,
    ) -> Result<ExitCode> {
        let bench = self.workbench()?;
        let audit = bench.audit.clone();
        audit.record(Event::Began {
            command: name.to_owned(),
        })?;
        let result = run(bench);
        let outcome = Outcome::of(&result);
        let ended = audit.record(Event::Ended { outcome });
        result.and_then(|code| ended.map(|()| code))
    }

    fn workbench(&self) -> Result<Workbench> {
        let mut layers = self.layers()?;
        if let Some(missing) = self.plugins.iter().find(|path| !path.exists()) {
            return Err(Error::missing(format!(
                "`--plugins {}`: there is no such file or folder",
                missing.display()
            )));
        }
        // Before the others: of two plugins of one name the one that was named last counts.
        let paths = &mut layers.config.plugins.paths;
        paths.splice(0..0, self.plugins.iter().cloned());
        terminal::limit_threads(layers.config.threads);
        let audit = Audit::new(&layers.config.audit)?;
        let mut bench = Workbench::new(layers);
        bench.audit = audit;
        for sentence in bench.registry.shadowed() {
            tracing::warn!("{sentence}");
        }
        Ok(bench)
    }
}

/// Where a file is to be written: its folder, made if need be, and its name.
fn place(file: &Path) -> Result<(OutDir, String)> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name =
        name.ok_or_else(|| Error::invalid(format!("{} names no file to write", file.display())))?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    Ok((
        OutDir::create(folder.unwrap_or(Path::new(".")))?,
        name.to_owned(),
    ))
}
