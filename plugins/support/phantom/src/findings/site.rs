//! Placing lesions inside the lung that stays visible whatever else the patient has.

use super::LARGEST_HEART;
use crate::anatomy::{Anatomy, Heart};
use crate::concept::Side;
use crate::patient::Patient;
use crate::raster::lerp;

/// The free range of lateral distances at height `y`: clear of the lung root and of `heart` by
/// `margin`, and of the ribs' inner edge by `margin`. `None` where there is no room.
pub(super) fn free_span(
    anatomy: &Anatomy,
    patient: &Patient,
    side: Side,
    y: f32,
    heart: &Heart,
    margin: f32,
) -> Option<[f32; 2]> {
    let [lateral, medial] = anatomy.lungs.of(side).borders(y)?;
    let (right, left) = heart.half_widths(y);
    let heart = if side == Side::Left { left } else { right };
    let low = medial.0.max(heart).max(0.22 * patient.thorax.half_width) + margin;
    let high = lateral.0 - margin;
    (high > low).then_some([low, high])
}

/// A film point in the free lung: `site` runs outwards and downwards, `heights` limits the share of the
/// lung's height used.
pub(super) fn free_point(
    anatomy: &Anatomy,
    patient: &Patient,
    side: Side,
    site: [f32; 2],
    heights: [f32; 2],
    margin: f32,
) -> [f32; 2] {
    let lung = anatomy.lungs.of(side);
    let heart = Heart::new(patient, anatomy.midline, LARGEST_HEART);
    let floor = lung.dome.peak[1] - margin;
    let mut y = lerp(
        lerp(lung.apex, floor, heights[0]),
        lerp(lung.apex, floor, heights[1]),
        site[1],
    );
    // The lower left lung may be narrower than the lesion beside a large heart: rise until it fits.
    loop {
        if let Some([low, high]) = free_span(anatomy, patient, side, y, &heart, margin) {
            return anatomy.midline.point(side, lerp(low, high, site[0]), y);
        }
        if y < lung.apex + margin {
            let middle = 0.55 * patient.thorax.half_width;
            return anatomy
                .midline
                .point(side, middle, 0.5 * (lung.apex + floor));
        }
        y -= 0.02;
    }
}
