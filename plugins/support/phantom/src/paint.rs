//! Strokes of the anatomy, before any finding paints.

use crate::anatomy::Anatomy;
use crate::concept::Side;
use crate::raster::{Grid, Knot, Layers, Profile, bulge, ellipse, smooth, stroke};

/// Paints bones, vessels, bronchi, stomach gas and the side marker.
pub(crate) fn paint_anatomy(anatomy: &Anatomy, marker: bool, grid: &Grid, layers: &mut Layers) {
    let skeleton = &anatomy.skeleton;
    for rib in skeleton.posterior_ribs.iter() {
        stroke(&mut layers.bone_back, grid, rib, 1.0, Profile::Bone);
    }
    for rib in skeleton.anterior_ribs.iter() {
        stroke(&mut layers.bone_front, grid, rib, 0.75, Profile::Bone);
    }
    for bone in skeleton.shoulders.iter() {
        stroke(
            &mut layers.girdle,
            grid,
            bone,
            skeleton.shoulder_density,
            Profile::Bone,
        );
    }
    for side in Side::BOTH {
        for piece in anatomy.clavicles.of(side).pieces() {
            stroke(&mut layers.girdle, grid, piece, 2.8, Profile::Bone);
        }
        let hilum = anatomy.hila.of(side);
        for vessel in hilum.vessels.iter() {
            stroke(&mut layers.vessel, grid, vessel, 1.0, Profile::Rod);
        }
        stroke(&mut layers.gas, grid, &hilum.bronchus, 0.6, Profile::Rod);
        // Vessels too fine to draw blur into a haze around the root.
        ellipse(grid, hilum.centre, [0.26, 0.36], |index, _, _, q| {
            layers.extra[index] += 0.07 * q * q
        });
    }
    if let Some((centre, axes)) = anatomy.abdomen.bubble {
        ellipse(grid, centre, axes, |index, _, y, q| {
            // The upright patient's stomach: gas above a fluid level.
            let above = smooth((centre[1] + 0.25 * axes[1] - y) * (1.0 / 0.02));
            layers.gas[index] += 2.2 * bulge(1.8 * q) * above;
        });
    }
    if marker {
        paint_marker(grid, layers);
    }
}

/// The radiographer's lead letter L beside the patient's left shoulder.
fn paint_marker(grid: &Grid, layers: &mut Layers) {
    let at = |x: f32, y: f32| Knot { x, y, r: 0.013 };
    stroke(
        &mut layers.metal,
        grid,
        &[at(0.86, -0.90), at(0.86, -0.80), at(0.91, -0.80)],
        0.8,
        Profile::Plate,
    );
}
