//! The eleven anatomical concepts, under their Chest ImaGenome names.

use medfocus_plugin_api::CONCEPTS;
use serde::{Deserialize, Serialize};

/// A side of the PATIENT: the left side is seen on the right of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Left,
    Right,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::Left, Side::Right];

    /// `"left"` or `"right"`.
    pub fn name(self) -> &'static str {
        match self {
            Side::Left => "left",
            Side::Right => "right",
        }
    }

    /// The other side.
    pub fn opposite(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    /// Direction along the image's x axis: +1 for the patient's left.
    pub(crate) fn sign(self) -> f32 {
        match self {
            Side::Left => 1.0,
            Side::Right => -1.0,
        }
    }
}

/// An anatomical region whose exact mask every phantom knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concept {
    CardiacSilhouette,
    LeftLung,
    RightLung,
    Mediastinum,
    UpperMediastinum,
    LeftClavicle,
    RightClavicle,
    LeftHilarStructures,
    RightHilarStructures,
    LeftCostophrenicAngle,
    RightCostophrenicAngle,
}

impl Concept {
    /// Every concept, in the order of the vocabulary.
    pub const ALL: [Concept; 11] = [
        Concept::CardiacSilhouette,
        Concept::LeftLung,
        Concept::RightLung,
        Concept::Mediastinum,
        Concept::UpperMediastinum,
        Concept::LeftClavicle,
        Concept::RightClavicle,
        Concept::LeftHilarStructures,
        Concept::RightHilarStructures,
        Concept::LeftCostophrenicAngle,
        Concept::RightCostophrenicAngle,
    ];

    /// The Chest ImaGenome name, e.g. `"left hilar structures"`.
    pub fn name(self) -> &'static str {
        CONCEPTS[self as usize]
    }

    /// The concept with that [`name`](Self::name), if there is one.
    pub fn from_name(name: &str) -> Option<Concept> {
        Self::ALL.into_iter().find(|concept| concept.name() == name)
    }

    /// The side of a paired concept; `None` for midline structures.
    pub fn side(self) -> Option<Side> {
        match self {
            Concept::CardiacSilhouette | Concept::Mediastinum | Concept::UpperMediastinum => None,
            Concept::LeftLung
            | Concept::LeftClavicle
            | Concept::LeftHilarStructures
            | Concept::LeftCostophrenicAngle => Some(Side::Left),
            Concept::RightLung
            | Concept::RightClavicle
            | Concept::RightHilarStructures
            | Concept::RightCostophrenicAngle => Some(Side::Right),
        }
    }

    pub(crate) fn lung(side: Side) -> Concept {
        match side {
            Side::Left => Concept::LeftLung,
            Side::Right => Concept::RightLung,
        }
    }

    pub(crate) fn clavicle(side: Side) -> Concept {
        match side {
            Side::Left => Concept::LeftClavicle,
            Side::Right => Concept::RightClavicle,
        }
    }

    pub(crate) fn hilum(side: Side) -> Concept {
        match side {
            Side::Left => Concept::LeftHilarStructures,
            Side::Right => Concept::RightHilarStructures,
        }
    }

    pub(crate) fn costophrenic_angle(side: Side) -> Concept {
        match side {
            Side::Left => Concept::LeftCostophrenicAngle,
            Side::Right => Concept::RightCostophrenicAngle,
        }
    }
}
