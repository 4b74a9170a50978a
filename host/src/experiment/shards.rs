//! An experiment cut into shards: which samples of which phase are whose.
//!
//! The samples of a phase stand in a line, model by model. A shard is a piece of each line, cut so that the pieces cost the
//! same: so it loads as few models as can be. What comes of a sample is the same in whichever shard.

use std::{collections::BTreeMap, fs, io::ErrorKind, ops::Range, path::Path, str::FromStr};

use medfocus_plugin_api::{Error, Mode, Result};
use serde::{Deserialize, Serialize};

use super::{
    phase::Phase,
    plan::{Cell, Plan},
};
use crate::output::failed;

/// A [`Shards`].
pub const MANIFEST: &str = "shards.json";
/// Version of [`Shards`] that this program writes and reads.
const VERSION: u32 = 1;

/// One of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    /// Reads `3/8`, or `auto/8` where a scheduler tells the number.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!("`--shard {text}` {why}"))
                .with_hint("write I/N, as 0/8 for the first of eight, or auto/N")
        };
        let (number, of) = text.split_once('/').ok_or_else(|| wrong("is no shard"))?;
        let of = of.parse().map_err(|_| wrong("is no shard"))?;
        let number = match number {
            "auto" => told()?.ok_or_else(|| wrong("has no number, for no scheduler tells one"))?,
            number => number.parse().map_err(|_| wrong("is no shard"))?,
        };
        if number >= of {
            return Err(wrong("is beyond the last shard"));
        }
        Ok(Self { number, of })
    }
}

/// The number that a scheduler gave this process: Slurm's, HyperQueue's or Kubernetes' own, and `MEDFOCUS_SHARD_OFFSET`.
fn told() -> Result<Option<u32>> {
    let read = |name: &str| match std::env::var(name) {
        Err(_) => Ok(None),
        Ok(text) => text.parse().map(Some).map_err(|_| {
            Error::invalid(format!("the environment's {name} is `{text}`, no number"))
        }),
    };
    let offset: u32 = read("MEDFOCUS_SHARD_OFFSET")?.unwrap_or(0);
    for name in ["SLURM_ARRAY_TASK_ID", "HQ_TASK_ID", "JOB_COMPLETION_INDEX"] {
        if let Some(number) = read(name)? {
            return Ok(Some(offset.saturating_add(number)));
        }
    }
    Ok(None)
}

/// Which samples are whose: the content of `shards.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shards {
    /// Version of this format.
    pub version: u32,
    /// Digest of the [`Plan`].
    pub plan: String,
    /// Digest of its cells: more samples are cut anew.
    pub cells: String,
    /// How many shards there are.
    pub shards: u32,
    /// All pieces, phase by phase.
    pub pieces: Vec<Piece>,
}

/// Neighbouring samples of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Whose.
    pub shard: u32,
    /// In which phase.
    pub phase: Phase,
    /// The cell's dataset.
    pub dataset: String,
    /// Its model.
    pub model: String,
    /// Its mode.
    pub mode: Mode,
    /// Place of the first sample in the cell.
    pub from: u64,
    /// Place behind the last one.
    pub to: u64,
    /// What they cost: seconds where they were measured, else any unit.
    pub cost: f64,
}

impl Shards {
    /// Cuts a plan; `cost` says what a sample of a cell takes.
    ///
    /// # Errors
    ///
    /// There are to be no shards.
    pub fn cut(plan: &Plan, shards: u32, cost: &dyn Fn(Phase, &Cell) -> f64) -> Result<Self> {
        if shards == 0 {
            return Err(Error::invalid("there must be at least one shard"));
        }
        let pieces = Phase::ALL.into_iter().flat_map(|phase| {
            let cells = phase.cells(plan);
            let of_model = |name: &str| {
                let cells = cells.iter().filter(|cell| cell.model == name);
                cells.collect::<Vec<_>>()
            };
            let line = plan.models.iter().flat_map(|model| of_model(&model.name));
            pieces(phase, &line.collect::<Vec<_>>(), shards, cost)
        });
        Ok(Self {
            version: VERSION,
            plan: plan.digest.clone(),
            cells: digest(plan),
            shards,
            pieces: pieces.collect(),
        })
    }

