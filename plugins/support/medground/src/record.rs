//! One record.

use medfocus_plugin_api::Mode;

/// How the questions of a record ask to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// Yes or no, without explanation.
    Direct,
    /// Step by step, then yes or no.
    Reasoning,
}

impl Split {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Direct, Self::Reasoning];

    /// The split of a mode; nothing if the benchmark has none.
    pub const fn of(mode: Mode) -> Option<Self> {
        match mode {
            Mode::Direct => Some(Self::Direct),
            Mode::Reasoning => Some(Self::Reasoning),
            Mode::Open => None,
        }
    }

    /// The published file's name.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Direct => "direct.json",
            Self::Reasoning => "reasoning.json",
        }
    }

    /// The keys of the answers: about the image as it is, without its evidence, with nothing but its evidence, and with
    /// nothing but its evidence in a normal image.
    pub const fn keys(self) -> [&'static str; 4] {
        match self {
            Self::Direct => [
                "prediction_direct",
                "prediction_edited_direct",
                "prediction_edited_kept_direct",
                "prediction_edited_kept_normal_direct",
            ],
            Self::Reasoning => [
                "prediction_cot",
                "prediction_edited_cot",
                "prediction_edited_kept_cot",
                "prediction_edited_kept_normal_cot",
            ],
        }
    }
}

/// A sample that a model answers because of its evidence. All texts are raw: `Yes\n` is not `Yes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The model, as the benchmark names it.
    pub model: String,
    /// The dataset, as the benchmark names it.
    pub dataset: String,
    /// Number of the sample, of `0..len` of the dataset's reader.
    pub index: u64,
    /// The right answer.
    pub answer: String,
    /// How the questions ask to be answered.
    pub split: Split,
    /// The model's answers, in the order of [`Split::keys`].
    pub predictions: [String; 4],
}
