//! The tone curve: attenuation to grey.

use crate::patient::Film;

/// A line through the middle greys that bends softly into black and white, as film and display do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tone {
    slope: f32,
    offset: f32,
    gamma: f32,
}

/// Attenuation that contrast leaves unchanged.
const PIVOT: f32 = 0.42;
/// How strongly the ends bend.
const BEND: f32 = 1.7;

impl Tone {
    pub fn new(film: &Film) -> Tone {
        let slope = BEND * film.contrast;
        Tone {
            slope,
            offset: slope * (film.exposure - PIVOT) + BEND * (PIVOT - 0.5),
            gamma: film.gamma,
        }
    }

    /// Grey level, 0 to 255, of an attenuation.
    #[inline(always)]
    pub fn grey(&self, attenuation: f32) -> f32 {
        let s = self.slope * attenuation + self.offset;
        let u = (0.5 + 0.70 * s / (1.0 + s * s).sqrt()).clamp(0.0, 1.0);
        255.0 * (u + self.gamma * u * (1.0 - u))
    }
}
