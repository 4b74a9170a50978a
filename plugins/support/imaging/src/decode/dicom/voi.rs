//! Modality and value-of-interest transformations (DICOM PS3.3 C.11.1 and C.11.2).

use std::fmt;

use dicom_core::{PrimitiveValue, Tag};
use dicom_dictionary_std::tags;

use super::dataset::{Dataset, TOP};

/// From stored values to the values of the modality.
pub(super) enum Modality {
    Rescale { slope: f64, intercept: f64 },
    Table(Table),
}

impl Modality {
    pub fn of(dataset: &Dataset, signed: bool) -> Self {
        match Table::of(dataset, tags::MODALITY_LUT_SEQUENCE, signed) {
            Some(table) => Self::Table(table),
            None => Self::Rescale {
                slope: dataset.number(tags::RESCALE_SLOPE).unwrap_or(1.0),
                intercept: dataset.number(tags::RESCALE_INTERCEPT).unwrap_or(0.0),
            },
        }
    }

    pub fn apply(&self, stored: i32) -> f64 {
        match self {
            Self::Rescale { slope, intercept } => f64::from(stored) * slope + intercept,
            Self::Table(table) => table.apply(stored.into()),
        }
    }
}

/// From values of the modality to values of interest, whose scale does not matter.
pub(super) enum Voi {
    None,
    Window {
        shape: Shape,
        centre: f64,
        width: f64,
    },
    Table(Table),
}

/// VOI LUT function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Linear,
    LinearExact,
    Sigmoid,
}

impl Voi {
    /// The first window, or else the first lookup table.
    pub fn of(dataset: &Dataset, signed: bool, warnings: &mut Vec<String>) -> Self {
        let shape = match dataset.keyword(tags::VOILUT_FUNCTION).as_deref() {
            Some("LINEAR_EXACT") => Shape::LinearExact,
            Some("SIGMOID") => Shape::Sigmoid,
            _ => Shape::Linear,
        };
        let centre = dataset.number(tags::WINDOW_CENTER);
        let width = dataset.number(tags::WINDOW_WIDTH);
        match (centre, width) {
            (Some(centre), Some(width)) if shape.allows(width) => {
                return Self::Window {
                    shape,
                    centre,
                    width,
                };
            }
            (None, None) => {}
            _ => warnings.push("the VOI window is incomplete or too narrow and is ignored".into()),
        }
        // Its input is signed if rescaling can make it so; without rescaling, if the pixels are.
        let signed = signed || dataset.value(TOP, tags::RESCALE_INTERCEPT).is_some();
        Table::of(dataset, tags::VOILUT_SEQUENCE, signed).map_or(Self::None, Self::Table)
    }

    pub fn apply(&self, value: f64) -> f64 {
        match self {
            Self::None => value,
            &Self::Window {
                shape,
                centre,
                width,
            } => shape.apply(value, centre, width),
            Self::Table(table) => table.apply(value),
        }
    }
}

/// Continues a description: ", window 40/400", with the shape unless it is the default.
impl fmt::Display for Voi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Window {
                shape,
                centre,
                width,
            } => {
                write!(f, ", window {centre}/{width}{}", shape.suffix())
            }
            Self::Table(_) => f.write_str(", VOI lookup table"),
        }
    }
}

impl Shape {
    fn allows(self, width: f64) -> bool {
        match self {
            Self::Linear => width >= 1.0,
            Self::LinearExact | Self::Sigmoid => width > 0.0,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Linear => "",
            Self::LinearExact => " (exact)",
            Self::Sigmoid => " (sigmoid)",
        }
    }

    /// A value between 0 and 1 (PS3.3 C.11.2.1.2 and C.11.2.1.3).
    fn apply(self, x: f64, centre: f64, width: f64) -> f64 {
        let ramp = |centre: f64, width: f64| {
            if x <= centre - width / 2.0 {
                0.0
            } else if x > centre + width / 2.0 {
                1.0
            } else {
                (x - centre) / width + 0.5
            }
        };
        match self {
            Self::Linear => ramp(centre - 0.5, width - 1.0),
            Self::LinearExact => ramp(centre, width),
            Self::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - centre) / width).exp()),
        }
    }
}

/// A lookup table: entry 0 belongs to the value `first`; values outside take the nearest entry.
pub(super) struct Table {
    first: f64,
    entries: Vec<u16>,
}

impl Table {
    /// The table in the first item of `sequence`, if it is complete.
    fn of(dataset: &Dataset, sequence: Tag, signed: bool) -> Option<Self> {
        let descriptor: Vec<i32> = dataset
            .value(sequence, tags::LUT_DESCRIPTOR)?
            .to_multi_int()
            .ok()?;
        let &[count, first, bits] = &descriptor[..] else {
            return None;
        };
        // The descriptor's type may be unsigned though its second value is not, and 0 means 2^16.
        let count = match count & 0xffff {
            0 => 1 << 16,
            count => count as usize,
        };
        let first = match first & 0xffff {
            first if signed && first >= 0x8000 => first - 0x10000,
            first => first,
        };
        let data = dataset.value(sequence, tags::LUT_DATA)?;
        let entries = match data {
            PrimitiveValue::U16(words) if words.len() >= count => words.to_vec(),
            // 8-bit entries, in bytes or two to a word.
            PrimitiveValue::U16(_) | PrimitiveValue::U8(_) if bits <= 8 => {
                data.to_bytes().iter().map(|&byte| byte.into()).collect()
            }
            _ => data
                .to_bytes()
                .chunks_exact(2)
                .map(|word| u16::from_le_bytes([word[0], word[1]]))
                .collect(),
        };
        (entries.len() >= count).then(|| Self {
            first: first.into(),
            entries: entries[..count].to_vec(),
        })
    }

    fn apply(&self, value: f64) -> f64 {
        // `as` saturates: values below the table take its first entry.
        let index = (value - self.first).floor() as usize;
        self.entries[index.min(self.entries.len() - 1)].into()
    }
}
