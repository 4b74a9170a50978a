//! Whether the regions found in an image can be relied on.

use crate::localise::Match;

/// Images less like every reference are doubted. Frontal chests reach 0.74 against references of their own kind and of
/// another (real ones against phantoms), however ill, displaced or exposed; hips, hands, noise, chests on their side,
/// upside down or inverted, and halves of chests stay below 0.67.
const ALIKE: f64 = 0.7;

/// How like the most similar of these references an image is, once they are aligned: the highest
/// [`Alignment::likeness`](crate::Alignment::likeness).
pub fn likeness(ranking: &[Match]) -> f64 {
    ranking
        .iter()
        .fold(-1.0, |best, next| best.max(next.alignment.likeness))
}

/// Why the regions found in an image of this likeness cannot be relied on; nothing if they can.
pub fn doubt(likeness: f64) -> Option<String> {
    (likeness < ALIKE).then(|| {
        format!(
            "unreliable: the image looks like no reference (correlation {likeness:.2} at best after alignment, a frontal chest reaches {ALIKE})"
        )
    })
}
