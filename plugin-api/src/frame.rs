//! Boxes that carry their frame in their type, and the one conversion between frames.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::error::{Error, Result};

/// Side of the square working image in pixels (methods: "working image").
pub const WORKING_SIDE: u32 = 224;

/// A coordinate frame.
pub trait Frame: Copy + fmt::Debug + PartialEq + Eq + Send + Sync + 'static {
    /// Name on the wire and in results.
    const NAME: &'static str;
}

/// Pixels of the image as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Native;

/// Pixels of the letterboxed working image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Working;

impl Frame for Native {
    const NAME: &'static str = "native";
}
impl Frame for Working {
    const NAME: &'static str = "working";
}

/// A half-open pixel box `[x1, x2) x [y1, y2)`, never empty; x runs right, y down.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BBox<F> {
    x1: u32,
    y1: u32,
    x2: u32,
    y2: u32,
    frame: PhantomData<F>,
}

impl<F: Frame> BBox<F> {
    /// A box from its corners.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] unless `x1 < x2` and `y1 < y2`.
    pub fn new(x1: u32, y1: u32, x2: u32, y2: u32) -> Result<Self> {
        if x1 < x2 && y1 < y2 {
            Ok(Self {
                x1,
                y1,
                x2,
                y2,
                frame: PhantomData,
            })
        } else {
            Err(Error::invalid(format!(
                "the {} box [{x1}, {y1}, {x2}, {y2}) is empty",
                F::NAME
            )))
        }
    }

    /// The whole of an image, or nothing if it has no pixels.
    pub fn whole(width: u32, height: u32) -> Option<Self> {
        Self::new(0, 0, width, height).ok()
    }

    /// The box of real-valued corners, each moved to the nearest pixel edge inside the image; at
    /// least one pixel wide and high. Nothing if it lies outside or is not a number.
    pub fn nearest(corners: [f64; 4], width: u32, height: u32) -> Option<Self> {
        let [x1, y1, x2, y2] = corners;
        let (w, h) = (f64::from(width), f64::from(height));
        let inside = x1 < x2 && y1 < y2 && x1 < w && y1 < h && x2 > 0.0 && y2 > 0.0;
        if !inside {
            return None;
        }
        let edges = |low: f64, high: f64, size: u32| {
            let low = (low.round().max(0.0) as u32).min(size - 1);
            let high = (high.round().min(f64::from(size)) as u32).max(low + 1);
            (low, high)
        };
        let (x1, x2) = edges(x1, x2, width);
        let (y1, y2) = edges(y1, y2, height);
        Self::new(x1, y1, x2, y2).ok()
    }

    /// `[x1, y1, x2, y2]`.
    pub fn corners(&self) -> [u32; 4] {
        [self.x1, self.y1, self.x2, self.y2]
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.x2 - self.x1
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.y2 - self.y1
    }

    /// Pixels.
    pub fn area(&self) -> u64 {
        u64::from(self.width()) * u64::from(self.height())
    }

    /// What both boxes cover, if anything.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::new(
            self.x1.max(other.x1),
            self.y1.max(other.y1),
            self.x2.min(other.x2),
            self.y2.min(other.y2),
        )
        .ok()
    }

    /// The part inside an image of the given size, if any.
    pub fn clip(&self, width: u32, height: u32) -> Option<Self> {
        self.intersection(&Self::whole(width, height)?)
    }

    /// Whether pixel (x, y) belongs to the box.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        (self.x1..self.x2).contains(&x) && (self.y1..self.y2).contains(&y)
    }
}

impl<F: Frame> fmt::Debug for BBox<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}[{}, {}, {}, {})",
            F::NAME,
            self.x1,
            self.y1,
            self.x2,
            self.y2
        )
    }
}

#[derive(Serialize, Deserialize)]
struct WireBox<'a> {
    frame: std::borrow::Cow<'a, str>,
    corners: [u32; 4],
}

impl<F: Frame> Serialize for BBox<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WireBox {
            frame: F::NAME.into(),
            corners: self.corners(),
        }
        .serialize(serializer)
    }
}

impl<'de, F: Frame> Deserialize<'de> for BBox<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireBox::deserialize(deserializer)?;
        if wire.frame != F::NAME {
            return Err(D::Error::custom(format!(
                "expected a box in the {} frame, got one in the {} frame",
                F::NAME,
                wire.frame
            )));
        }
        let [x1, y1, x2, y2] = wire.corners;
        Self::new(x1, y1, x2, y2).map_err(D::Error::custom)
    }
}

/// How a native image lies in the square working image: scaled so that its longer side fills the
/// square, then centred (left and top padding are rounded down).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letterbox {
    /// Width and height of the native image.
    pub native: (u32, u32),
    /// Side of the working image.
    pub side: u32,
    /// Width and height of the scaled image inside the working image.
    pub scaled: (u32, u32),
    /// Columns of padding on the left.
    pub left: u32,
    /// Rows of padding above.
    pub top: u32,
}

impl Letterbox {
    /// The letterbox of a `width` x `height` image in a square of `side` pixels.
    ///
    /// The shorter side is rounded half to even, as the published pipeline does, and is at least 1.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if a size is zero.
    pub fn new(width: u32, height: u32, side: u32) -> Result<Self> {
        if width == 0 || height == 0 || side == 0 {
            return Err(Error::invalid(format!(
                "an image of {width} x {height} pixels cannot be letterboxed to {side}"
            )));
        }
        let scale = f64::from(side) / f64::from(width.max(height));
        let fit = |size: u32| ((f64::from(size) * scale).round_ties_even() as u32).clamp(1, side);
        let scaled = (fit(width), fit(height));
        Ok(Self {
            native: (width, height),
            side,
            scaled,
            left: (side - scaled.0) / 2,
            top: (side - scaled.1) / 2,
        })
    }

