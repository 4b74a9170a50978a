//! From geometry to grey levels.

use ndarray::{Array2, ArrayViewMut2};

use crate::concept::Concept;
use crate::develop::{blur, develop};
use crate::findings::FindingInstance;
use crate::paint::paint_anatomy;
use crate::patient::Patient;
use crate::pixel_box::{Mask, PixelBox, tight_box};
use crate::raster::Layers;
use crate::rays::Rays;
use crate::scene::Scene;

/// A radiograph with the geometry it was made from. Masks are computed when asked for.
#[derive(Debug)]
pub struct Rendered {
    /// Grey levels, height x width; bone and soft tissue are bright.
    pub image: Array2<u8>,
    scene: Scene,
}

impl Rendered {
    /// The exact mask of an anatomical concept, height x width.
    pub fn concept_mask(&self, concept: Concept) -> Mask {
        self.scene.concept_mask(concept)
    }

    /// The tight box of a concept; `None` if it lies outside the film.
    pub fn concept_box(&self, concept: Concept) -> Option<PixelBox> {
        tight_box(&self.concept_mask(concept))
    }

    /// Number of findings rendered.
    pub fn findings(&self) -> usize {
        self.scene.lesions.len()
    }

    /// The mask of finding `index` (the order given to [`render`]): its geometric extent, as each variant of
    /// [`Finding`](crate::Finding) states. `None` if there is no such finding.
    pub fn finding_mask(&self, index: usize) -> Option<Mask> {
        let lesion = self.scene.lesions.get(index)?;
        Some(lesion.mask(&self.scene.anatomy, &self.scene.grid))
    }

    /// The tight box of finding `index`; `None` if there is no such finding.
    pub fn finding_box(&self, index: usize) -> Option<PixelBox> {
        tight_box(&self.finding_mask(index)?)
    }
}

/// Renders a patient with findings, `height` x `width` pixels. See [`Renderer`] for rendering many.
pub fn render(
    patient: &Patient,
    findings: &[FindingInstance],
    height: usize,
    width: usize,
) -> Rendered {
    Renderer::default().render(patient, findings, height, width)
}

/// Renders phantom after phantom, reusing its buffers.
#[derive(Debug, Default)]
pub struct Renderer {
    layers: Layers,
    rays: Rays,
    film: Vec<f32>,
    scratch: Vec<f32>,
}

impl Renderer {
    /// Renders a patient with findings, `height` x `width` pixels.
    pub fn render(
        &mut self,
        patient: &Patient,
        findings: &[FindingInstance],
        height: usize,
        width: usize,
    ) -> Rendered {
        let mut image = Array2::zeros((height, width));
        let scene = self.render_into(patient, findings, image.view_mut());
        Rendered { image, scene }
    }

    /// Renders into an existing image, whose shape decides the size.
    pub fn render_image(
        &mut self,
        patient: &Patient,
        findings: &[FindingInstance],
        image: ArrayViewMut2<u8>,
    ) {
        self.render_into(patient, findings, image);
    }

    fn render_into(
        &mut self,
        patient: &Patient,
        findings: &[FindingInstance],
        mut image: ArrayViewMut2<u8>,
    ) -> Scene {
        let (height, width) = image.dim();
        let scene = Scene::new(patient, findings, height, width);
        if image.is_empty() {
            return scene;
        }
        let (grid, anatomy) = (&scene.grid, &scene.anatomy);
        self.layers.reset(grid);
        paint_anatomy(anatomy, patient.film.marker, grid, &mut self.layers);
        for lesion in &scene.lesions {
            lesion.paint(anatomy, grid, &mut self.layers);
        }
        self.rays
            .sum(patient, anatomy, grid, &self.layers, &mut self.film);
        blur(&mut self.film, &mut self.scratch, grid, patient.film.blur);
        develop(&patient.film, grid, &self.film, &mut image);
        scene
    }
}
