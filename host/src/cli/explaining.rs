//! What `medfocus attribute` and `medfocus watch` share: one question about a film, and what is written of the answer.

use std::path::{Path, PathBuf};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use image::RgbImage;
use medfocus_dicom::{Film, Identity, KINDS, Object};
use medfocus_plugin_api::{Mode, Result, file};

use crate::{
    attribute::{self, Outcome, Query, Record},
    dicom::objects::{self, About},
    files,
    output::{self, OutDir},
    study::{self, Study},
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

/// An image to be explained.
pub struct Source {
    study: Study,
    film: Option<Film>,
}

impl Source {
    /// Reads it; where DICOM objects are to be written, with this identity, its header, too.
    ///
    /// # Errors
    ///
    /// It cannot be read, or no such object can be about it.
    pub fn read(bench: &Workbench, path: &Path, identity: Option<&Identity>) -> Result<Self> {
        Self::of(bench, &study::bytes(path)?, identity)
            .map_err(|error| error.context(format!("image {}", path.display())))
    }

    /// The same, of a file that was read already.
    fn of(bench: &Workbench, bytes: &[u8], identity: Option<&Identity>) -> Result<Self> {
        let study = bench.decode(bytes)?;
        let film = identity.map(|identity| -> Result<Film> {
            let film = Film::read(bytes)?;
            identity.fits(&film)?;
            Ok(film)
        });
        Ok(Self {
            study,
            film: film.transpose()?,
        })
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
    /// Those of [`Source::read`].
    pub fn source(&self, bytes: &[u8]) -> Result<Source> {
        Source::of(self.bench, bytes, self.identity.as_ref())
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
        let objects = match (&source.film, &self.identity) {
            (Some(film), Some(identity)) => objects::write(
                &About {
                    film,
                    record: &outcome.record,
                    overlay: &picture,
                    method: &asked.method,
                    model: &asked.model,
                    finding: asked.finding.as_deref(),
                },
                identity,
            )?,
            _ => Vec::new(),
        };
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
        for object in &self.objects {
            out.write(&file_name(object.kind), |file| {
                file.write_all(&object.bytes)
            })?;
        }
        for file in files::of(&self.outcome, &self.picture)? {
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
    let places = KINDS.iter().map(|kind| folder.join(file_name(kind)));
    // A film in colour has no presentation state.
    let there = places.filter(|place| place.exists());
    let read =
        |place: PathBuf| file::read(&place).map_err(|error| output::failed("read", &place, &error));
    there.map(read).collect()
}

fn file_name(kind: &str) -> String {
    format!("explanation.{kind}.dcm")
}

/// Reads a mode by its name.
fn mode() -> impl TypedValueParser<Value = Mode> {
    let names = PossibleValuesParser::new(Mode::ALL.map(Mode::name));
    names.map(|name| {
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == name);
        mode.unwrap_or_default()
    })
}
