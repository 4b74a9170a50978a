//! The elements of a DICOM file that an image needs; all others are skipped unread.

use std::{borrow::Cow, collections::BTreeMap, io::Read as _};

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{
    super::{DecodeError, Format, MAX_BYTES},
    codec::{Encoding, Transfer},
    elements::{Elements, Header, ITEM, SEQUENCE_END, Syntax, Vr, is_long, starts_explicit},
};

/// Elements of the top level, or of the first item of a sequence, with the dictionary's value
/// representation (of two the one that fits any bits) and keyword.
const WANTED: [(Tag, Vr, &str); 23] = [
    (tags::SAMPLES_PER_PIXEL, *b"US", "SamplesPerPixel"),
    (
        tags::PHOTOMETRIC_INTERPRETATION,
        *b"CS",
        "PhotometricInterpretation",
    ),
    (tags::PLANAR_CONFIGURATION, *b"US", "PlanarConfiguration"),
    (tags::NUMBER_OF_FRAMES, *b"IS", "NumberOfFrames"),
    (tags::ROWS, *b"US", "Rows"),
    (tags::COLUMNS, *b"US", "Columns"),
    (tags::BITS_ALLOCATED, *b"US", "BitsAllocated"),
    (tags::BITS_STORED, *b"US", "BitsStored"),
    (tags::HIGH_BIT, *b"US", "HighBit"),
    (tags::PIXEL_REPRESENTATION, *b"US", "PixelRepresentation"),
    (tags::PIXEL_PADDING_VALUE, *b"US", "PixelPaddingValue"),
    (
        tags::PIXEL_PADDING_RANGE_LIMIT,
        *b"US",
        "PixelPaddingRangeLimit",
    ),
    (tags::WINDOW_CENTER, *b"DS", "WindowCenter"),
    (tags::WINDOW_WIDTH, *b"DS", "WindowWidth"),
    (tags::RESCALE_INTERCEPT, *b"DS", "RescaleIntercept"),
    (tags::RESCALE_SLOPE, *b"DS", "RescaleSlope"),
    (tags::VOILUT_FUNCTION, *b"CS", "VOILUTFunction"),
    (tags::LUT_DESCRIPTOR, *b"US", "LUTDescriptor"),
    (tags::LUT_DATA, *b"OW", "LUTData"),
    (tags::PATIENT_ORIENTATION, *b"CS", "PatientOrientation"),
    (tags::PIXEL_ASPECT_RATIO, *b"IS", "PixelAspectRatio"),
    (tags::PIXEL_SPACING, *b"DS", "PixelSpacing"),
    (tags::IMAGER_PIXEL_SPACING, *b"DS", "ImagerPixelSpacing"),
];

/// The value representations of numbers among these.
const NUMBERS: [Vr; 3] = [*b"US", *b"IS", *b"DS"];

/// Sequences whose first item is looked into.
const ENTERED: [Tag; 4] = [
    tags::MODALITY_LUT_SEQUENCE,
    tags::VOILUT_SEQUENCE,
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
];

/// Sequences within those, in which enhanced objects keep what others keep at the top level: here of all frames or the first.
const FRAME: [Tag; 2] = [
    tags::FRAME_VOILUT_SEQUENCE,
    tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
];

/// The sequence "above" the top level.
pub(super) const TOP: Tag = Tag(0, 0);

/// The pixel data element.
pub(super) enum PixelData {
    /// All frames, words in little-endian order.
    Native(Vec<u8>),
    /// The offset table and the compressed fragments.
    Encapsulated {
        offsets: Vec<u8>,
        fragments: Vec<Vec<u8>>,
    },
}

/// What is known of a DICOM file.
pub(super) struct Dataset {
    pub transfer: Transfer,
    pub pixels: PixelData,
    pub warnings: Vec<String>,
    /// By (sequence or [`TOP`], tag).
    values: Values,
}

type Values = BTreeMap<(Tag, Tag), Value>;

/// The value of an element.
pub(super) struct Value {
    pub vr: Vr,
    /// As in the file, words in little-endian order.
    pub bytes: Vec<u8>,
}

impl Value {
    fn new(vr: Vr, bytes: &[u8], big_endian: bool) -> Self {
        let mut bytes = bytes.to_vec();
        let word = match &vr {
            b"US" | b"SS" | b"OW" => 2,
            b"UL" | b"SL" | b"FL" => 4,
            b"FD" => 8,
            _ => 1,
        };
        if big_endian && word > 1 {
            bytes.chunks_exact_mut(word).for_each(<[u8]>::reverse);
        }
        Self { vr, bytes }
    }

    /// The value as unsigned words.
    pub fn words(&self) -> impl Iterator<Item = u16> {
        let words = self.bytes.chunks_exact(2);
        words.map(|word| u16::from_le_bytes([word[0], word[1]]))
    }

