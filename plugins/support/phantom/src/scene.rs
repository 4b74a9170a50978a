//! One patient with findings on one pixel grid: geometry only, from which masks follow.

use crate::anatomy::{Anatomy, Heart};
use crate::concept::{Concept, Side};
use crate::findings::{FindingInstance, Lesion, lesion};
use crate::lung_field::lung_mask;
use crate::patient::Patient;
use crate::pixel_box::Mask;
use crate::raster::{Grid, cover, cover_ellipse};

#[derive(Debug)]
pub(crate) struct Scene {
    pub grid: Grid,
    /// The anatomy as the findings left it.
    pub anatomy: Anatomy,
    pub lesions: Vec<Box<dyn Lesion>>,
}

impl Scene {
    pub fn new(
        patient: &Patient,
        findings: &[FindingInstance],
        height: usize,
        width: usize,
    ) -> Scene {
        let mut anatomy = Anatomy::new(patient);
        // Every lesion is placed in the unaltered anatomy: removing one must not move another.
        let lesions: Vec<_> = findings
            .iter()
            .map(|finding| lesion(finding, patient, &anatomy))
            .collect();
        for lesion in &lesions {
            lesion.alter(&mut anatomy);
        }
        Scene {
            grid: Grid::new(height, width),
            anatomy,
            lesions,
        }
    }

    pub fn concept_mask(&self, concept: Concept) -> Mask {
        match concept {
            Concept::CardiacSilhouette => heart_mask(&self.grid, &self.anatomy.heart),
            Concept::LeftLung => self.lung(Side::Left),
            Concept::RightLung => self.lung(Side::Right),
            Concept::Mediastinum => self.mediastinum(),
            Concept::UpperMediastinum => self.upper_mediastinum(),
            Concept::LeftClavicle => self.clavicle(Side::Left),
            Concept::RightClavicle => self.clavicle(Side::Right),
            Concept::LeftHilarStructures => self.hilum(Side::Left),
            Concept::RightHilarStructures => self.hilum(Side::Right),
            Concept::LeftCostophrenicAngle => self.costophrenic_angle(Side::Left),
            Concept::RightCostophrenicAngle => self.costophrenic_angle(Side::Right),
        }
    }

    /// The aerated field as outlined on a film: what heart and mediastinum leave visible of the lung.
    fn lung(&self, side: Side) -> Mask {
        lung_mask(&self.grid, &self.anatomy, side, |pixel| pixel.outlined)
    }

    /// From the thoracic inlet to the diaphragm, heart included.
    fn mediastinum(&self) -> Mask {
        let (mediastinum, heart) = (&self.anatomy.mediastinum, &self.anatomy.heart);
        let bottom = heart.bottom;
        row_mask(&self.grid, |y| {
            let row = (mediastinum.inlet..=bottom)
                .contains(&y)
                .then(|| mediastinum.row(y))?;
            let heart = heart.row(y);
            Some(move |x: f32| {
                row.distance(x) >= 0.0 || heart.is_some_and(|h| h.distance(x) >= 0.0)
            })
        })
    }

    /// From the thoracic inlet to the level of the carina.
    fn upper_mediastinum(&self) -> Mask {
        let mediastinum = &self.anatomy.mediastinum;
        row_mask(&self.grid, |y| {
            let row = (mediastinum.inlet..=mediastinum.carina)
                .contains(&y)
                .then(|| mediastinum.row(y))?;
            Some(move |x: f32| row.distance(x) >= 0.0)
        })
    }

    fn clavicle(&self, side: Side) -> Mask {
        let mut mask = self.grid.empty_mask();
        for piece in self.anatomy.clavicles.of(side).pieces() {
            cover(&mut mask, &self.grid, piece);
        }
        mask
    }

    /// An upright ellipse around the lung root.
    fn hilum(&self, side: Side) -> Mask {
        let hilum = self.anatomy.hila.of(side);
        let mut mask = self.grid.empty_mask();
        cover_ellipse(&mut mask, &self.grid, hilum.centre, hilum.extent());
        mask
    }

    /// The lung within [`ANGLE_RADIUS`] of its lowest lateral point.
    fn costophrenic_angle(&self, side: Side) -> Mask {
        let [cx, cy] = self.anatomy.lungs.of(side).angle();
        let mut mask = self.lung(side);
        for ((row, column), set) in mask.indexed_iter_mut() {
            let (dx, dy) = (self.grid.xs[column] - cx, self.grid.ys[row] - cy);
            *set &= dx * dx + dy * dy <= ANGLE_RADIUS * ANGLE_RADIUS;
        }
        mask
    }
}

/// Reach of the costophrenic angle from its tip, in film units.
const ANGLE_RADIUS: f32 = 0.24;

/// Pixels between a heart's borders.
pub(crate) fn heart_mask(grid: &Grid, heart: &Heart) -> Mask {
    row_mask(grid, |y| {
        let row = heart.row(y)?;
        Some(move |x: f32| row.distance(x) >= 0.0)
    })
}

/// A mask whose rows are either empty or given by a test over x.
pub(crate) fn row_mask<F: Fn(f32) -> bool>(grid: &Grid, row: impl Fn(f32) -> Option<F>) -> Mask {
    let mut mask = grid.empty_mask();
    for (mut pixels, &y) in mask.outer_iter_mut().zip(&grid.ys) {
        let Some(inside) = row(y) else { continue };
        for (pixel, &x) in pixels.iter_mut().zip(&grid.xs) {
            *pixel = inside(x);
        }
    }
    mask
}
