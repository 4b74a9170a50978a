//! Per-pixel layers that strokes and findings paint into before the ray sums are formed.

use super::Grid;

/// Row-major `f32` images of one grid. All start at zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// Lung vessels.
    pub vessel: Vec<f32>,
    /// Bones behind: posterior ribs.
    pub bone_back: Vec<f32>,
    /// Bones in front: anterior ribs.
    pub bone_front: Vec<f32>,
    /// Shoulder girdle: clavicles, scapulae, humeri.
    pub girdle: Vec<f32>,
    /// Air in trachea, bronchi and stomach.
    pub gas: Vec<f32>,
    /// Share of the lung's air that a finding replaced; negative where it adds air.
    pub fill: Vec<f32>,
    /// Wires, devices and lead letters.
    pub metal: Vec<f32>,
    /// Attenuation added on top of everything: fluid, nodules, pleural lines; negative where there is none.
    pub extra: Vec<f32>,
}

impl Layers {
    /// Zeroes every layer for `grid`, keeping the allocations.
    pub fn reset(&mut self, grid: &Grid) {
        let n = grid.height * grid.width;
        for layer in [
            &mut self.vessel,
            &mut self.bone_back,
            &mut self.bone_front,
            &mut self.girdle,
            &mut self.gas,
            &mut self.fill,
            &mut self.metal,
            &mut self.extra,
        ] {
            layer.clear();
            layer.resize(n, 0.0);
        }
    }
    /// Replaces at least `share` of the lung's air in one pixel.
    pub fn replace_air(&mut self, index: usize, share: f32) {
        self.fill[index] = self.fill[index].max(share);
    }
}
