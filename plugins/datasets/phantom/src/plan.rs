//! Which patient a sample shows and what it asks about: from the sample's number, without any state.

use medfocus_phantom::{Case, CaseOptions, Finding, sample_case};
use medfocus_plugin_api::{Error, Result, choices};

choices! {
    /// Disjoint populations of patients.
    pub enum Split {
        /// Seeds from 0: what the demo checkpoints may have been trained on.
        Train = "train",
        /// Seeds from 2^40: held out.
        Test = "test",
    }
}

choices! {
    /// Whether the finding asked about is there.
    pub enum Presence {
        /// In every sample, as in the paper's benchmark.
        Always = "always",
        /// In every other round of the findings.
        Alternating = "alternating",
        /// In no sample: healthy patients, asked about any abnormality.
        Never = "never",
    }
}

/// Patients in a split.
const POPULATION: u64 = 1 << 40;

impl Split {
    /// The seed of its first patient.
    pub const fn first_seed(self) -> u64 {
        match self {
            Self::Train => 0,
            Self::Test => POPULATION,
        }
    }
}

/// The question asked of each patient: the findings in turn, each patient once.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    first_seed: u64,
    findings: Vec<Finding>,
    presence: Presence,
}

/// One patient and the finding asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The patient and all they have.
    pub case: Case,
    /// What is asked about; nothing of a healthy patient.
    pub finding: Option<Finding>,
}

impl Plan {
    /// A plan for `len` samples that skips the split's first `offset` patients. `findings` are names divided by
    /// commas; if there are none, all are asked about.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming an unknown or repeated finding, or samples beyond the split.
    pub fn new(
        split: Split,
        offset: u64,
        len: u64,
        findings: &str,
        presence: Presence,
    ) -> Result<Self> {
        if offset.checked_add(len).is_none_or(|end| end > POPULATION) {
            return Err(Error::invalid(format!(
                "{len} samples from patient {offset} on are more than the split's {POPULATION} patients"
            ))
            .with_hint("lower `offset` or `len`"));
        }
        Ok(Self {
            first_seed: split.first_seed() + offset,
            findings: parse(findings)?,
            presence,
        })
    }

    /// What sample `index` shows and asks.
    pub fn question(&self, index: u64) -> Question {
        let kinds = self.findings.len() as u64;
        let finding = self.findings[(index % kinds) as usize];
        let round = index / kinds;
        let mut options = CaseOptions::default();
        match self.presence {
            Presence::Never => options.findings.clear(),
            Presence::Alternating if !round.is_multiple_of(2) => {
                options.findings.retain(|&other| other != finding);
            }
            Presence::Always | Presence::Alternating => options.require = Some(finding),
        }
        Question {
            case: sample_case(self.first_seed + index, &options),
            finding: (self.presence != Presence::Never).then_some(finding),
        }
    }

    /// A text that determines every question.
    pub fn describe(&self) -> String {
        let names: Vec<_> = self.findings.iter().map(|f| f.name()).collect();
        format!("{} {:?} {names:?}", self.first_seed, self.presence)
    }
}

fn parse(names: &str) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let finding = Finding::from_name(name).ok_or_else(|| {
            let known: Vec<_> = Finding::ALL.iter().map(|f| f.name()).collect();
            Error::invalid(format!("parameter `findings`: the phantom has no `{name}`"))
                .with_key("findings")
                .with_hint(format!("its findings are: {}", known.join(", ")))
        })?;
        if findings.contains(&finding) {
            return Err(
                Error::invalid(format!("parameter `findings` names `{name}` twice"))
                    .with_key("findings"),
            );
        }
        findings.push(finding);
    }
    if findings.is_empty() {
        findings.extend(Finding::ALL);
    }
    Ok(findings)
}