    /// The part of the working image that shows the native image.
    pub fn content(&self) -> BBox<Working> {
        BBox {
            x1: self.left,
            y1: self.top,
            x2: self.left + self.scaled.0,
            y2: self.top + self.scaled.1,
            frame: PhantomData,
        }
    }

    /// A native box in the working image, corners to the nearest pixel edge; nothing if it lies
    /// outside the native image.
    pub fn to_working(&self, bbox: &BBox<Native>) -> Option<BBox<Working>> {
        let bbox = bbox.clip(self.native.0, self.native.1)?;
        let x = |x: u32| f64::from(x) * f64::from(self.scaled.0) / f64::from(self.native.0);
        let y = |y: u32| f64::from(y) * f64::from(self.scaled.1) / f64::from(self.native.1);
        let inside: BBox<Working> = BBox::nearest(
            [x(bbox.x1), y(bbox.y1), x(bbox.x2), y(bbox.y2)],
            self.scaled.0,
            self.scaled.1,
        )?;
        Some(BBox {
            x1: inside.x1 + self.left,
            y1: inside.y1 + self.top,
            x2: inside.x2 + self.left,
            y2: inside.y2 + self.top,
            frame: PhantomData,
        })
    }

    /// A working box in the native image, corners to the nearest pixel edge; nothing if it lies
    /// wholly in the padding.
    ///
    /// Where the native image has at least the working resolution, `to_working(to_native(b)) == b`
    /// for every box `b` inside [`Letterbox::content`].
    pub fn to_native(&self, bbox: &BBox<Working>) -> Option<BBox<Native>> {
        let bbox = bbox.intersection(&self.content())?;
        let x =
            |x: u32| f64::from(x - self.left) * f64::from(self.native.0) / f64::from(self.scaled.0);
        let y =
            |y: u32| f64::from(y - self.top) * f64::from(self.native.1) / f64::from(self.scaled.1);
        BBox::nearest(
            [x(bbox.x1), y(bbox.y1), x(bbox.x2), y(bbox.y2)],
            self.native.0,
            self.native.1,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_follow_the_published_rounding() {
        // 224 * 187.5 / 224: the exact half goes to the even neighbour.
        let portrait = Letterbox::new(2500, 3000, 224).unwrap();
        assert_eq!(portrait.scaled, (187, 224));
        assert_eq!((portrait.left, portrait.top), (18, 0));
        let half = Letterbox::new(448, 5, 224).unwrap();
        assert_eq!(half.scaled, (224, 2), "2.5 rounds to even");
        let square = Letterbox::new(224, 224, 224).unwrap();
        let b = BBox::<Native>::new(3, 4, 50, 60).unwrap();
        assert_eq!(square.to_working(&b).unwrap().corners(), b.corners());
    }

    #[test]
    fn a_frame_is_not_another() {
        let native = serde_json::to_string(&BBox::<Native>::new(0, 0, 1, 1).unwrap()).unwrap();
        let error = serde_json::from_str::<BBox<Working>>(&native)
            .unwrap_err()
            .to_string();
        assert!(error.contains("working frame"), "{error}");
        assert!(BBox::<Native>::new(5, 0, 5, 1).is_err());
    }

    #[test]
    fn padding_has_no_native_box() {
        let letterbox = Letterbox::new(100, 200, 224).unwrap();
        let padding = BBox::new(0, 0, letterbox.left, 224).unwrap();
        assert_eq!(letterbox.to_native(&padding), None);
    }

    proptest! {
        #[test]
        fn working_boxes_survive_the_round_trip(
            w in 224u32..4000, h in 224u32..4000, a in 0.0f64..1.0, b in 0.0f64..1.0, c in 0.0f64..1.0, d in 0.0f64..1.0,
        ) {
            let letterbox = Letterbox::new(w, h, 224).unwrap();
            let [x1, y1, x2, y2] = letterbox.content().corners();
            let pick = |low: u32, high: u32, a: f64, b: f64| {
                let first = low + ((f64::from(high - low - 1)) * a.min(b)) as u32;
                let last = low + ((f64::from(high - low - 1)) * a.max(b)) as u32 + 1;
                (first, last)
            };
            let (bx1, bx2) = pick(x1, x2, a, c);
            let (by1, by2) = pick(y1, y2, b, d);
            let bbox = BBox::<Working>::new(bx1, by1, bx2, by2).unwrap();
            // A side shorter than the working one is not resolved; only then may a box move.
            prop_assume!(w >= letterbox.scaled.0 && h >= letterbox.scaled.1);
            let native = letterbox.to_native(&bbox).unwrap();
            prop_assert!(native.clip(w, h) == Some(native));
            prop_assert_eq!(letterbox.to_working(&native), Some(bbox));
        }

        #[test]
        fn native_boxes_stay_within_half_a_working_pixel(
            w in 1u32..5000, h in 1u32..5000, a in 0.0f64..1.0, b in 0.0f64..1.0,
        ) {
            let letterbox = Letterbox::new(w, h, 224).unwrap();
            let x1 = (f64::from(w - 1) * a.min(b)) as u32;
            let x2 = (f64::from(w - 1) * a.max(b)) as u32 + 1;
            let bbox = BBox::<Native>::new(x1, 0, x2, h).unwrap();
            let working = letterbox.to_working(&bbox).unwrap();
            let exact = f64::from(letterbox.left) + f64::from(x1) * f64::from(letterbox.scaled.0) / f64::from(w);
            prop_assert!((f64::from(working.corners()[0]) - exact).abs() <= 1.0);
            prop_assert!(working.intersection(&letterbox.content()) == Some(working));
        }
    }
}
