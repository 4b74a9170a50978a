//! `medfocus attribute`.

use std::{path::PathBuf, process::ExitCode};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use medfocus_plugin_api::{Mode, Result};
use ndarray::Ix3;

use super::terminal;
use crate::{
    attribute::{self, BoxRecord, Query, Record},
    evidence::{self, Weighed},
    output::OutDir,
    overlay::{self, NativeBox, Overlay},
    workbench::{Workbench, on},
};

#[derive(Args)]
pub struct Attribute {
    /// COMPONENT=FOLDER, as gemma3=path/to/checkpoint, or a name from the model folders
    #[arg(long)]
    model: String,
    /// Attribution method
    #[arg(long)]
    method: String,
    /// PNG, JPEG, TIFF or DICOM
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// What to ask about it
    #[arg(long, value_name = "TEXT")]
    question: String,
    /// The answer to explain [default: the model answers first]
    #[arg(long, value_name = "TEXT")]
    answer: Option<String>,
    /// The finding the question is about, for methods that know findings, as anatomy_prior
    #[arg(long, value_name = "NAME")]
    finding: Option<String>,
    /// How to ask for the answer: a suffix to the question
    #[arg(long, value_parser = mode(), default_value = Mode::Direct.name())]
    mode: Mode,
    /// cpu or cuda:N [default: the model's own choice]
    #[arg(long)]
    device: Option<String>,
    /// Folder for attribution.json, overlay.png and the heat maps
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Attribute {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        // What needs no model is checked before one is loaded.
        let model = bench.plan_model(&self.model, on(self.device.as_deref()))?;
        let method = bench.plan_own_method(&self.method, &model.manifest)?;
        let study = bench.study(&self.image)?;
        let out = OutDir::create(&self.out)?;
        terminal::attend(&bench.session);

        let model = bench.make(&model, None)?;
        let method = bench.make(&method, Some(&model))?;
        let query = Query {
            study: &study,
            question: &self.question,
            answer: self.answer.as_deref(),
            mode: self.mode,
            finding: self.finding.as_deref(),
        };
        let outcome = attribute::attribute(bench, &model, &method, &query)?;
        let record = &outcome.record;
        let boxes: Vec<_> = record.boxes.iter().filter_map(in_native).collect();
        let picture = overlay::render(&Overlay {
            native: &study.native,
            letterbox: &study.letterbox,
            heat: outcome.heat.as_ref(),
            mask: outcome.mask.as_ref(),
            concepts: Weighed::of(&record.evidence).as_ref(),
            boxes: &boxes,
            question: &record.question,
            answer: &record.answer,
            method: &self.method,
            model: &self.model,
            notes: &record.warnings,
        });
        if let (Some(heat), Some(file)) = (&outcome.heat, record.heatmap) {
            out.npy(file, heat.view())?;
        }
        if let (Some(maps), Some(file)) = (&outcome.token_heat, record.token_heatmaps) {
            out.npy(file, maps.view_nd::<f32, Ix3>()?)?;
        }
        out.png_rgb(record.overlay, &picture)?;
        // Last, so that a record never names a file that is not there.
        out.json("attribution.json", record)?;
        summarise(record);
        println!("  written   {}", self.out.display());
        Ok(ExitCode::SUCCESS)
    }
}

/// A box as it is drawn; those in the padding are not.
fn in_native(found: &BoxRecord) -> Option<NativeBox> {
    Some(NativeBox {
        bbox: found.native?,
        score: found.score,
        label: found.label.clone(),
    })
}

fn summarise(record: &Record) {
    println!("  question  {}", record.question);
    println!("  answer    {}", record.answer);
    match evidence::chosen(&record.evidence, evidence::fell_back(&record.evidence)) {
        Some(evidence::WHOLE_IMAGE) => println!("  evidence  {}", evidence::NO_CONCEPT),
        Some(chosen) => println!("  evidence  {chosen}"),
        None if record.boxes.is_empty() => println!("  evidence  none found"),
        None => {}
    }
    let rejection = Weighed::of(&record.evidence).and_then(|concepts| concepts.rejection());
    if let Some(rejection) = rejection {
        println!("  segmenter {rejection}");
    }
    for (i, found) in record.boxes.iter().enumerate() {
        let corners = found.native.map(|bbox| bbox.corners());
        let place = corners.map_or("in the padding".into(), |[x1, y1, x2, y2]| {
            format!("x {x1}-{x2}  y {y1}-{y2}")
        });
        let label = found.label.as_deref().unwrap_or_default();
        println!(
            "  box {:<5} {place}  score {:.4}  {label}",
            i + 1,
            found.score
        );
    }
    for warning in &record.warnings {
        println!("  warning   {warning}");
    }
    let images = record
        .calls
        .get("model.score")
        .map_or(0, |calls| calls.tensors);
    let seconds: f64 = record.seconds.values().sum();
    println!("  cost      {images} images scored, {seconds:.2} s");
}

/// Reads a mode by its name.
fn mode() -> impl TypedValueParser<Value = Mode> {
    let names = PossibleValuesParser::new(Mode::ALL.map(Mode::name));
    names.map(|name| {
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == name);
        mode.unwrap_or_default()
    })
}
