//! The conventions in which models write boxes, and their boxes in the working image.

use medfocus_plugin_api::{
    BBox, Coordinates as Family, Error, Letterbox, ModelInfo, Result, WORKING_SIDE, Working,
    choices,
};

use crate::answer::RawBox;

choices! {
    /// How the model's boxes are read.
    pub enum Coordinates {
        /// As the model's family writes them.
        Model = "model",
        /// `[y1, x1, y2, x2]` in thousandths of the image.
        YxyxThousand = "yxyx_1000",
        /// `[x1, y1, x2, y2]` in pixels of the model's input.
        XyxyPixels = "xyxy_pixels",
        /// `[x1, y1, x2, y2]` as shares of the image.
        XyxyUnit = "xyxy_unit",
        /// As the model's family writes them, but as shares of the image if no number exceeds 1.
        Auto = "auto",
    }
}

/// An order of corners and the numbers that stand for the image's far edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convention {
    rows_first: bool,
    scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Unit,
    Thousand,
    Pixels { width: u32, height: u32 },
}

impl Convention {
    /// What a model is asked for.
    ///
    /// Pixels are those of its input, or of the working image where that has no fixed size.
    ///
    /// # Errors
    ///
    /// [`Error::unsupported`] if the model's own convention is wanted and not known.
    pub fn new(coordinates: Coordinates, model: &ModelInfo) -> Result<Self> {
        let (height, width) = model.input.unwrap_or((WORKING_SIDE, WORKING_SIDE));
        let thousand = Self {
            rows_first: true,
            scale: Scale::Thousand,
        };
        let pixels = Self {
            rows_first: false,
            scale: Scale::Pixels { width, height },
        };
        Ok(match coordinates {
            Coordinates::YxyxThousand => thousand,
            Coordinates::XyxyPixels => pixels,
            Coordinates::XyxyUnit => Self {
                rows_first: false,
                scale: Scale::Unit,
            },
            Coordinates::Model | Coordinates::Auto => match model.coordinates {
                Family::YxyxThousand => thousand,
                Family::XyxyPixels => pixels,
                _ => {
                    let message = format!("how {} writes boxes is not known", model.family);
                    return Err(Error::unsupported(message)
                        .with_key("coordinates")
                        .with_hint("say it with `coordinates`, or update this plugin"));
                }
            },
        })
    }

    /// The convention of the same order that the model's numbers fit: shares of the image if none exceeds 1.
    #[must_use]
    pub fn fitted(self, boxes: &[RawBox]) -> Self {
        let mut numbers = boxes.iter().flat_map(|raw| raw.numbers);
        if boxes.is_empty() || numbers.any(|number| number > 1.0) {
            self
        } else {
            Self {
                scale: Scale::Unit,
                ..self
            }
        }
    }

    /// Its name in records.
    pub fn name(&self) -> String {
        let order = if self.rows_first { "yxyx" } else { "xyxy" };
        let scale = match self.scale {
            Scale::Unit => "unit",
            Scale::Thousand => "1000",
            Scale::Pixels { .. } => "pixels",
        };
        format!("{order}_{scale}")
    }

    /// The request for boxes, to follow a question.
    pub fn prompt(&self) -> String {
        let corners = if self.rows_first {
            "[y1, x1, y2, x2]"
        } else {
            "[x1, y1, x2, y2]"
        };
        let scale = match self.scale {
            Scale::Unit => "with coordinates from 0 to 1".to_owned(),
            Scale::Thousand => "with coordinates from 0 to 1000".to_owned(),
            Scale::Pixels { width, height } => format!("in pixels of a {width} x {height} image"),
        };
        format!(" Give the evidence as a JSON list of boxes {corners} {scale}.")
    }

    /// The part of the native image that a box means, in the working image, of which the model's input shows all;
    /// corners may be swapped. Nothing if it is empty or lies outside.
    pub fn to_working(&self, numbers: [f64; 4], letterbox: &Letterbox) -> Option<BBox<Working>> {
        let [a, b, c, d] = numbers;
        let ([x1, x2], [y1, y2]) = if self.rows_first {
            ([b, d], [a, c])
        } else {
            ([a, c], [b, d])
        };
        let (width, height) = match self.scale {
            Scale::Unit => (1.0, 1.0),
            Scale::Thousand => (1000.0, 1000.0),
            Scale::Pixels { width, height } => (f64::from(width), f64::from(height)),
        };
        // Relative to the native image's place in the working image, so that rounding cannot leave it.
        let side = f64::from(letterbox.side);
        let x = |x: f64| x * side / width - f64::from(letterbox.left);
        let y = |y: f64| y * side / height - f64::from(letterbox.top);
        let inside = BBox::<Working>::nearest(
            [x(x1.min(x2)), y(y1.min(y2)), x(x1.max(x2)), y(y1.max(y2))],
            letterbox.scaled.0,
            letterbox.scaled.1,
        )?;
        let [x1, y1, x2, y2] = inside.corners();
        let (left, top) = (letterbox.left, letterbox.top);
        BBox::new(x1 + left, y1 + top, x2 + left, y2 + top).ok()
    }
}
