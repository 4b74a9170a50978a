//! `medfocus dataset`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use medfocus_plugin_api::{
    ChoiceRequest, DatasetInfo, DatasetReader, Error, Kind, Mode, Oddity, Result,
};
use serde::Serialize;

use super::{place, plugins::print_json, terminal};
use crate::{
    config::Filling,
    dataset::{self, Review, presence},
    overlay,
    workbench::{Provenance, Ready, Workbench},
};

#[derive(Subcommand)]
pub enum Dataset {
    /// Say what a dataset is: samples, digest, what was passed over
    Describe {
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read every sample: count findings and warnings, name those that cannot be read
    Check {
        #[command(flatten)]
        which: Which,
        /// Read the first of them only
        #[arg(long, value_name = "N")]
        samples: Option<u64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Draw one sample with its annotated boxes and its question
    Show {
        #[command(flatten)]
        which: Which,
        /// Number of the sample
        #[arg(value_name = "INDEX")]
        index: u64,
        /// PNG to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Args)]
pub struct Which {
    /// Dataset, whose parameters come from the config's `dataset` section; or a config, whose experiment's datasets are meant
    #[arg(value_name = "DATASET|CONFIG.toml")]
    what: String,
}

impl Which {
    /// The config that it is, if it is one.
    fn config(&self) -> Option<PathBuf> {
        let path = Path::new(&self.what);
        let is_config = path.extension().is_some_and(|ending| ending == "toml");
        is_config.then(|| path.to_owned())
    }

    /// The datasets that are meant, and how many samples of each.
    fn datasets(&self, bench: &Workbench) -> Result<Vec<(Filling, Option<u64>)>> {
        if self.config().is_none() {
            return Ok(vec![(own(bench, &self.what), None)]);
        }
        let experiment = bench.layers.config.experiment.as_ref();
        let experiment = experiment.ok_or_else(|| {
            Error::missing(format!("config {} has no `experiment`", self.what))
                .with_hint("name a dataset, and the config with --config")
        })?;
        let tuning = experiment.tuning.iter().map(|tuning| &tuning.dataset);
        let all = experiment.datasets.iter().chain(tuning);
        Ok(all
            .map(|dataset| (dataset.filling(), dataset.samples))
            .collect())
    }
}

impl Dataset {
    /// The config that it names in place of a dataset.
    pub fn config(&self) -> Option<PathBuf> {
        let (Self::Describe { which, .. } | Self::Check { which, .. } | Self::Show { which, .. }) =
            self;
        which.config()
    }

    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        terminal::attend(&bench.session);
        match self {
            Self::Describe { which, json } => describe(bench, &which, json),
            Self::Check {
                which,
                samples,
                json,
            } => check(bench, &which, samples, json),
            Self::Show { which, index, out } => show(bench, &which, index, &out),
        }
    }
}

/// A dataset of the command line: the config's `dataset` section are its parameters.
pub fn own(bench: &Workbench, component: &str) -> Filling {
    Filling {
        component: component.to_owned(),
        params: bench.layers.config.dataset.clone(),
        ..Filling::default()
    }
}

/// Makes a dataset.
///
/// # Errors
///
/// There is none of this name, or it cannot be opened.
pub fn open(bench: &Workbench, filling: &Filling) -> Result<Ready> {
    bench.make(&bench.plan_component(Kind::Dataset, filling)?, None)
}

/// What a dataset says of itself.
#[derive(Serialize)]
struct Description {
    reader: Provenance,
    info: DatasetInfo,
    /// For the models and modes of the experiment, where the dataset chooses.
    chosen: Vec<Choice>,
}

#[derive(Serialize)]
struct Choice {
    model: String,
    mode: Mode,
    samples: usize,
}

fn describe(bench: &Workbench, which: &Which, json: bool) -> Result<ExitCode> {
    let mut all = Vec::new();
    for (filling, _) in which.datasets(bench)? {
        let ready = open(bench, &filling)?;
        let reader = ready.client();
        all.push(Description {
            info: reader.info()?,
            chosen: choices(bench, &reader)?,
            reader: ready.provenance,
        });
    }
    if json {
        print_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    for Description {
        reader,
        info,
        chosen,
    } in &all
    {
        println!("{}", info.name);
        println!("  reader    {}", reader.component);
        println!("  samples   {}", info.len);
        println!("  digest    {}", info.digest);
        print_oddities("oddity", &info.oddities);
        for choice in chosen {
            println!(
                "  chosen    {} for {}, {}",
                choice.samples,
                choice.model,
                choice.mode.name()
            );
        }
        println!("  findings  counted by `medfocus dataset check`, which reads every sample");
    }
    Ok(ExitCode::SUCCESS)
}

/// How many samples a dataset has for each model and mode of the experiment, if it chooses.
fn choices(bench: &Workbench, reader: &dyn DatasetReader) -> Result<Vec<Choice>> {
    let mut choices = Vec::new();
    let Some(experiment) = &bench.layers.config.experiment else {
        return Ok(choices);
    };
    for model in &experiment.models {
        for &mode in &experiment.modes {
            let chosen = reader.chosen(&ChoiceRequest::new(model, mode))?;
            choices.extend(chosen.map(|chosen| Choice {
                model: model.clone(),
                mode,
                samples: chosen.len(),
            }));
        }
    }
    Ok(choices)
}

/// The exit code says whether every sample can be used.
fn check(bench: &Workbench, which: &Which, samples: Option<u64>, json: bool) -> Result<ExitCode> {
    let mut reviews = Vec::new();
    for (filling, first) in which.datasets(bench)? {
        let reader = open(bench, &filling)?.client();
        let review = dataset::check(&reader, samples.or(first), &bench.session)?;
        reviews.push(review);
    }
    if json {
        print_json(&reviews)?;
    } else {
        reviews.iter().for_each(print);
    }
    let failed = reviews.iter().any(|review| !review.failures.is_empty());
    Ok(ExitCode::from(u8::from(failed)))
}

/// Failures that are named; the others are counted.
const NAMED: usize = 20;

fn print(review: &Review) {
    let Review {
        dataset, read, len, ..
    } = review;
    println!("{dataset}: {read} of {len} samples read");
    let names = review.findings.keys().map(|name| name.chars().count());
    let width = names.max().unwrap_or(0).max("finding".len());
    println!(
        "  {:<width$}  samples  present  absent  annotated  boxes",
        "finding"
    );
    for (finding, tally) in &review.findings {
        println!(
            "  {finding:<width$}  {:>7}  {:>7}  {:>6}  {:>9}  {:>5}",
            tally.samples, tally.present, tally.absent, tally.annotated, tally.boxes
        );
    }
    print_oddities("oddity", &review.oddities);
    print_oddities("warning", &review.warnings);
    for failure in review.failures.iter().take(NAMED) {
        println!("  failed    sample {}: {}", failure.index, failure.error);
    }
    match review.failures.len() {
        0 => println!("  every sample can be used"),
        count if count > NAMED => println!("  failed    {} more", count - NAMED),
        _ => {}
    }
}

fn print_oddities(name: &str, oddities: &[Oddity]) {
    for Oddity {
        what, count, first, ..
    } in oddities
    {
        println!("  {name:<9} {what}: {count}, first in {first}");
    }
}

fn show(bench: &Workbench, which: &Which, index: u64, out: &Path) -> Result<ExitCode> {
    let (place, file) = place(out)?;
    let datasets = which.datasets(bench)?;
    let [(filling, _)] = &datasets[..] else {
        return Err(Error::invalid(format!(
            "the experiment of {} has {} datasets",
            which.what,
            datasets.len()
        ))
        .with_hint("name the dataset of the sample, and the config with --config"));
    };
    let sample = open(bench, filling)?.client().sample(index)?;
    place.png_rgb(&file, &overlay::annotated(&sample))?;
    println!("  question  {}", sample.question);
    println!("  finding   {}, {}", sample.finding, presence(&sample));
    for (bbox, number) in sample.boxes.iter().zip(1..) {
        let [x1, y1, x2, y2] = bbox.corners();
        println!("  box {number:<5} x {x1}-{x2}  y {y1}-{y2}");
    }
    for warning in &sample.warnings {
        println!("  warning   {warning}");
    }
    println!("  written   {}", out.display());
    Ok(ExitCode::SUCCESS)
}
