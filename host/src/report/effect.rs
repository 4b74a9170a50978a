//! What a change does: a method beside the one it is compared with, sample by sample.

use medfocus_plugin_api::Result;

use super::{
    measure::Measure,
    scores::{MethodResults, corrected},
};
use crate::{
    experiment::plan::PlannedMethod,
    metrics::{F1, IOU, Metric},
    statistics::{Bootstrap, Comparison},
};

/// How the differences are to be read.
pub const READING: &str = "Each method less the one it is compared with, on the samples that both scored, in percent, with \
                           95 % bootstrap intervals and p values after Holm's correction for the number of methods compared. \
                           It differs if the interval of IoU leaves out zero and p is below 0.05; it may differ if only the \
                           interval does. A difference that is not seen may still be there: the interval says how large.";

/// A method less the one it is compared with, on the samples that both scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The other method.
    pub reference: String,
    /// The difference of IoU, in percent, its p value corrected for the number of methods compared in the group.
    pub iou: Comparison,
    /// The same of F1.
    pub f1: Comparison,
    /// Samples whose IoU is another.
    pub changed: usize,
}

/// What an effect shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval leaves out zero, and so many comparisons do not explain it.
    Differs,
    /// The interval leaves out zero, but among so many comparisons one may by chance.
    MayDiffer,
    /// The interval holds zero.
    NotSeen,
    /// No sample's IoU is another.
    Same,
    /// There is no interval.
    Open,
}

impl Effect {
    /// What it shows, by IoU.
    pub fn verdict(&self) -> Verdict {
        let difference = &self.iou.difference;
        let (Some(low), Some(high), Some(p)) = (difference.low, difference.high, self.iou.p) else {
            return Verdict::Open;
        };
        match self.changed {
            0 => Verdict::Same,
            _ if low <= 0.0 && high >= 0.0 => Verdict::NotSeen,
            _ if p < 0.05 => Verdict::Differs,
            _ => Verdict::MayDiffer,
        }
    }
}

impl Verdict {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::MayDiffer => "may differ",
            Self::NotSeen => "no difference seen",
            Self::Same => "same results",
            Self::Open => "too few samples",
        }
    }
}

/// The effect of each method; `results` and `references`, the places of what they are compared with, stand in their
/// order.
///
/// # Errors
///
/// The disk fails.
pub fn effects(
    methods: &[&PlannedMethod],
    results: &[MethodResults<'_>],
    references: &[Option<usize>],
    measures: &[Measure],
    bootstrap: Bootstrap,
) -> Result<Vec<Option<Effect>>> {
    let compared = |metric: Metric| {
        let measure = measures.iter().position(|m| m.metric.name == metric.name);
        let all = results.iter().zip(references).map(|(ours, other)| {
            let (Some(other), Some(measure)) = (other, measure) else {
                return Ok(None);
            };
            Ok(bootstrap.compare(ours.pairs(&results[*other], measure)?))
        });
        all.collect::<Result<_>>().map(corrected)
    };
    let (ious, f1s) = (compared(IOU)?, compared(F1)?);
    let effects = ious.into_iter().zip(f1s).enumerate();
    effects
        .map(|(at, compared)| {
            let (Some(other), (Some(iou), Some(f1))) = (references[at], compared) else {
                return Ok(None);
            };
            let pairs = results[at].pairs(&results[other], 0)?;
            Ok(Some(Effect {
                reference: methods[other].name.clone(),
                iou,
                f1,
                changed: pairs.filter(|(_, ours, theirs)| ours != theirs).count(),
            }))
        })
        .collect()
}
