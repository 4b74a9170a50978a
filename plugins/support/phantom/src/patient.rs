//! The parameters of one patient and of the exposure, all drawn from one seed.
//!
//! Lengths are in film units (half of the image's shorter side), y down. `q` is the lateral distance from
//! the patient's midline. Normal ranges keep a margin from what a finding would make of them: see
//! [`Heart::ratio`], [`Mediastinum::half_width`] and [`Hila::size`].

use serde::{Deserialize, Serialize};

use crate::dice::{Dice, Purpose};

/// Everything that is drawn about a patient and the exposure, independent of findings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patient {
    /// The seed all parameters came from.
    pub seed: u64,
    pub habitus: Habitus,
    pub thorax: Thorax,
    pub heart: Heart,
    pub mediastinum: Mediastinum,
    pub hila: Hila,
    pub skeleton: Skeleton,
    pub abdomen: Abdomen,
    pub film: Film,
}

/// Soft tissue around the thorax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Habitus {
    /// Chest wall lateral to the ribs.
    pub wall: f32,
    /// Attenuation of the chest wall, relative to an average build.
    pub thickness: f32,
    /// Half width of the neck.
    pub neck: f32,
    /// Height of the shoulder line at the neck.
    pub shoulder: f32,
    /// Extra width of the arms beside the chest; 0 when they are abducted out of the film.
    pub arms: f32,
    /// Strength of the breast shadows; 0 for none.
    pub breast: f32,
    /// Radius of the breast shadows.
    pub breast_radius: f32,
}

/// The lungs and the diaphragm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thorax {
    /// x of the midline at y = 0.
    pub midline: f32,
    /// Shift of the midline per unit of y: the patient leans.
    pub lean: f32,
    /// Rotation about the long axis: widens one hemithorax at the cost of the other.
    pub rotation: f32,
    /// Greatest half width of the thoracic cage, inside the ribs.
    pub half_width: f32,
    /// y of the lung apices.
    pub apex: f32,
    /// y of the costophrenic angles.
    pub base: f32,
    /// Roundness of the upper lateral border: 0 conical, 1 barrel.
    pub barrel: f32,
    /// Height of the right and of the left dome above the costophrenic angles.
    pub right_dome: f32,
    pub left_dome: f32,
    /// Air content: the darkness of the lungs.
    pub aeration: f32,
    /// Calibre of the lung vessels, relative to normal.
    pub vessels: f32,
}

/// The cardiac silhouette.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heart {
    /// Cardiothoracic ratio: width of the heart over the inner width of the thorax. Normal hearts span
    /// 0.41 to 0.49; cardiomegaly makes it 0.58 to 0.66.
    pub ratio: f32,
    /// Share of the width that lies left of the midline.
    pub left_share: f32,
    /// y of the top of the silhouette, relative to the middle of the lungs.
    pub top: f32,
    /// Rounding of the left border: 0 straight, 1 bulging.
    pub rounding: f32,
}

/// The vessels and soft tissue between the lungs, above the heart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mediastinum {
    /// Half width of the upper mediastinum. Normal: 0.10 to 0.14; widening makes it 0.22 to 0.30.
    pub half_width: f32,
    /// Prominence of the aortic knob.
    pub knob: f32,
    /// y of the aortic knob.
    pub knob_height: f32,
    /// Half width of the trachea.
    pub trachea: f32,
}

/// The lung roots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hila {
    /// Radius of a normal hilum, 0.045 to 0.065; enlargement makes it more than 0.11.
    pub size: f32,
    /// y of the right hilum; the left one lies `left_rise` higher.
    pub height: f32,
    pub left_rise: f32,
    /// Seed of the vascular tree.
    pub vessel_seed: u64,
}

/// Bones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skeleton {
    /// Bone density, relative to normal.
    pub density: f32,
    /// Distance between ribs at the spine.
    pub rib_spacing: f32,
    /// Downward slope of the ribs: drop from spine to lateral wall.
    pub rib_slope: f32,
    /// Half thickness of a rib.
    pub rib_radius: f32,
    /// y of the first rib at the spine, relative to the apex.
    pub rib_start: f32,
    /// Rise of the clavicles from the sternal to the acromial end.
    pub clavicle_rise: f32,
    /// y of the sternal ends, relative to the apex.
    pub clavicle_drop: f32,
    /// Half thickness of a clavicle.
    pub clavicle_radius: f32,
    /// Lateral distance of the medial scapular borders, as a share of the thorax.
    pub scapula: f32,
    /// Visibility of the scapulae.
    pub scapula_density: f32,
    /// Half width of the vertebral bodies.
    pub spine: f32,
    /// Sideways bow of the spine.
    pub scoliosis: f32,
    /// Height of a vertebra with its disc.
    pub vertebra: f32,
}

/// What lies below the diaphragm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Abdomen {
    pub density: f32,
    /// Half axes of the gastric bubble; zero for none.
    pub bubble: [f32; 2],
    /// Lateral position of the bubble as a share of the thorax.
    pub bubble_q: f32,
}

