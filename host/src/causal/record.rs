//! What the filter writes down of a sample: a line of its journal.

use std::collections::BTreeMap;

use medfocus_plugin_api::Error;
use serde::{Deserialize, Serialize};

use super::gate::{self, Group, Role};
use crate::{
    experiment::{
        config::Filter,
        record::{CaseKey, Recorded},
    },
    verdict::{Parser, Verdict},
};

/// A sample and what the filter found of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilterRecord {
    /// Which one.
    pub case: CaseKey,
    /// Digest of the model's weights and settings.
    pub model_digest: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: FilterOutcome,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// What came of a sample in the filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum FilterOutcome {
    /// It was judged.
    Judged(Box<Judgement>),
    /// No region is annotated, or the finding is not there: nothing can be proven.
    Unannotated,
    /// It could not be read, edited or answered.
    Failed {
        /// Why.
        error: Error,
    },
}

/// What a model answers about a sample and its counterfactuals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What the question asks about.
    pub finding: String,
    /// The patient, by a name that only tells patients apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Digest of the image's size and pixels.
    pub image: String,
    /// The question, suffix included.
    pub question: String,
    /// What is proven, by the first editor.
    pub group: Group,
    /// The original.
    pub original: Reply,
    /// Each editor's counterfactuals, by the editor's name; none of a sample that is answered wrongly.
    pub editors: Vec<Tried>,
}

/// What the model makes of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Its answer, as it was generated.
    pub answer: String,
    /// Whether it was cut at the limit of tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// How it reads.
    pub verdict: Verdict,
    /// The probability of `Yes` against `No` when the model is asked directly; nothing if it cannot score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yes: Option<f64>,
}

/// What an editor's counterfactuals show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The editor, by its name in the config.
    pub editor: String,
    /// What they prove: grounded only if every draw says so.
    pub group: Group,
    /// One for each draw of the editor's random choices.
    pub draws: Vec<Draw>,
}

/// The counterfactuals of one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draw {
    /// For every random choice.
    pub seed: u64,
    /// The edited images.
    pub images: BTreeMap<Role, Counterfactual>,
    /// What they prove.
    pub group: Group,
}

/// An edited image and what the model makes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// The image.
    pub edit: EditRecord,
    /// The answer.
    #[serde(flatten)]
    pub reply: Reply,
}

/// An edited image, and what was verified of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditRecord {
    /// Its file among the edits.
    pub file: String,
    /// What the edited side should show.
    pub prompt: String,
    /// Mean change of a pixel on the edited side, in grey levels.
    pub inside: f64,
    /// Greatest change of a pixel on the other side, beyond the margin, in grey levels.
    pub outside: u8,
    /// Whether nothing changed beyond the margin, and, unless it is a sham, something within.
    pub verified: bool,
}

impl Recorded for FilterRecord {
    fn case(&self) -> &CaseKey {
        &self.case
    }

    fn model_digest(&self) -> &str {
        &self.model_digest
    }

    fn error(&self) -> Option<&Error> {
        match &self.outcome {
            FilterOutcome::Failed { error } => Some(error),
            _ => None,
        }
    }
}

impl FilterRecord {
    /// What the model answers, if it came so far.
    pub fn judgement(&self) -> Option<&Judgement> {
        match &self.outcome {
            FilterOutcome::Judged(judgement) => Some(judgement),
            _ => None,
        }
    }
}

/// What counts at a gate.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// How yes and no are read.
    pub parser: Parser,
    /// Whether an edit that was not made as asked proves nothing.
    pub verify: bool,
}

impl Rule {
    /// That of a filter's gates, where yes and no are read so.
    pub fn new(filter: &Filter, parser: Parser) -> Self {
        Self {
            parser,
            verify: filter.verify,
        }
    }

    /// What the counterfactuals of a sample prove whose original was answered so.
    pub fn group(self, original: &str, images: &BTreeMap<Role, Counterfactual>) -> Group {
        let proof = images.iter().filter(|(_, image)| self.counts(image));
        let proof = proof.map(|(role, image)| (*role, image.reply.answer.as_str()));
        gate::group(self.parser, original, proof)
    }

    fn counts(self, image: &Counterfactual) -> bool {
        image.edit.verified || !self.verify
    }

    /// Why an image does not pass its gate; nothing if it does, or has none.
    fn fault(self, role: Role, image: &Counterfactual) -> Option<String> {
        let wanted = role.wanted()?;
        let what = if !self.counts(image) {
            "not edited as asked"
        } else if self.parser.says(&image.reply.answer, wanted) {
            return None;
        } else if image.reply.verdict == Verdict::Undecided {
            "answered neither yes nor no"
        } else if wanted == Verdict::No {
            "the answer stays yes"
        } else {
            "the answer turns to no"
        };
        Some(format!("{}: {what}", role.words()))
    }
}

impl Judgement {
    /// The counterfactuals of the editor that decides.
    pub fn deciding(&self) -> Option<&Tried> {
        self.editors.first()
    }

    /// Why the sample is not kept by this rule, each reason in a few words; nothing of a grounded sample.
    pub fn dropped(&self, rule: Rule) -> Vec<String> {
        if self.group == Group::Incorrect {
            return vec![match self.original.verdict {
                Verdict::Undecided => "answered neither yes nor no".to_owned(),
                _ => "answered wrongly".to_owned(),
            }];
        }
        let draws = self.deciding().into_iter().flat_map(|tried| &tried.draws);
        let images = draws.flat_map(|draw| &draw.images);
        let mut reasons: Vec<String> = images
            .filter_map(|(role, image)| rule.fault(*role, image))
            .collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }
}