    /// The real numbers of the value, up to the first part that is none.
    fn numbers(&self) -> Vec<f64> {
        let bytes = &self.bytes;
        let numbers: Vec<f64> = match &self.vr {
            b"US" => self.words().map(f64::from).collect(),
            b"SS" => self.words().map(|word| f64::from(word as i16)).collect(),
            b"UL" => each(bytes, |four| f64::from(u32::from_le_bytes(four))),
            b"SL" => each(bytes, |four| f64::from(i32::from_le_bytes(four))),
            b"FL" => each(bytes, |four| f64::from(f32::from_le_bytes(four))),
            b"FD" => each(bytes, f64::from_le_bytes),
            _ => self
                .texts()
                .iter()
                .map_while(|text| text.parse().ok())
                .collect(),
        };
        numbers
            .into_iter()
            .take_while(|number| number.is_finite())
            .collect()
    }

    /// The parts of a text, without the padding around them.
    fn texts(&self) -> Vec<String> {
        let padding = |c: char| c.is_ascii_whitespace() || c == '\0';
        String::from_utf8_lossy(&self.bytes)
            .split('\\')
            .map(|text| text.trim_matches(padding).to_owned())
            .collect()
    }

    fn is_blank(&self) -> bool {
        self.bytes.iter().all(|byte| matches!(byte, b' ' | 0))
    }
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|&chunk| number(chunk))
        .collect()
}

impl Dataset {
    /// Reads up to the end of the pixel data.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut warnings = Vec::new();
        let (uid, body) = split_meta(bytes)?;
        let transfer = match uid {
            Some(uid) => Transfer::of(&uid)?,
            None => {
                let transfer = Transfer::guess(body);
                warnings.push(format!(
                    "the file states no transfer syntax: {} is assumed",
                    transfer.name
                ));
                transfer
            }
        };
        let body = match transfer.encoding {
            Encoding::Deflated => Cow::Owned(inflate(body)?),
            _ => Cow::Borrowed(body),
        };
        let big_endian = transfer.encoding == Encoding::BigEndian;
        let implicit = !starts_explicit(&body);
        if implicit != (transfer.encoding == Encoding::Implicit) {
            let (stated, found) = if implicit {
                ("explicit", "implicit")
            } else {
                ("implicit", "explicit")
            };
            warnings.push(format!(
                "the file says that its value representations are {stated}: they are {found}, and read so"
            ));
        }
        let syntax = Syntax {
            implicit,
            big_endian,
        };
        let (values, pixels) =
            elements(&body, syntax).ok_or(Format::Dicom.damaged("its data set"))?;
        let pixels = pixels.ok_or_else(|| {
            Format::Dicom.unsupported("an object without pixel data", "give an image object")
        })?;
        for &(tag, vr, keyword) in &WANTED {
            let value = values.get(&(TOP, tag));
            if NUMBERS.contains(&vr)
                && value.is_some_and(|value| !value.is_blank() && value.numbers().is_empty())
            {
                warnings.push(format!(
                    "{keyword} cannot be read as a number and is ignored"
                ));
            }
        }
        Ok(Self {
            transfer,
            pixels,
            warnings,
            values,
        })
    }

    /// The element `tag` of `sequence`, unless it is empty.
    pub fn value(&self, sequence: Tag, tag: Tag) -> Option<&Value> {
        self.values.get(&(sequence, tag))
    }

    /// A whole number of the top level.
    pub fn integer(&self, tag: Tag) -> Option<i64> {
        let number = self.number(tag)?;
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
    }

    /// The first value of a real number of the top level.
    pub fn number(&self, tag: Tag) -> Option<f64> {
        self.numbers(tag).first().copied()
    }

    /// Real numbers of the top level, none if there is no element `tag`.
    pub fn numbers(&self, tag: Tag) -> Vec<f64> {
        self.value(TOP, tag).map_or_else(Vec::new, Value::numbers)
    }

    /// The first value of a keyword of the top level.
    pub fn keyword(&self, tag: Tag) -> Option<String> {
        self.keywords(tag).into_iter().next()
    }

    /// Keywords of the top level, none if there is no element `tag`.
    pub fn keywords(&self, tag: Tag) -> Vec<String> {
        let texts = self.value(TOP, tag).map_or_else(Vec::new, Value::texts);
        texts.iter().map(|text| text.to_ascii_uppercase()).collect()
    }
}

/// Whether DICOM's magic stands after a preamble of 128 bytes.
pub(in super::super) fn has_preamble(bytes: &[u8]) -> bool {
    bytes.get(128..132) == Some(b"DICM")
}

