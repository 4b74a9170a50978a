//! Cardiomegaly: a cardiothoracic ratio of 0.58 to 0.66.

use super::{FindingInstance, LARGEST_HEART, Lesion};
use crate::anatomy::{Anatomy, Heart};
use crate::patient::Patient;
use crate::pixel_box::Mask;
use crate::raster::{Grid, lerp};
use crate::scene::heart_mask;

#[derive(Debug)]
pub(super) struct Enlarged {
    heart: Heart,
}

impl Enlarged {
    pub fn new(instance: &FindingInstance, patient: &Patient, anatomy: &Anatomy) -> Self {
        let ratio = lerp(0.58, LARGEST_HEART, instance.severity);
        Enlarged {
            heart: Heart::new(patient, anatomy.midline, ratio),
        }
    }
}

impl Lesion for Enlarged {
    fn alter(&self, anatomy: &mut Anatomy) {
        anatomy.heart = self.heart.clone();
    }

    fn mask(&self, _: &Anatomy, grid: &Grid) -> Mask {
        heart_mask(grid, &self.heart)
    }
}
