//! What an experiment is: the config's `experiment` section.

use std::{collections::BTreeMap, path::PathBuf};

use figment::value::{Dict, Value};
use medfocus_plugin_api::{Mode, WORKING_SIDE};
use serde::{Deserialize, Serialize};

use crate::{causal::gate::Role, config::Filling, metrics::IOU, verdict::Parser};

/// Datasets x models x methods x modes, and how they are judged.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its name in reports.
    pub name: String,
    /// Folder of all results; `out/NAME` if nothing.
    #[serde(default)]
    pub out: Option<PathBuf>,
    /// What is asked about.
    pub datasets: Vec<DatasetConfig>,
    /// Who is asked: models as `--model` takes them.
    pub models: Vec<String>,
    /// Which dataset meets which model.
    #[serde(default)]
    pub grid: Grid,
    /// How the questions ask to be answered.
    #[serde(default = "direct")]
    pub modes: Vec<Mode>,
    /// Who explains; nobody may, if there is a `filter`.
    #[serde(default)]
    pub methods: Vec<MethodConfig>,
    /// The method that every other is compared with, sample by sample, but controls; none if nothing.
    #[serde(default)]
    pub compare: Option<String>,
    /// What a method and a model that do not fit mean.
    #[serde(default)]
    pub misfits: Misfits,
    /// The answer to explain.
    #[serde(default)]
    pub answer: AnswerSource,
    /// How yes and no are read of an answer.
    #[serde(default)]
    pub verdict: Parser,
    /// Which answers are explained.
    #[serde(default)]
    pub keep: Keep,
    /// The causal filter: which samples' region is proven to cause the answer.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// How parameters with a `sweep` are chosen.
    #[serde(default)]
    pub tuning: Option<Tuning>,
    /// Deletion and insertion curves.
    #[serde(default)]
    pub curves: Option<Curves>,
    /// Whether editing what a method points at turns the answer.
    #[serde(default)]
    pub flips: Option<Flips>,
    /// Checks that an attribution depends on what it should.
    #[serde(default)]
    pub sanity: Option<Sanity>,
    /// Intervals and comparisons.
    #[serde(default)]
    pub statistics: Statistics,
    /// Whether the report shows the paper's figures beside ours: only where the experiment repeats the paper's.
    #[serde(default)]
    pub paper: bool,
    /// Samples of each dataset, model and mode whose pictures the report shows.
    #[serde(default = "gallery")]
    pub gallery: u64,
    /// Whether every heat map is kept as a `.npy` file of 200 kB.
    #[serde(default)]
    pub heatmaps: bool,
    /// Samples explained at the same time, each worker with a model of its own.
    #[serde(default = "one")]
    pub workers: usize,
    /// Where the workers' models compute, as `cuda:0`, one after the other in turn; as the models say if nothing. There is
    /// at least one worker a device.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Failed samples after which the run stops.
    #[serde(default = "max_failures")]
    pub max_failures: u64,
}

/// A dataset of an experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Reader.
    pub component: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Dict,
    /// What fills its slots, over the config's `slots`; the component `none` leaves one empty.
    #[serde(default)]
    pub slots: BTreeMap<String, Filling>,
    /// Only its first samples; all if nothing.
    #[serde(default)]
    pub samples: Option<u64>,
}

impl DatasetConfig {
    /// The reader with its parameters.
    pub fn filling(&self) -> Filling {
        Filling {
            component: self.component.clone(),
            params: self.params.clone(),
            slots: self.slots.clone(),
        }
    }
}

/// A method of an experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodConfig {
    /// Method.
    pub component: String,
    /// Its name in tables; the component's if nothing.
    #[serde(default)]
    pub name: Option<String>,
    /// Its parameters.
    #[serde(default)]
    pub params: Dict,
    /// What fills its slots, over the config's `slots`; the component `none` leaves one empty.
    #[serde(default)]
    pub slots: BTreeMap<String, Filling>,
    /// Parameters to choose on the tuning split: the values each may take.
    #[serde(default)]
    pub sweep: BTreeMap<String, Vec<Value>>,
    /// Parameters to change one at a time: each value is a method of its own beside this one, called `NAME KEY=VALUE`
    /// and compared with it. A value that this method has anyway is no other method.
    #[serde(default)]
    pub ablate: BTreeMap<String, Vec<Value>>,
    /// The method that it is compared with, instead of `experiment.compare`.
    #[serde(default)]
    pub compare: Option<String>,
}

impl MethodConfig {
    /// Its name in tables.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.component)
    }

    /// The method with its own parameters.
    pub fn filling(&self) -> Filling {
        Filling {
            component: self.component.clone(),
            params: self.params.clone(),
            slots: self.slots.clone(),
        }
    }
}

/// Which dataset meets which model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grid {
    /// Every one each.
    #[default]
    Product,
    /// The first the first, the second the second.
    Paired,
}

/// What a method and a model that do not fit mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfits {
    /// The experiment is wrong: nothing runs.
    #[default]
    Refuse,
    /// The pair is left out, and the report says why.
    Skip,
}

/// The answer to explain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerSource {
    /// The model's own.
    #[default]
    Generated,
    /// The right one: `Yes` where the finding is present, else `No`.
    Truth,
    /// The one that the dataset has on record for the model, as a published benchmark has.
    Recorded,
}

/// Which answers are explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Right ones: the first condition of the paper's causal filter.
    #[default]
    Correct,
    /// Those whose annotated region is proven to cause them: needs a `filter`.
    Grounded,
    /// All.
    All,
}

