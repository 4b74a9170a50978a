//! Abnormalities: what they are, where they may lie, how they change a phantom.

mod atelectasis;
mod cardiomegaly;
mod clavicle_fracture;
mod consolidation;
mod hiatal_hernia;
mod hilar_enlargement;
mod lung_nodule;
mod mediastinal_widening;
mod pacemaker;
mod pleural_effusion;
mod pneumothorax;
mod site;
mod sternotomy_wires;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::anatomy::Anatomy;
use crate::concept::{Concept, Side};
use crate::dice::{Dice, Purpose};
use crate::patient::Patient;
use crate::pixel_box::Mask;
use crate::raster::{Grid, Layers};

/// A kind of abnormality. Each variant states the geometric extent that its mask marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// An enlarged heart. Mask: the whole cardiac silhouette.
    Cardiomegaly,
    /// Fluid in the pleural space, with a meniscus. Mask: lung below the fluid's upper edge.
    PleuralEffusion,
    /// Air in the pleural space. Mask: lung between the chest wall and the outer edge of the pleural line.
    Pneumothorax,
    /// An ill-defined patch of airless lung. Mask: lung of which at least a twentieth is filled.
    Consolidation,
    /// A round opacity. Mask: its disc.
    LungNodule,
    /// An enlarged, lobulated lung root. Mask: the added lobules.
    HilarEnlargement,
    /// A wide upper mediastinum. Mask: its silhouette wherever either half is at least 0.003 film units wider.
    MediastinalWidening,
    /// A displaced fracture of the shaft. Mask: both displaced ends, and the bone's normal course there.
    ClavicleFracture,
    /// Plates of collapsed lung. Mask: the plates inside the lung.
    Atelectasis,
    /// A pulse generator with its leads. Mask: generator and leads.
    Pacemaker,
    /// Stomach above the diaphragm, behind the heart. Mask: its disc.
    HiatalHernia,
    /// Wire loops along the breastbone. Mask: the wires.
    SternotomyWires,
}

impl Finding {
    /// Every finding.
    pub const ALL: [Finding; 12] = [
        Finding::Cardiomegaly,
        Finding::PleuralEffusion,
        Finding::Pneumothorax,
        Finding::Consolidation,
        Finding::LungNodule,
        Finding::HilarEnlargement,
        Finding::MediastinalWidening,
        Finding::ClavicleFracture,
        Finding::Atelectasis,
        Finding::Pacemaker,
        Finding::HiatalHernia,
        Finding::SternotomyWires,
    ];

    /// The name used in questions, e.g. `"pleural effusion"`.
    pub fn name(self) -> &'static str {
        match self {
            Finding::Cardiomegaly => "cardiomegaly",
            Finding::PleuralEffusion => "pleural effusion",
            Finding::Pneumothorax => "pneumothorax",
            Finding::Consolidation => "consolidation",
            Finding::LungNodule => "lung nodule",
            Finding::HilarEnlargement => "hilar enlargement",
            Finding::MediastinalWidening => "mediastinal widening",
            Finding::ClavicleFracture => "clavicle fracture",
            Finding::Atelectasis => "atelectasis",
            Finding::Pacemaker => "pacemaker",
            Finding::HiatalHernia => "hiatal hernia",
            Finding::SternotomyWires => "sternotomy wires",
        }
    }

    /// The finding with that [`name`](Self::name), if there is one.
    pub fn from_name(name: &str) -> Option<Finding> {
        Self::ALL.into_iter().find(|finding| finding.name() == name)
    }

    /// Whether it occurs on one side of the body.
    pub fn is_lateral(self) -> bool {
        !matches!(
            self,
            Finding::Cardiomegaly
                | Finding::MediastinalWidening
                | Finding::HiatalHernia
                | Finding::SternotomyWires
        )
    }

    /// The concept it belongs to; `side` matters for lateral findings only.
    pub fn region(self, side: Side) -> Concept {
        match self {
            Finding::Cardiomegaly => Concept::CardiacSilhouette,
            Finding::PleuralEffusion => Concept::costophrenic_angle(side),
            Finding::HilarEnlargement => Concept::hilum(side),
            Finding::ClavicleFracture => Concept::clavicle(side),
            Finding::MediastinalWidening => Concept::UpperMediastinum,
            Finding::HiatalHernia | Finding::SternotomyWires => Concept::Mediastinum,
            Finding::Pneumothorax
            | Finding::Consolidation
            | Finding::LungNodule
            | Finding::Atelectasis
            | Finding::Pacemaker => Concept::lung(side),
        }
    }
}

/// One abnormality, placed relative to the anatomy, so that it can be put into any patient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingInstance {
    pub finding: Finding,
    /// The patient's side; `None` for midline findings.
    pub side: Option<Side>,
    /// The concept it belongs to.
    pub region: Concept,
    /// 0 the mildest, 1 the gravest; the mildest is still plainly visible.
    pub severity: f32,
    /// Where within the region: outwards and downwards, each 0 to 1.
    pub site: [f32; 2],
    /// Seed of the finer shape.
    pub seed: u64,
}