/// Exposure, processing and framing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Film {
    /// Added to the attenuation: over- or underexposure.
    pub exposure: f32,
    /// Slope of the tone curve.
    pub contrast: f32,
    /// Bend of the tone curve; positive brightens the middle greys.
    pub gamma: f32,
    /// Standard deviation of the grain, in grey levels.
    pub noise: f32,
    /// Weight of the neighbours in the point spread, at 224 pixels.
    pub blur: f32,
    /// Amplitude of the soft lung texture.
    pub texture: f32,
    /// Unexposed margins (left, right, top, bottom) in film units.
    pub margins: [f32; 4],
    /// Whether a lead side marker stands beside the left shoulder.
    pub marker: bool,
    /// Seed of grain and texture.
    pub noise_seed: u64,
}

impl Patient {
    /// Draws a patient. The mapping is frozen together with [`sample_case`](crate::sample_case).
    pub fn sample(seed: u64) -> Patient {
        let mut dice = Dice::new(seed, Purpose::Anatomy);
        let d = &mut dice;
        let build = d.bell();
        let habitus = Habitus {
            wall: 0.10 + 0.05 * build + d.range(0.0, 0.03),
            thickness: 1.0 + 0.10 * build + d.range(-0.03, 0.03),
            neck: d.bell_range(0.22, 0.32),
            shoulder: d.bell_range(-0.92, -0.78),
            arms: if d.chance(0.5) {
                d.range(0.05, 0.25)
            } else {
                0.0
            },
            breast: if d.chance(0.5) {
                d.range(0.3, 1.0)
            } else {
                0.0
            },
            breast_radius: d.bell_range(0.28, 0.38),
        };
        let right_dome = d.bell_range(0.24, 0.38);
        let thorax = Thorax {
            midline: d.bell_range(-0.06, 0.06),
            lean: d.bell_range(-0.05, 0.05),
            rotation: d.bell_range(-0.05, 0.05),
            half_width: d.bell_range(0.68, 0.88),
            apex: d.bell_range(-0.80, -0.64),
            base: d.bell_range(0.52, 0.70),
            barrel: d.unit(),
            right_dome,
            left_dome: right_dome - d.range(0.02, 0.09),
            aeration: d.bell_range(0.88, 1.12),
            vessels: d.bell_range(0.8, 1.2),
        };
        let heart = Heart {
            ratio: d.bell_range(0.41, 0.49),
            left_share: d.bell_range(0.62, 0.70),
            top: d.bell_range(-0.02, 0.05),
            rounding: d.unit(),
        };
        let mediastinum = Mediastinum {
            half_width: d.bell_range(0.10, 0.14),
            knob: d.bell_range(0.03, 0.08),
            knob_height: d.bell_range(0.26, 0.34),
            trachea: d.bell_range(0.032, 0.044),
        };
        let hila = Hila {
            size: d.bell_range(0.045, 0.065),
            height: d.bell_range(-0.03, 0.03),
            left_rise: d.range(0.01, 0.05),
            vessel_seed: d.seed(),
        };
        let skeleton = Skeleton {
            density: d.bell_range(0.75, 1.25),
            rib_spacing: d.bell_range(0.118, 0.14),
            rib_slope: d.bell_range(0.08, 0.28),
            rib_radius: d.bell_range(0.024, 0.031),
            rib_start: d.bell_range(-0.02, 0.06),
            clavicle_rise: d.bell_range(0.0, 0.22),
            clavicle_drop: d.bell_range(0.10, 0.22),
            clavicle_radius: d.bell_range(0.024, 0.032),
            scapula: d.bell_range(0.85, 1.05),
            scapula_density: d.range(0.4, 1.0),
            spine: d.bell_range(0.075, 0.095),
            scoliosis: d.bell_range(-0.03, 0.03),
            vertebra: d.bell_range(0.115, 0.135),
        };
        let abdomen = Abdomen {
            density: d.bell_range(0.9, 1.1),
            bubble: if d.chance(0.7) {
                [d.range(0.06, 0.16), d.range(0.03, 0.08)]
            } else {
                [0.0, 0.0]
            },
            bubble_q: d.range(0.35, 0.60),
        };
        Patient {
            seed,
            habitus,
            thorax,
            heart,
            mediastinum,
            hila,
            skeleton,
            abdomen,
            film: Film::sample(seed),
        }
    }
}

impl Film {
    fn sample(seed: u64) -> Film {
        let mut dice = Dice::new(seed, Purpose::Film);
        let d = &mut dice;
        Film {
            exposure: d.bell_range(-0.07, 0.07),
            contrast: d.bell_range(0.78, 1.12),
            gamma: d.bell_range(-0.20, 0.40),
            noise: d.range(1.0, 4.0),
            blur: d.range(0.04, 0.16),
            texture: d.range(0.6, 1.4),
            margins: [0; 4].map(|_| {
                if d.chance(0.15) {
                    d.range(0.01, 0.06)
                } else {
                    0.0
                }
            }),
            marker: d.chance(0.6),
            noise_seed: d.seed(),
        }
    }
}
