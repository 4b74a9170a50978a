//! `medfocus attribute`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use medfocus_dicom::archive::Archive;
use medfocus_plugin_api::Result;

use super::{
    explaining::{self, Asked},
    terminal,
};
use crate::{
    attribute::Record,
    evidence::{self, Weighed},
    output::OutDir,
    workbench::Workbench,
};

#[derive(Args)]
pub struct Attribute {
    #[command(flatten)]
    asked: Asked,
    /// PNG, JPEG, TIFF or DICOM
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Folder for attribution.json, overlay.png and the heat maps
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write the result as DICOM objects, too; the image must be a DICOM file
    #[arg(long)]
    dicom: bool,
    /// Send these objects to dicom://TITLE@HOST:PORT or https://HOST/dicom-web/studies
    #[arg(long, value_name = "ADDRESS")]
    send: Option<String>,
}

impl Attribute {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        // What needs no model is checked before one is loaded.
        self.asked.check(bench)?;
        let settings = &bench.layers.config.dicom;
        let archive = self.send.as_deref().map(Archive::parse).transpose()?;
        let speaking = settings.speaking()?;
        let identity = (self.dicom || archive.is_some()).then(|| settings.identity());
        let identity = identity.transpose()?;
        let source = explaining::read(bench, &self.image, identity.as_ref())?;
        let out = OutDir::create(&self.out)?;
        terminal::attend(&bench.session);

        let explainer = self.asked.load(bench, identity)?;
        let explained = explainer.ask(&source)?.write(&out)?;
        summarise(&explained.record);
        println!("  written   {}", self.out.display());
        if let Some(archive) = archive {
            let files = explained.objects.iter();
            let files: Vec<&[u8]> = files.map(|object| &object.bytes[..]).collect();
            archive.send(&files, &speaking)?;
            println!("  sent      {archive}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn summarise(record: &Record) {
    println!("  question  {}", record.question);
    println!("  answer    {}", record.answer);
    if let Some(prior) = record.language_prior {
        let (with, without) = (prior.with_image, prior.without_image);
        println!("  prior     probability {with:.3} with the image, {without:.3} without");
    }
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
