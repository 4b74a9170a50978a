//! `cargo xtask bench`: the benchmarks, with libtorch in place, and what has changed since the last time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::build;
use crate::workspace::{PRODUCT, Workspace, step};

/// Where the figures are kept, in the target folder.
const FIGURES: &str = "benchmarks.json";
/// A time that grew by more than this share, and beyond both confidence intervals, is a loss.
const LOSS: f64 = 0.1;

#[derive(clap::Args)]
pub struct Args {
    /// What to run instead of everything, as `cargo bench` takes it: `-p medfocus-imaging`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds, runs `cargo bench` over the workspace, and says what became slower or faster. The figures stay in `target/benchmarks.json`.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let libtorch = build::run(workspace)?;
    let target = &workspace.target;
    let file = target.join(FIGURES);
    let before = match fs::read_to_string(&file) {
        Ok(text) => parse(&text).with_context(|| file.display().to_string())?,
        Err(_) => Figures::new(),
    };
    let mut cargo = workspace.cargo(&libtorch);
    cargo.arg("bench");
    if args.arguments.is_empty() {
        cargo.args(PRODUCT);
    }
    step(cargo.args(&args.arguments))?;

    let mut now = Figures::new();
    collect(&target.join("criterion"), &mut now)?;
    for line in compare(&before, &now) {
        println!("{line}");
    }
    fs::write(&file, text(&now))?;
    println!("{} benchmarks are in {}.", now.len(), file.display());
    Ok(())
}

/// Times by the name of the benchmark.
type Figures = BTreeMap<String, Figure>;

/// Nanoseconds of one run: the mean and its confidence interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figure {
    mean: f64,
    low: f64,
    high: f64,
}

impl Figure {
    fn read(mean: &Value) -> Option<Self> {
        let interval = &mean["confidence_interval"];
        Some(Self {
            mean: mean["point_estimate"].as_f64()?,
            low: interval["lower_bound"].as_f64()?,
            high: interval["upper_bound"].as_f64()?,
        })
    }

    fn write(self) -> Value {
        let interval = json!({"lower_bound": self.low, "upper_bound": self.high});
        json!({"point_estimate": self.mean, "confidence_interval": interval})
    }
}

fn parse(text: &str) -> Result<Figures> {
    let entries: BTreeMap<String, Value> = serde_json::from_str(text)?;
    let entries = entries.into_iter().map(|(name, mean)| {
        let figure = Figure::read(&mean).with_context(|| format!("{name} has no figure"))?;
        Ok((name, figure))
    });
    entries.collect()
}

fn text(figures: &Figures) -> String {
    let entries = figures.iter().map(|(name, figure)| (name, figure.write()));
    format!("{:#}\n", json!(entries.collect::<BTreeMap<_, _>>()))
}

/// Adds what criterion wrote anywhere below a folder: a folder `new` for each benchmark.
fn collect(folder: &Path, figures: &mut Figures) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if !path.ends_with("new") {
            collect(&path, figures)?;
            continue;
        }
        let read = |name: &str| -> Result<Value> {
            let path = path.join(name);
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            serde_json::from_str(&text).with_context(|| path.display().to_string())
        };
        let (about, estimates) = (read("benchmark.json")?, read("estimates.json")?);
        if let (Some(name), Some(figure)) =
            (about["full_id"].as_str(), Figure::read(&estimates["mean"]))
        {
            figures.insert(name.to_owned(), figure);
        }
    }
    Ok(())
}

/// A line for each benchmark that has changed.
fn compare(before: &Figures, now: &Figures) -> Vec<String> {
    let changed = now.iter().filter_map(|(name, now)| {
        let before = before.get(name)?;
        let ratio = now.mean / before.mean;
        let word = if ratio > 1.0 + LOSS && now.low > before.high {
            "LOSS"
        } else if ratio < 1.0 / (1.0 + LOSS) && now.high < before.low {
            "gain"
        } else {
            return None;
        };
        Some(format!("{word}: {name} takes {ratio:.2} of its last time"))
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(mean: f64, half: f64) -> Figure {
        Figure {
            mean,
            low: mean - half,
            high: mean + half,
        }
    }

    #[test]
    fn a_loss_is_seen_and_noise_is_not() {
        let all = |times: [(f64, f64); 4]| -> Figures {
            let names = ["a", "b", "c", "d"].map(str::to_owned);
            let figures = times.map(|(mean, half)| figure(mean, half));
            names.into_iter().zip(figures).collect()
        };
        let before = all([(100.0, 1.0), (100.0, 1.0), (100.0, 30.0), (100.0, 1.0)]);
        let now = all([(150.0, 1.0), (50.0, 1.0), (120.0, 1.0), (105.0, 1.0)]);
        let lines = compare(&before, &now);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("LOSS: a takes 1.50") && lines[1].contains("gain: b"));
        assert!(
            compare(&Figures::new(), &now).is_empty(),
            "nothing to compare with"
        );
    }

    #[test]
    fn what_criterion_wrote_is_found_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("waist/info/new");
        fs::create_dir_all(&new).unwrap();
        fs::create_dir_all(folder.path().join("report")).unwrap();
        fs::write(
            new.join("benchmark.json"),
            json!({"full_id": "waist/info"}).to_string(),
        )
        .unwrap();
        let estimates = json!({"mean": figure(6.0, 0.5).write(), "median": {}});
        fs::write(new.join("estimates.json"), estimates.to_string()).unwrap();
        let mut found = Figures::new();
        collect(folder.path(), &mut found).unwrap();
        assert_eq!(found["waist/info"], figure(6.0, 0.5));
        assert_eq!(parse(&text(&found)).unwrap(), found);
        assert!(parse(r#"{"a": {}}"#).is_err());
    }
}
