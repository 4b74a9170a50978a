//! `medfocus bench`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use medfocus_plugin_api::{Error, Kind, Result};
use serde_json::json;

use super::{experiment, place, plugins::print_json, terminal};
use crate::{
    calibration::Calibration,
    experiment::{
        config::{Experiment, Grid},
        plan::{Plan, slug},
    },
    workbench::{Workbench, on},
};

#[derive(Args)]
pub struct Bench {
    /// COMPONENT=FOLDER, as gemma3=path/to/checkpoint, or a name from the model folders
    model: String,
    /// cpu or cuda:N [default: the model's own choice]
    #[arg(long)]
    device: Option<String>,
    /// File to write, for `medfocus plan --calibration` [default: out/bench/MODEL.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Measures the methods of the config's experiment, or all that are installed on phantoms.
    pub fn run(self, mut bench: Workbench) -> Result<ExitCode> {
        let config = &mut bench.layers.config;
        config.model.extend(on(self.device.as_deref()));
        let wanted = match config.experiment.take() {
            Some(wanted) => wanted,
            None => everything(&bench)?,
        };
        bench.layers.config.experiment = Some(Experiment {
            models: vec![self.model.clone()],
            grid: Grid::Product,
            ..wanted
        });
        let plan = Plan::new(&bench)?;
        terminal::attend(&bench.session);
        let calibration = Calibration::measure(&bench, &plan, &self.model)?;
        let out = self.out.unwrap_or_else(|| {
            let name = slug(&self.model);
            PathBuf::from("out/bench").join(format!("{name}.json"))
        });
        let (folder, name) = place(&out)?;
        folder.json(&name, &calibration)?;
        if self.json {
            print_json(&calibration)?;
        } else {
            println!("{}", describe(&calibration));
            println!("Written to {}.", out.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Every method that fits, with its defaults, on phantoms.
fn everything(bench: &Workbench) -> Result<Experiment> {
    let methods = bench.registry.components(Kind::Method);
    let methods: Vec<_> = methods
        .map(|(_, manifest)| json!({ "component": manifest.name }))
        .collect();
    serde_json::from_value(json!({
        "name": "bench",
        "datasets": [{ "component": "phantom", "samples": 8 }],
        "models": [],
        "methods": methods,
        "misfits": "skip",
    }))
    .map_err(|error| Error::internal(format!("the experiment to measure: {error}")))
}

fn describe(calibration: &Calibration) -> String {
    let Calibration { speed, trial, .. } = calibration;
    let mut lines = vec![
        format!("{} on {}", trial.model, calibration.place()),
        format!(
            "  loaded in {:.1} s{}",
            trial.load,
            experiment::held(trial.peak)
        ),
    ];
    lines.extend(
        speed
            .first_token
            .map(|first| format!("  first token after {first:.3} s")),
    );
    lines.extend(
        speed
            .token
            .map(|token| format!("  {:.1} ms a further token", 1e3 * token)),
    );
    lines.extend(
        speed
            .score
            .map(|score| format!("  {score:.3} s to score one image")),
    );
    lines.extend(
        speed
            .batch
            .map(|(images, each)| format!("  {each:.3} s an image scored by {images}")),
    );
    for cell in &trial.cells {
        let mode = cell.mode.name();
        lines.push(format!(
            "  {}, {mode}: {:.3} s to answer",
            cell.dataset, cell.answer
        ));
        lines.extend(cell.filter.iter().map(experiment::filter_cost));
        let methods = cell.methods.iter();
        lines.extend(methods.map(|cost| experiment::method_cost(&cost.name, Some(cost))));
    }
    lines.join("\n")
}
