//! A patient's geometry in film coordinates, derived from the parameters once per rendering.
//!
//! Large organs are bounded by curves over rows (borders) and columns (domes), so a whole row is evaluated
//! with a few multiplications per pixel and a mask asks the very same functions. Thin structures are
//! strokes.

mod body;
mod curve;
mod heart;
mod lung;
mod mediastinum;
mod skeleton;
mod strokes;
mod vessels;

pub(crate) use body::{Abdomen, Body};
pub(crate) use curve::Curve;
pub(crate) use heart::Heart;
pub(crate) use lung::{Lung, LungDistances};
pub(crate) use mediastinum::Mediastinum;
pub(crate) use skeleton::{Clavicle, Skeleton};
pub(crate) use strokes::Strokes;
pub(crate) use vessels::Hilum;

use crate::concept::Side;
use crate::patient::Patient;

/// The patient's midline, which may lean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Midline {
    pub origin: f32,
    pub lean: f32,
}

impl Midline {
    /// x of the midline at height `y`.
    #[inline(always)]
    pub fn x(&self, y: f32) -> f32 {
        self.origin + self.lean * y
    }

    /// The film point at lateral distance `q` towards `side`.
    pub fn point(&self, side: Side, q: f32, y: f32) -> [f32; 2] {
        [self.x(y) + side.sign() * q, y]
    }
}

/// A value for the patient's left and right.
#[derive(Clone, Debug)]
pub(crate) struct Pair<T> {
    pub left: T,
    pub right: T,
}

impl<T> Pair<T> {
    pub fn new(make: impl Fn(Side) -> T) -> Self {
        Pair {
            left: make(Side::Left),
            right: make(Side::Right),
        }
    }

    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    pub fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}

/// Everything a ray can meet.
#[derive(Clone, Debug)]
pub(crate) struct Anatomy {
    pub midline: Midline,
    pub body: Body,
    pub abdomen: Abdomen,
    pub lungs: Pair<Lung>,
    pub heart: Heart,
    pub mediastinum: Mediastinum,
    pub hila: Pair<Hilum>,
    pub clavicles: Pair<Clavicle>,
    pub skeleton: Skeleton,
}

impl Anatomy {
    pub fn new(patient: &Patient) -> Anatomy {
        let midline = Midline {
            origin: patient.thorax.midline,
            lean: patient.thorax.lean,
        };
        let lungs = Pair::new(|side| Lung::new(side, patient, midline));
        let heart = Heart::new(patient, midline, patient.heart.ratio);
        let hila = Pair::new(|side| Hilum::new(side, patient, midline));
        Anatomy {
            body: Body::new(patient, midline),
            abdomen: Abdomen::new(patient, midline),
            mediastinum: Mediastinum::new(patient, midline),
            clavicles: Pair::new(|side| Clavicle::new(side, patient, midline)),
            skeleton: Skeleton::new(patient, midline, &lungs),
            midline,
            lungs,
            heart,
            hila,
        }
    }
}
