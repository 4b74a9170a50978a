//! Modality and value-of-interest transformations (DICOM PS3.3 C.11.1 and C.11.2).

use std::fmt;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{
    dataset::{Dataset, Value},
    layout::Layout,
};

/// From stored values to the values of the modality.
pub(super) enum Modality {
    Rescale { slope: f64, intercept: f64 },
    Table(Table),
}

impl Modality {
    pub fn of(dataset: &Dataset, layout: &Layout, warnings: &mut Vec<String>) -> Self {
        let sequence = (tags::MODALITY_LUT_SEQUENCE, "modality");
        match Table::of(dataset, sequence, layout.signed, warnings) {
            Some(table) => Self::Table(table),
            None => Self::Rescale {
                slope: dataset.number(tags::RESCALE_SLOPE).unwrap_or(1.0),
                intercept: dataset.number(tags::RESCALE_INTERCEPT).unwrap_or(0.0),
            },
        }
    }

    /// Whether a stored value can become negative.
    fn can_be_negative(&self, layout: &Layout) -> bool {
        (0..layout.values()).any(|index| self.apply(layout.stored(index)) < 0.0)
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
    pub fn of(
        dataset: &Dataset,
        layout: &Layout,
        modality: &Modality,
        warnings: &mut Vec<String>,
    ) -> Self {
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
        // Its first mapped value is signed just if its input can be (PS3.3 C.11.2.1.1).
        let signed = modality.can_be_negative(layout);
        let sequence = (tags::VOILUT_SEQUENCE, "VOI");
        Table::of(dataset, sequence, signed, warnings).map_or(Self::None, Self::Table)
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
    /// The table in the first item of a sequence; where there is one that cannot be used, a warning.
    fn of(
        dataset: &Dataset,
        (sequence, name): (Tag, &str),
        signed: bool,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let descriptor = dataset.value(sequence, tags::LUT_DESCRIPTOR);
        let data = dataset.value(sequence, tags::LUT_DATA);
        if descriptor.is_none() && data.is_none() {
            return None;
        }
        let descriptor: Vec<u16> = descriptor.into_iter().flat_map(Value::words).collect();
        let (&[count, first, bits], Some(data)) = (&descriptor[..], data) else {
            warnings.push(format!(
                "the {name} lookup table is incomplete and is ignored"
            ));
            return None;
        };
        let count = match count {
            0 => 1 << 16,
            count => count.into(),
        };
        let first = if signed {
            f64::from(first as i16)
        } else {
            first.into()
        };
        // 8-bit entries may be bytes, padded to an even number.
        let mut entries: Vec<u16> = if bits <= 8 && data.bytes.len() <= count + 1 {
            data.bytes.iter().map(|&byte| byte.into()).collect()
        } else {
            data.words().collect()
        };
        let missing = count.saturating_sub(entries.len());
        // Some writers leave out the last entry, which is then the one before.
        if missing > 1 || entries.is_empty() {
            warnings.push(format!(
                "the {name} lookup table has too few entries and is ignored"
            ));
            return None;
        }
        if missing == 1 {
            warnings.push(format!(
                "the {name} lookup table lacks its last entry: the one before stands for it"
            ));
        }
        entries.truncate(count);
        Some(Self { first, entries })
    }

    fn apply(&self, value: f64) -> f64 {
        // `as` saturates: values below the table take its first entry.
        let index = (value - self.first).floor() as usize;
        self.entries[index.min(self.entries.len() - 1)].into()
    }
}