/// The causal filter (paper, section 3): counterfactual images, and what the model must answer to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Who makes the images: the first decides; the report says what the others would have kept.
    pub editors: Vec<EditorConfig>,
    /// The editor, by its name, whose verdicts the others' precision and recall are counted against.
    #[serde(default)]
    pub reference: Option<String>,
    /// What edits should show.
    #[serde(default)]
    pub prompts: Prompts,
    /// Whether each sample has a sham edit, too: how often does editing as such turn the answer?
    #[serde(default = "yes")]
    pub sham: bool,
    /// Whether necessity and sufficiency of the region are measured as probabilities; needs a model that scores.
    #[serde(default = "yes")]
    pub probabilities: bool,
    /// Side in pixels of the square in which images are edited; the model sees original and edits by way of it.
    #[serde(default = "working_side")]
    pub side: u32,
    /// Whether an edit that changes the other side, or nothing at all, proves nothing.
    #[serde(default = "yes")]
    pub verify: bool,
    /// How far from the region in pixels the other side may change: a soft edge.
    #[serde(default = "margin")]
    pub margin: u32,
    /// How the counterfactuals are asked about: as the mode says, or always directly, as the published code does.
    #[serde(default)]
    pub ask: Ask,
    /// Seed of every sample's first draw; each sample has its own if nothing.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Folder of the edited images, which may be common to many experiments; `edits` in the results if nothing.
    #[serde(default)]
    pub edits: Option<PathBuf>,
}

/// An editor of the filter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditorConfig {
    /// Editor.
    pub component: String,
    /// Its name in tables; the component's if nothing.
    #[serde(default)]
    pub name: Option<String>,
    /// Its parameters.
    #[serde(default)]
    pub params: Dict,
    /// What fills its slots.
    #[serde(default)]
    pub slots: BTreeMap<String, Filling>,
    /// Seeds that each edit is made with; a sample is grounded only if all of them say so.
    #[serde(default = "one_draw")]
    pub draws: u32,
}

impl EditorConfig {
    /// Its name in tables.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.component)
    }

    /// The editor with its parameters.
    pub fn filling(&self) -> Filling {
        Filling {
            component: self.component.clone(),
            params: self.params.clone(),
            slots: self.slots.clone(),
        }
    }
}

/// What edits should show; `{finding}` stands for what the question asks about.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompts {
    /// The region, and all but the region, without the finding.
    pub absent: String,
    /// All but the region without any abnormality.
    pub normal: String,
    /// The region as it was.
    pub sham: String,
}

impl Default for Prompts {
    fn default() -> Self {
        Self {
            absent: "No {finding}".to_owned(),
            normal: "No abnormality".to_owned(),
            sham: "{finding}".to_owned(),
        }
    }
}

impl Prompts {
    /// The prompt of an edit.
    pub fn of(&self, role: Role, finding: &str) -> String {
        let prompt = match role {
            Role::Edited | Role::EditedKept => &self.absent,
            Role::EditedKeptNormal => &self.normal,
            Role::Sham => &self.sham,
        };
        prompt.replace("{finding}", finding)
    }
}

/// How the counterfactuals are asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// As the mode says, like the original.
    #[default]
    Mode,
    /// Directly, whatever the mode, the original as well.
    Direct,
}

/// Faithfulness without annotation: the region that a method points at is edited, then all but the region, and the same is
/// done with a random region of the same shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flips {
    /// Samples of each dataset, model and mode.
    pub samples: u64,
    /// Who edits.
    pub editor: EditorConfig,
    /// What edits should show.
    #[serde(default)]
    pub prompts: Prompts,
}

/// How parameters with a `sweep` are chosen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// The tuning split; it must share no sample with the experiment's datasets.
    pub dataset: DatasetConfig,
    /// The candidate with the best mean of this metric wins, the first of equals.
    #[serde(default = "iou")]
    pub metric: String,
}

/// Deletion and insertion curves (Petsiuk et al., BMVC 2018).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curves {
    /// Samples of each dataset, model and mode.
    pub samples: u64,
    /// Steps from one end to the other.
    #[serde(default = "steps")]
    pub steps: usize,
    /// Whose probability they follow.
    #[serde(default)]
    pub tokens: Counted,
}

/// Which tokens of an answer a curve follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// All.
    #[default]
    Answer,
    /// Those that name the finding; an answer that does not name it has no curve. Direct answers, a word, are followed whole.
    Finding,
}

/// Checks that an attribution depends on what it should (Adebayo et al., NeurIPS 2018).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sanity {
    /// Samples of each dataset, model and mode.
    pub samples: u64,
    /// Layers, counted from the top, that are replaced by noise, or `all`: one check each.
    #[serde(default)]
    pub randomise: Vec<Noise>,
}

/// How much of a model is noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// All weights.
    All,
    /// So many layers, counted from the top: the decoder's, the projector, the image tower's.
    #[serde(untagged)]
    Layers(u32),
}

/// Intervals and comparisons.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statistics {
    /// Bootstrap resamples.
    pub resamples: usize,
}

impl Default for Statistics {
    fn default() -> Self {
        Self { resamples: 10_000 }
    }
}

fn direct() -> Vec<Mode> {
    vec![Mode::Direct]
}

fn gallery() -> u64 {
    8
}

fn yes() -> bool {
    true
}

fn working_side() -> u32 {
    WORKING_SIDE
}

fn margin() -> u32 {
    3
}

fn one_draw() -> u32 {
    1
}

fn one() -> usize {
    1
}

fn max_failures() -> u64 {
    20
}

fn iou() -> String {
    IOU.name.to_owned()
}

fn steps() -> usize {
    8
}
