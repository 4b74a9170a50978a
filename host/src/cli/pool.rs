//! `medfocus pool`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use medfocus_plugin_api::{DatasetReader, Error, Kind, Result};

use super::{dataset, place, plugins::print_json, terminal};
use crate::{
    config::Filling,
    overlay::sheet::{self, Tile},
    pool::{
        self,
        build::{self, Source},
        check::{self, Review},
    },
    workbench::{Ready, Workbench},
};

#[derive(Subcommand)]
pub enum Pool {
    /// Build a pool of the first normal images of a dataset that have a mask of every concept
    Build {
        /// Dataset; its parameters come from the config's `dataset` section
        #[arg(long)]
        dataset: String,
        /// Folder to make
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// References to find
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        count: u64,
        /// Segmenter that refines each concept's box; its parameters come from the config's `slots.segmenter`
        #[arg(long, value_name = "NAME")]
        segmenter: Option<String>,
    },
    /// Check a pool: missing or odd masks, swapped sides, images that are there twice
    Check {
        /// Folder of the pool
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Draw the references of a pool with their concepts
    Show {
        /// Folder of the pool
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// PNG to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl Pool {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        terminal::attend(&bench.session);
        match self {
            Self::Build {
                dataset,
                out,
                count,
                segmenter,
            } => build_pool(bench, &dataset, &out, count, segmenter),
            Self::Check { folder, json } => check_pool(bench, &folder, json),
            Self::Show { folder, out } => show(bench, &folder, &out),
        }
    }
}

fn build_pool(
    bench: &Workbench,
    dataset: &str,
    out: &Path,
    count: u64,
    segmenter: Option<String>,
) -> Result<ExitCode> {
    let config = &bench.layers.config;
    let dataset = dataset::open(bench, &dataset::own(bench, dataset))?;
    let segmenter = segmenter.map(|name| {
        let configured = config.slots.get("segmenter");
        let filling = configured
            .filter(|filling| filling.component == name)
            .cloned()
            .unwrap_or(Filling {
                component: name,
                ..Filling::default()
            });
        bench.make(&bench.plan_component(Kind::Segmenter, &filling)?, None)
    });
    let segmenter = segmenter.transpose()?;
    let client = segmenter.as_ref().map(Ready::client);
    let source = Source {
        reader: &dataset.client(),
        provenance: dataset.provenance.clone(),
        segmenter: match (&client, segmenter) {
            (Some(client), Some(made)) => Some((client, made.provenance)),
            _ => None,
        },
    };
    let record = build::build(&source, count, out, &bench.session)?;
    let found = record.references.len() as u64;
    println!("  written   {}: {found} references", out.display());
    if record.unreadable > 0 {
        println!(
            "  warning   {} samples could not be read",
            record.unreadable
        );
    }
    if found < count {
        println!(
            "  warning   `{}` has no more than {found} that fit, of {count} asked for",
            record.dataset
        );
    }
    Ok(ExitCode::from(u8::from(
        found < count || record.unreadable > 0,
    )))
}

fn check_pool(bench: &Workbench, folder: &Path, json: bool) -> Result<ExitCode> {
    let review = check::check(&open(bench, folder)?.client(), &bench.session)?;
    if json {
        print_json(&review)?;
    } else {
        print(&review);
    }
    Ok(ExitCode::from(u8::from(review.findings() > 0)))
}

fn print(review: &Review) {
    let names = review.references.iter().map(|row| row.name.chars().count());
    let width = names.max().unwrap_or(0).max("reference".len());
    println!("{:<width$}  {:>11}  concepts  covered", "reference", "size");
    for row in &review.references {
        println!(
            "{:<width$}  {:>11}  {:>8}  {:>5.1} %",
            row.name,
            format!("{} x {}", row.width, row.height),
            row.concepts,
            100.0 * row.covered
        );
    }
    for row in &review.references {
        for finding in &row.findings {
            println!("{}: {finding}", row.name);
        }
    }
    println!(
        "{} references, findings: {}",
        review.references.len(),
        review.findings()
    );
}

fn show(bench: &Workbench, folder: &Path, out: &Path) -> Result<ExitCode> {
    let (place, file) = place(out)?;
    let reader = open(bench, folder)?.client();
    let total = reader.info()?.len;
    let shown = total.min(sheet::MOST);
    let tiles = (0..shown).map(|index| {
        let sample = reader.sample(index)?;
        let tile = Tile::new(&pool::name_of(&sample), &sample.image, &sample.masks);
        pool::step(&bench.session, index + 1, shown, "drawing references")?;
        Ok(tile)
    });
    let tiles: Vec<_> = tiles.collect::<Result<_>>()?;
    let title = match total {
        1 => "1 reference".to_owned(),
        _ if shown < total => format!("{shown} of {total} references"),
        _ => format!("{total} references"),
    };
    place.png_rgb(&file, &sheet::draw(&title, &tiles))?;
    println!("  written   {}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// The dataset that reads the pool, which checks every file.
fn open(bench: &Workbench, folder: &Path) -> Result<Ready> {
    let path = folder.to_str().ok_or_else(|| {
        Error::invalid(format!(
            "the name of pool {} is not UTF-8",
            folder.display()
        ))
    })?;
    let filling = Filling {
        component: pool::READER.to_owned(),
        params: [("path".to_owned(), path.into())].into(),
        ..Filling::default()
    };
    dataset::open(bench, &filling)
}
