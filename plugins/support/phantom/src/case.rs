//! Cases: a patient with zero to three findings, from one seed.

use serde::{Deserialize, Serialize};

use crate::dice::{Dice, Purpose};
use crate::findings::{Finding, FindingInstance};
use crate::patient::Patient;

/// A patient and what is wrong with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The seed the case came from.
    pub seed: u64,
    pub patient: Patient,
    pub findings: Vec<FindingInstance>,
}

impl Case {
    /// The instance of `finding`, if the patient has it.
    pub fn instance(&self, finding: Finding) -> Option<&FindingInstance> {
        self.findings
            .iter()
            .find(|instance| instance.finding == finding)
    }

    /// The findings without `finding`: the foreground counterfactual.
    pub fn without(&self, finding: Finding) -> Vec<FindingInstance> {
        self.findings
            .iter()
            .filter(|instance| instance.finding != finding)
            .cloned()
            .collect()
    }
}

/// How [`sample_case`] chooses findings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseOptions {
    /// Findings to choose from, each equally likely.
    pub findings: Vec<Finding>,
    /// Relative frequency of 0, 1, 2 and 3 findings.
    pub counts: [f32; 4],
    /// A finding every case must have; it counts as one.
    pub require: Option<Finding>,
}

impl Default for CaseOptions {
    fn default() -> Self {
        CaseOptions {
            findings: Finding::ALL.to_vec(),
            counts: [0.25, 0.35, 0.25, 0.15],
            require: None,
        }
    }
}

/// Draws the case of `seed`.
///
/// The patient depends on the seed alone; the findings on the seed and the options. No finding occurs twice,
/// and no two findings share a place where one could hide the other.
///
/// The mapping is FROZEN: a seed and options name the same case in every version, so that a manifest may
/// list seeds instead of images. A test holds its digest.
pub fn sample_case(seed: u64, options: &CaseOptions) -> Case {
    let mut dice = Dice::new(seed, Purpose::Findings);
    let wanted = draw_count(&mut dice, &options.counts);
    let mut findings: Vec<FindingInstance> = Vec::new();
    if let Some(required) = options.require {
        findings.push(FindingInstance::sample(required, dice.seed()));
    }
    let mut pool: Vec<Finding> = options
        .findings
        .iter()
        .copied()
        .filter(|f| Some(*f) != options.require)
        .collect();
    while findings.len() < wanted && !pool.is_empty() {
        let finding = pool.swap_remove(dice.index(pool.len()));
        let instance = FindingInstance::sample(finding, dice.seed());
        if findings.iter().all(|other| !instance.collides(other)) {
            findings.push(instance);
        }
    }
    Case {
        seed,
        patient: Patient::sample(seed),
        findings,
    }
}

fn draw_count(dice: &mut Dice, counts: &[f32; 4]) -> usize {
    let mut left = dice.unit() * counts.iter().sum::<f32>();
    for (count, share) in counts.iter().enumerate() {
        left -= share;
        if left < 0.0 {
            return count;
        }
    }
    0
}