/// Whether this can be a DICOM file without preamble: it starts with the magic, or with an element
/// of group 2 or 8.
pub(in super::super) fn looks_headless(bytes: &[u8]) -> bool {
    match *bytes {
        [b'D', b'I', b'C', b'M', ..] => true,
        [2 | 8, 0, _, 0, a, b, c, d, ..] => {
            let explicit = a.is_ascii_uppercase() && b.is_ascii_uppercase();
            let length = u32::from_le_bytes([a, b, c, d]);
            explicit || length <= 1024
        }
        _ => false,
    }
}

/// The transfer syntax of the file meta information, if any, and the data set that follows.
fn split_meta(bytes: &[u8]) -> Result<(Option<String>, &[u8]), DecodeError> {
    let cut = || Format::Dicom.damaged("its file meta information");
    let mut rest = if has_preamble(bytes) {
        &bytes[132..]
    } else {
        bytes.strip_prefix(b"DICM").unwrap_or(bytes)
    };
    let mut uid = None;
    // Always explicit little endian: tag, type, then a length of 2 bytes, or of 4 after 2 unused.
    while let [
        2,
        0,
        low,
        high,
        kind_a,
        kind_b,
        length_a,
        length_b,
        after @ ..,
    ] = rest
    {
        let (length, after) = if is_long([*kind_a, *kind_b]) {
            let (length, after) = after.split_first_chunk::<4>().ok_or_else(cut)?;
            (u32::from_le_bytes(*length) as usize, after)
        } else {
            (u16::from_le_bytes([*length_a, *length_b]).into(), after)
        };
        let (value, after) = after.split_at_checked(length).ok_or_else(cut)?;
        if [*low, *high] == [0x10, 0] {
            let text = String::from_utf8_lossy(value);
            uid = Some(text.trim_matches([' ', '\0']).to_owned());
        }
        rest = after;
    }
    Ok((uid, rest))
}

fn inflate(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut inflated = Vec::new();
    flate2::read::DeflateDecoder::new(body)
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| Format::Dicom.damaged("its deflated data set"))?;
    if inflated.len() > MAX_BYTES {
        return Err(DecodeError::TooManyBytes);
    }
    Ok(inflated)
}

/// Reads up to the end of the pixel data of the top level; `None` if the data set ends before.
fn elements(body: &[u8], syntax: Syntax) -> Option<(Values, Option<PixelData>)> {
    let mut values = Values::new();
    let mut top = Elements::new(body, syntax);
    while !top.is_empty() {
        let header = top.header()?;
        match header.length {
            None if header.tag == tags::PIXEL_DATA => {
                return Some((values, Some(fragments(&mut top)?)));
            }
            Some(length) if header.tag == tags::PIXEL_DATA => {
                // Words unless the file says bytes.
                let vr = if header.vr == *b"OB" { *b"OB" } else { *b"OW" };
                let pixels = Value::new(vr, top.bytes(length)?, syntax.big_endian).bytes;
                return Some((values, Some(PixelData::Native(pixels))));
            }
            _ if ENTERED.contains(&header.tag) => {
                enter(&mut top, header.tag, header, &mut values)?;
            }
            _ => read(&mut top, TOP, header, &mut values)?,
        }
    }
    Some((values, None))
}

/// Keeps what is wanted of a sequence's first item as values of `place`.
fn enter(
    elements: &mut Elements<'_>,
    place: Tag,
    header: Header,
    values: &mut Values,
) -> Option<()> {
    let mut item = elements.first_item(header)?;
    while !item.is_empty() {
        let Some(inner) = item.next_in_item() else {
            break;
        };
        if FRAME.contains(&inner.tag) {
            enter(&mut item, TOP, inner, values)?;
        } else {
            read(&mut item, place, inner, values)?;
        }
    }
    Some(())
}

/// Keeps the value that follows `header` if it is wanted, and passes over it.
fn read(
    elements: &mut Elements<'_>,
    sequence: Tag,
    header: Header,
    values: &mut Values,
) -> Option<()> {
    let wanted = WANTED.iter().find(|(tag, ..)| *tag == header.tag);
    let (Some(&(tag, vr, _)), Some(length)) = (wanted, header.length) else {
        return elements.skip(header);
    };
    // Unknown or not written: as the dictionary says.
    let vr = if header.vr == *b"UN" { vr } else { header.vr };
    let value = Value::new(vr, elements.bytes(length)?, elements.syntax.big_endian);
    if !value.bytes.is_empty() {
        values.insert((sequence, tag), value);
    }
    Some(())
}

/// Offset table and fragments, up to the delimiter.
fn fragments(elements: &mut Elements<'_>) -> Option<PixelData> {
    let mut items = Vec::new();
    loop {
        let header = elements.header()?;
        match (header.tag, header.length) {
            (ITEM, Some(length)) => items.push(elements.bytes(length)?.to_vec()),
            (SEQUENCE_END, _) => break,
            _ => return None,
        }
    }
    let mut items = items.into_iter();
    Some(PixelData::Encapsulated {
        offsets: items.next()?,
        fragments: items.collect(),
    })
}