impl FindingInstance {
    /// Draws an instance: side, severity, site and shape. Frozen together with
    /// [`sample_case`](crate::sample_case).
    pub fn sample(finding: Finding, seed: u64) -> FindingInstance {
        let mut dice = Dice::new(seed, Purpose::Lesion);
        let side = if dice.chance(0.5) {
            Side::Left
        } else {
            Side::Right
        };
        FindingInstance {
            finding,
            side: finding.is_lateral().then_some(side),
            region: finding.region(side),
            severity: dice.unit(),
            site: [dice.unit(), dice.unit()],
            seed,
        }
    }

    /// The region for a sentence, e.g. `"left costophrenic angle"`.
    pub fn region_phrase(&self) -> &'static str {
        self.region.name()
    }

    /// Whether the two would hide or mimic one another in one patient.
    pub fn collides(&self, other: &FindingInstance) -> bool {
        self.finding == other.finding
            || self
                .places()
                .iter()
                .flatten()
                .any(|p| other.places().contains(&Some(*p)))
    }

    /// The places it takes up.
    fn places(&self) -> [Option<Place>; 2] {
        let side = self.lateral_side();
        match self.finding {
            Finding::Cardiomegaly | Finding::HiatalHernia => [Some(Place::Heart), None],
            Finding::PleuralEffusion
            | Finding::Pneumothorax
            | Finding::Consolidation
            | Finding::LungNodule => [Some(Place::Lung(side)), None],
            // Plates of the left base lie beside the heart as it normally is.
            Finding::Atelectasis => [
                Some(Place::Lung(side)),
                (side == Side::Left).then_some(Place::Heart),
            ],
            Finding::Pacemaker => [Some(Place::Lung(side)), Some(Place::Clavicle(side))],
            Finding::ClavicleFracture => [Some(Place::Clavicle(side)), None],
            Finding::HilarEnlargement => [Some(Place::Hilum(side)), None],
            Finding::MediastinalWidening => [Some(Place::UpperMediastinum), None],
            Finding::SternotomyWires => [Some(Place::Midline), None],
        }
    }

    /// The side, or left for midline findings, which do not use it.
    fn lateral_side(&self) -> Side {
        self.side.unwrap_or(Side::Left)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Heart,
    Lung(Side),
    Hilum(Side),
    Clavicle(Side),
    UpperMediastinum,
    Midline,
}

/// A finding placed in one patient: how it changes the anatomy or the layers, and what it covers.
pub(crate) trait Lesion: Debug + Send + Sync {
    /// Changes the shape of organs, before anything is painted.
    fn alter(&self, _anatomy: &mut Anatomy) {}

    /// Paints over the anatomy's layers.
    fn paint(&self, _anatomy: &Anatomy, _grid: &Grid, _layers: &mut Layers) {}

    /// Its extent in the altered anatomy.
    fn mask(&self, anatomy: &Anatomy, grid: &Grid) -> Mask;
}

/// Places an instance in a patient's unaltered anatomy.
pub(crate) fn lesion(
    instance: &FindingInstance,
    patient: &Patient,
    anatomy: &Anatomy,
) -> Box<dyn Lesion> {
    match instance.finding {
        Finding::Cardiomegaly => Box::new(cardiomegaly::Enlarged::new(instance, patient, anatomy)),
        Finding::PleuralEffusion => Box::new(pleural_effusion::Effusion::new(instance, anatomy)),
        Finding::Pneumothorax => Box::new(pneumothorax::Pneumothorax::new(instance)),
        Finding::Consolidation => Box::new(consolidation::Patch::new(instance, patient, anatomy)),
        Finding::LungNodule => Box::new(lung_nodule::Nodule::new(instance, patient, anatomy)),
        Finding::HilarEnlargement => Box::new(hilar_enlargement::Lobules::new(instance, anatomy)),
        Finding::MediastinalWidening => {
            Box::new(mediastinal_widening::Widening::new(instance, patient))
        }
        Finding::ClavicleFracture => Box::new(clavicle_fracture::Fracture::new(instance, anatomy)),
        Finding::Atelectasis => Box::new(atelectasis::Plates::new(instance, patient, anatomy)),
        Finding::Pacemaker => Box::new(pacemaker::Pacemaker::new(instance, anatomy)),
        Finding::HiatalHernia => Box::new(hiatal_hernia::Hernia::new(instance, anatomy)),
        Finding::SternotomyWires => Box::new(sternotomy_wires::Wires::new(instance, anatomy)),
    }
}

/// Largest cardiothoracic ratio of cardiomegaly; lesions of the lung stay clear of such a heart.
const LARGEST_HEART: f32 = 0.66;