    /// Cuts a plan as if every method took the same on every sample.
    ///
    /// # Errors
    ///
    /// There are to be no shards.
    pub fn even(plan: &Plan, shards: u32) -> Result<Self> {
        Self::cut(plan, shards, &|_, cell| 1.0 + cell.methods.len() as f64)
    }

    /// Reads a manifest, if there is one, and checks that it is of this experiment.
    ///
    /// # Errors
    ///
    /// It cannot be read, another version wrote it, or it is of another experiment.
    pub fn read(folder: &Path, plan: &Plan) -> Result<Option<Self>> {
        let path = folder.join(MANIFEST);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|error| failed("read", &path, &error))?,
        };
        let wrong = |why: String| {
            let hint = format!(
                "delete the folder {} to do its work again",
                folder.display()
            );
            Error::invalid(format!("{} {why}", path.display())).with_hint(hint)
        };
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if head.version != VERSION {
            return Err(wrong(format!(
                "has version {}, and this program reads {VERSION}",
                head.version
            )));
        }
        let shards: Self = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if shards.plan != plan.digest {
            return Err(wrong("is of another experiment".to_owned()));
        }
        Ok(Some(shards))
    }

    /// Whether it was cut for the very samples of this plan.
    pub fn covers(&self, plan: &Plan) -> bool {
        self.cells == digest(plan)
    }

    /// What the dearest task takes: the pieces of a shard in its dearest wave.
    pub fn dearest(&self) -> f64 {
        let mut costs: BTreeMap<(u32, usize), f64> = BTreeMap::new();
        for piece in &self.pieces {
            *costs.entry((piece.shard, piece.phase.wave())).or_default() += piece.cost;
        }
        costs.into_values().fold(0.0, f64::max)
    }

    /// The places of a cell that a shard does in a phase.
    pub fn places(&self, shard: u32, phase: Phase, cell: &Cell) -> Range<u64> {
        let mut own = self.pieces.iter().filter(|piece| {
            (piece.shard, piece.phase, piece.mode) == (shard, phase, cell.mode)
                && (&piece.dataset, &piece.model) == (&cell.dataset, &cell.model)
        });
        own.next().map_or(0..0, |piece| piece.from..piece.to)
    }
}

/// The whole cost cut into equal parts: a sample belongs where its middle lies.
fn pieces(
    phase: Phase,
    line: &[&Cell],
    shards: u32,
    cost: &dyn Fn(Phase, &Cell) -> f64,
) -> Vec<Piece> {
    let costs: Vec<f64> = line
        .iter()
        .map(|cell| cost(phase, cell).max(f64::MIN_POSITIVE))
        .collect();
    let whole = line.iter().zip(&costs);
    let total: f64 = whole.map(|(cell, cost)| cell.samples as f64 * cost).sum();
    let mut pieces = Vec::new();
    let mut before = 0.0;
    for (cell, cost) in line.iter().zip(costs) {
        // Samples of the cell that lie before the end of so many shards.
        let until = |shards_done: u32| {
            if shards_done == shards {
                return cell.samples;
            }
            let end = total * f64::from(shards_done) / f64::from(shards);
            (((end - before) / cost - 0.5).ceil().max(0.0) as u64).min(cell.samples)
        };
        for shard in 0..shards {
            let (from, to) = (until(shard), until(shard + 1));
            if from < to {
                pieces.push(Piece {
                    shard,
                    phase,
                    dataset: cell.dataset.clone(),
                    model: cell.model.clone(),
                    mode: cell.mode,
                    from,
                    to,
                    cost: (to - from) as f64 * cost,
                });
            }
        }
        before += cell.samples as f64 * cost;
    }
    pieces
}

/// Of the cells of every phase; whichever build reads them.
fn digest(plan: &Plan) -> String {
    let text = serde_json::to_vec(&Phase::ALL.map(|phase| phase.cells(plan)));
    let digest = blake3::hash(&text.unwrap_or_default());
    format!("blake3:{}", digest.to_hex())
}
