//! What a model takes on a machine, measured once so that experiments can be planned anywhere.

use std::{fs, path::Path, time::Instant};

use medfocus_plugin_api::{
    Ability, BBox, Error, GenerateRequest, GrayImage, Result, ScoreRequest, VisionLanguageModel,
    WORKING_SIDE, Working,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    experiment::{
        plan::Plan,
        trial::{self, ModelTrial},
    },
    machine::Machine,
    workbench::{Ready, Workbench},
};

/// The content of a calibration's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Version of the program that measured.
    pub medfocus: String,
    /// Where.
    pub machine: Machine,
    /// Threads that each model computed with, if the config says; else as many as there are cores.
    pub threads: Option<usize>,
    /// The model's own speed.
    pub speed: Speed,
    /// What its samples take, answers and methods.
    #[serde(flatten)]
    pub trial: ModelTrial,
}

/// How fast a model reads and writes; each figure is the least of three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Seconds from a question about a new image to the answer's first token; nothing where the model does not answer.
    pub first_token: Option<f64>,
    /// Seconds a further token; nothing where it stops at once.
    pub token: Option<f64>,
    /// Seconds to score an answer on one new image.
    pub score: Option<f64>,
    /// Images of a full batch, and seconds an image in it.
    pub batch: Option<(u32, f64)>,
}

/// What is asked: long enough an answer to time its tokens.
const QUESTION: &str = "Describe this chest X-ray in detail.";
/// The answer that is scored.
const ANSWER: &str = "Yes";
/// Tokens that are timed.
const TOKENS: u32 = 16;
/// Repetitions, of which the fastest counts.
const REPETITIONS: u8 = 3;

impl Calibration {
    /// Measures a model of a plan with the methods of all its cells.
    ///
    /// # Errors
    ///
    /// The model or a method cannot be made or fails, or the user asked to stop.
    pub fn measure(bench: &Workbench, plan: &Plan, model: &str) -> Result<Self> {
        let (ready, trial) = trial::try_model(bench, plan, model)?;
        Ok(Self {
            medfocus: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine::this(),
            threads: bench.layers.config.threads,
            speed: Speed::of(&ready, &trial)?,
            trial,
        })
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| {
            Error::missing(format!("{} cannot be read: {error}", path.display()))
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Error::invalid(format!("{} is no calibration: {error}", path.display()))
                .with_hint("make one with `medfocus bench MODEL`")
        })
    }

    /// Where it was measured, in a line.
    pub fn place(&self) -> String {
        let info = &self.trial.info;
        let card = self.machine.cards.first();
        let card = card.filter(|_| info.device != "cpu");
        let threads = match self.threads.unwrap_or(self.machine.cores) {
            1 => "one thread".to_owned(),
            threads => format!("{threads} threads"),
        };
        match card {
            Some(card) => format!("{card}, {}", info.dtype),
            None => format!("{threads} of {}, {}", self.machine.processor, info.dtype),
        }
    }
}

impl Speed {
    fn of(ready: &Ready, trial: &ModelTrial) -> Result<Self> {
        let model = ready.client();
        let able = |ability| trial.info.abilities.contains(&ability);
        let mut images = Images(0);
        let mut written = 0;
        let mut generate = |tokens: u32| {
            let seconds = || {
                least(|| {
                    let request = GenerateRequest::new(images.next()?, QUESTION, tokens);
                    written = model.generate(&request)?.tokens.len();
                    Ok(())
                })
            };
            able(Ability::Generate).then(seconds).transpose()
        };
        let first_token = generate(1)?;
        let all = generate(TOKENS)?;
        let further = written.saturating_sub(1);
        let token = first_token.zip(all).filter(|_| further > 0);
        let token = token.map(|(first, all)| (all - first).max(0.0) / further as f64);
        let mut score = |count: u32| {
            least(|| {
                let images = (0..count).map(|_| images.next()).collect::<Result<_>>()?;
                model.score(&ScoreRequest::new(images, QUESTION, ANSWER))?;
                Ok(())
            })
        };
        let scores = able(Ability::Score);
        let one = scores.then(|| score(1)).transpose()?;
        let full = trial.info.batch.filter(|_| scores).map(|batch| batch.score);
        let full = full.map(|images| Ok::<_, Error>((images, score(images)? / f64::from(images))));
        Ok(Self {
            first_token,
            token,
            score: one,
            batch: full.transpose()?,
        })
    }
}

/// Working images of which no two are the same, so that nothing is remembered of one.
struct Images(u32);

impl Images {
    fn next(&mut self) -> Result<GrayImage> {
        let side = WORKING_SIDE as usize;
        let slope = Array2::from_shape_fn((side, side), |(y, x)| ((x + y) / 2) as u8);
        let (x, y) = (self.0 % WORKING_SIDE, self.0 / WORKING_SIDE);
        self.0 += 1;
        let spot = BBox::<Working>::new(x, y, x + 1, y + 1)?;
        Ok(GrayImage::from_array(slope)?.with_filled(&spot, 255))
    }
}

fn least(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..REPETITIONS {
        let begin = Instant::now();
        work()?;
        least = least.min(begin.elapsed().as_secs_f64());
    }
    Ok(least)
}
