//! Values to gray levels: luma of colours, and the stretch from minimum and maximum.

/// The finite extremes of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    min: f64,
    max: f64,
}

impl Range {
    /// The range of the finite `values`, if there are any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        values
            .into_iter()
            .filter(|value| value.is_finite())
            .map(|value| Self {
                min: value,
                max: value,
            })
            .reduce(|a, b| Self {
                min: a.min.min(b.min),
                max: a.max.max(b.max),
            })
    }

    pub fn is_constant(self) -> bool {
        self.min >= self.max
    }

    /// Where `value` lies, 0 at the minimum and 255 at the maximum; all of a constant image is 0.
    pub fn level(self, value: f64) -> f64 {
        if self.is_constant() {
            0.0
        } else if value >= self.max {
            255.0
        } else {
            // Multiplied first: integers then give an exact product and a correctly rounded level.
            (value - self.min) * 255.0 / (self.max - self.min)
        }
    }
}

/// Weights of red, green and blue in 16-bit fixed point (ITU-R BT.601), as Pillow has them.
const LUMA: [u32; 3] = [19595, 38470, 7471];

/// The luma of an 8-bit pixel of 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha) channels.
pub(super) fn luma8(pixel: &[u8]) -> u8 {
    match *pixel {
        [red, green, blue] | [red, green, blue, _] => {
            let [r, g, b] = LUMA;
            let sum = u32::from(red) * r + u32::from(green) * g + u32::from(blue) * b;
            ((sum + 0x8000) >> 16) as u8
        }
        _ => pixel.first().copied().unwrap_or(0),
    }
}

/// As [`luma8`], for wider samples.
pub(super) fn luma_wide<T: Copy + Into<f64>>(pixel: &[T]) -> f64 {
    match *pixel {
        [red, green, blue] | [red, green, blue, _] => {
            let sum: f64 = [red, green, blue]
                .into_iter()
                .zip(LUMA)
                .map(|(value, weight)| value.into() * f64::from(weight))
                .sum();
            sum / 65536.0
        }
        _ => pixel.first().map_or(0.0, |&value| value.into()),
    }
}
