//! What a model's answers to the original and its counterfactuals prove.
//!
//! A sample is *grounded* if all of these hold (paper, section 3):
//!
//! 1. the answer about the original is correct: yes, as the finding is there;
//! 2. with the annotated region edited to show no finding, the answer is no: the region is necessary;
//! 3. with all but the region edited, to show no such finding and to show no abnormality at all, both answers stay yes:
//!    the region suffices.
//!
//! ```
//! use medfocus::{causal::gate::{Group, Role::*, group}, verdict::Parser};
//!
//! let says = |edited, kept, normal| {
//!     let answers = [(Edited, edited), (EditedKept, kept), (EditedKeptNormal, normal)];
//!     group(Parser::LastStandalone, "Yes.", answers)
//! };
//! assert_eq!(says("No.", "Yes.", "Yes."), Group::Grounded);
//! assert_eq!(says("Yes.", "Yes.", "Yes."), Group::Ungrounded);
//! assert_eq!(says("No.", "No.", "Yes."), Group::Ungrounded);
//! // An answer that says neither proves nothing.
//! assert_eq!(says("The heart is large.", "Yes.", "Yes."), Group::Ungrounded);
//! assert_eq!(group(Parser::LastStandalone, "No.", []), Group::Incorrect);
//! ```

use medfocus_plugin_api::protocol::editor::Side;
use serde::{Deserialize, Serialize};

use crate::verdict::{Parser, Verdict};

/// What an edited image is for; the names are those of MedGround-Bench's files and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The region without the finding.
    Edited,
    /// All but the region without the finding.
    EditedKept,
    /// All but the region without any abnormality.
    EditedKeptNormal,
    /// The region edited in the same way, but to show what it showed: an answer that changes here owes it to editing as
    /// such.
    Sham,
}

impl Role {
    /// All, in the order of the published keys, the sham last.
    pub const ALL: [Self; 4] = [
        Self::Edited,
        Self::EditedKept,
        Self::EditedKeptNormal,
        Self::Sham,
    ];

    /// Its name in files and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::EditedKept => "edited_kept",
            Self::EditedKeptNormal => "edited_kept_normal",
            Self::Sham => "sham",
        }
    }

    /// What it is, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Edited => "region without the finding",
            Self::EditedKept => "all else without the finding",
            Self::EditedKeptNormal => "all else normal",
            Self::Sham => "sham edit",
        }
    }

    /// Which side of the region is edited.
    pub const fn side(self) -> Side {
        match self {
            Self::Edited | Self::Sham => Side::Foreground,
            Self::EditedKept | Self::EditedKeptNormal => Side::Background,
        }
    }

    /// The answer that passes the gate; a sham edit is no gate.
    pub const fn wanted(self) -> Option<Verdict> {
        match self {
            Self::Edited => Some(Verdict::No),
            Self::EditedKept | Self::EditedKeptNormal => Some(Verdict::Yes),
            Self::Sham => None,
        }
    }
}

/// What is proven of a sample: the paper's groups G1, G2 and G3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// G1: the answer is wrong, or says neither yes nor no.
    Incorrect,
    /// G2: the answer is right, but the region is not proven to cause it.
    Ungrounded,
    /// G3: the region is proven to cause the answer.
    Grounded,
}

impl Group {
    /// All, in the paper's order.
    pub const ALL: [Self; 3] = [Self::Incorrect, Self::Ungrounded, Self::Grounded];

    /// Its name in tables.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Incorrect => "incorrect",
            Self::Ungrounded => "correct, ungrounded",
            Self::Grounded => "grounded",
        }
    }
}

/// The group of a sample with a finding, by the answer about the original and those about its counterfactuals. A gate
/// without an answer is not passed; shams do not matter.
pub fn group<'a>(
    parser: Parser,
    original: &str,
    answers: impl IntoIterator<Item = (Role, &'a str)>,
) -> Group {
    if !parser.says(original, Verdict::Yes) {
        return Group::Incorrect;
    }
    let mut gates = Role::ALL
        .iter()
        .filter(|role| role.wanted().is_some())
        .count();
    for (role, answer) in answers {
        if role
            .wanted()
            .is_some_and(|wanted| parser.says(answer, wanted))
        {
            gates -= 1;
        }
    }
    match gates {
        0 => Group::Grounded,
        _ => Group::Ungrounded,
    }
}
