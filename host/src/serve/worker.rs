//! One job after the other, around a model that stays loaded.

use std::sync::Arc;

use medfocus_plugin_api::Result;

use super::{
    answer::Answer,
    job::{Done, Job},
};
use crate::{
    attribute, encode, files,
    overlay::layer,
    plugin::Progress,
    workbench::{Ready, Workbench},
};

/// A bench of its own, and what it used last.
pub struct Worker {
    bench: Workbench,
    model: Option<(String, Ready)>,
    /// What fills its slots, as a segmenter, stays loaded for the next one.
    method: Option<Ready>,
}

impl Worker {
    /// One that has loaded nothing.
    pub fn new(bench: Workbench) -> Self {
        Self {
            bench,
            model: None,
            method: None,
        }
    }

    /// Does a job; how far it is goes into its state.
    ///
    /// # Errors
    ///
    /// What model or method fail with, or that somebody stopped it.
    pub fn work(&mut self, job: &Arc<Job>) -> Result<Done> {
        let Self {
            bench,
            model,
            method,
        } = self;
        // The session outlives the job, which holds an image.
        let shown = Arc::downgrade(job);
        bench.session.on_progress(move |progress| {
            if let Some(job) = shown.upgrade() {
                job.step(progress);
            }
        });
        let asked = &job.asked;
        if model.as_ref().is_some_and(|(held, _)| *held != asked.model) {
            // Freed before the next one takes its memory; the method holds it, too.
            (*model, *method) = (None, None);
        }
        let (_, model) = match model {
            Some(held) => held,
            None => {
                say(bench, "loading the model")?;
                let ready = bench.make(&asked.model_recipe, None)?;
                model.insert((asked.model.clone(), ready))
            }
        };
        let method = method.insert(bench.make(&asked.method_recipe, Some(model))?);
        say(bench, "asking the model")?;
        let outcome = attribute::attribute(bench, model, method, &asked.query())?;
        let letterbox = &asked.source.study.letterbox;
        let mut layers = Vec::new();
        if let Some(heat) = &outcome.heat
            && let Some(heat) = layer::heat(heat, letterbox)
        {
            layers.push(files::file("heat.png", |out| encode::png_rgba(out, &heat))?);
        }
        if let Some(mask) = &outcome.mask {
            let region = layer::region(mask, letterbox);
            layers.push(files::file("region.png", |out| {
                encode::png_rgba(out, &region)
            })?);
        }
        let picture = files::picture(&asked.source.study, &outcome, &asked.method, &asked.model);
        let finding = asked.finding.as_deref();
        let objects =
            asked
                .source
                .objects(&outcome, &picture, &asked.method, &asked.model, finding)?;
        let files = files::of(&outcome, &picture, &objects)?;
        Ok(Done {
            answer: Answer::of(&outcome.record, &layers, &files),
            files,
            layers,
        })
    }
}

/// Says what is done before the method works, and stops here if somebody asked to.
fn say(bench: &Workbench, note: &str) -> Result<()> {
    bench.session.step(&Progress {
        component: "model",
        done: 0,
        total: 0,
        note,
    })
}
