//! What `medfocus attribute` and `medfocus watch` share: one question about a film, and what is written of the answer.

use std::path::{Path, PathBuf};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use image::RgbImage;
use medfocus_dicom::{Identity, NAMES, Object};
use medfocus_plugin_api::{Mode, Result, file};

use crate::{
    attribute::{self, Outcome, Query, Record},
    dicom::source::Source,
    files,
    output::{self, OutDir},
    study,
    workbench::{Ready, Workbench, on},
};

#[derive(Args)]
pub struct Asked {
    /// COMPONENT=FOLDER, as gemma3=path/to/checkpoint, or a name from the model folders
    #[arg(long)]
    model: String,
    /// Attribution method
    #[arg(long)]
    method: String,
    /// What to ask about the image
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
}

/// An image to be explained; with an identity, one that DICOM objects are to be written about.
///
/// # Errors
///
/// It cannot be read, or no such object can be about it.
pub fn read(bench: &Workbench, path: &Path, identity: Option<&Identity>) -> Result<Source> {
    source(bench, &study::bytes(path)?, identity)
        .map_err(|error| error.context(format!("image {}", path.display())))
}

fn source(bench: &Workbench, bytes: &[u8], identity: Option<&Identity>) -> Result<Source> {
    let study = bench.decode(bytes)?;
    match identity {
        Some(identity) => Source::film(study, bytes, identity.clone()),
        None => Ok(Source::plain(study)),
    }
}

/// A model and a method that are ready to answer.
pub struct Explainer<'a> {
    bench: &'a Workbench,
    asked: &'a Asked,
    model: Ready,
    method: Ready,
    identity: Option<Identity>,
}

/// What was found.
pub struct Answer {
    outcome: Outcome,
    picture: RgbImage,
    objects: Vec<Object>,
}

/// What was found and written.
pub struct Explained {
    /// The record.
    pub record: Record,
    /// The DICOM objects, if they were asked for.
    pub objects: Vec<Object>,
}

impl Asked {
    /// Checks that there is such a model and method, without loading either.
    ///
    /// # Errors
    ///
    /// There is not, or they do not fit.
    pub fn check(&self, bench: &Workbench) -> Result<()> {
        let model = bench.plan_model(&self.model, on(self.device.as_deref()))?;
        bench.plan_own_method(&self.method, &model.manifest)?;
        Ok(())
    }

    /// Loads both. `identity` is for DICOM objects; none are written without.
    ///
    /// # Errors
    ///
    /// Those of [`Asked::check`], and what fails while loading.
    pub fn load<'a>(
        &'a self,
        bench: &'a Workbench,
        identity: Option<Identity>,
    ) -> Result<Explainer<'a>> {
        let model = bench.plan_model(&self.model, on(self.device.as_deref()))?;
        let method = bench.plan_own_method(&self.method, &model.manifest)?;
        let model = bench.make(&model, None)?;
        let method = bench.make(&method, Some(&model))?;
        Ok(Explainer {
            bench,
            asked: self,
            model,
            method,
            identity,
        })
    }
}

impl Explainer<'_> {
    /// An image to be explained, from its file's bytes.
    ///
    /// # Errors
    ///
    /// Those of [`read`].
    pub fn source(&self, bytes: &[u8]) -> Result<Source> {
        source(self.bench, bytes, self.identity.as_ref())
    }

    /// Asks; nothing is written.
    ///
    /// # Errors
    ///
    /// What model and method fail with.
    pub fn ask(&self, source: &Source) -> Result<Answer> {
        let asked = self.asked;
        let query = Query {
            study: &source.study,
            question: &asked.question,
            answer: asked.answer.as_deref(),
            mode: asked.mode,
            finding: asked.finding.as_deref(),
        };
        let outcome = attribute::attribute(self.bench, &self.model, &self.method, &query)?;
        let picture = files::picture(&source.study, &outcome, &asked.method, &asked.model);
        let finding = asked.finding.as_deref();
        let objects = source.objects(&outcome, &picture, &asked.method, &asked.model, finding)?;
        Ok(Answer {
            outcome,
            picture,
            objects,
        })
    }
}

impl Answer {
    /// Writes it into a folder.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn write(self, out: &OutDir) -> Result<Explained> {
        for file in files::of(&self.outcome, &self.picture, &self.objects)? {
            out.write(file.name, |out| out.write_all(&file.bytes))?;
        }
        Ok(Explained {
            record: self.outcome.record,
            objects: self.objects,
        })
    }
}

/// The DICOM objects that were written into a folder.
///
/// # Errors
///
/// They are not there any more.
pub fn objects(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let places = NAMES.iter().map(|name| folder.join(name));
    // A film in colour has no presentation state.
    let there = places.filter(|place| place.exists());
    let read =
        |place: PathBuf| file::read(&place).map_err(|error| output::failed("read", &place, &error));
    there.map(read).collect()
}

/// Reads a mode by its name.
fn mode() -> impl TypedValueParser<Value = Mode> {
    let names = PossibleValuesParser::new(Mode::ALL.map(Mode::name));
    names.map(|name| {
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == name);
        mode.unwrap_or_default()
    })
}
