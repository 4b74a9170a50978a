//! The elements of a DICOM file that an image needs; all others are skipped unread.

use std::{borrow::Cow, collections::BTreeMap, io::Cursor, io::Read as _};

use dicom_core::{PrimitiveValue, Tag, header::Header as _};
use dicom_dictionary_std::tags;
use dicom_parser::dataset::{LazyDataToken, lazy_read::LazyDataSetReader};
use dicom_transfer_syntax_registry::{TransferSyntax, entries};

use super::{
    super::{DecodeError, Format, MAX_BYTES},
    codec::{Encoding, Transfer},
};

/// Elements of the top level, or of the first item of a sequence.
const WANTED: [Tag; 19] = [
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::PIXEL_PADDING_VALUE,
    tags::PIXEL_PADDING_RANGE_LIMIT,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::VOILUT_FUNCTION,
    tags::LUT_DESCRIPTOR,
    tags::LUT_DATA,
];

/// Sequences whose first item is looked into.
const ENTERED: [Tag; 2] = [tags::MODALITY_LUT_SEQUENCE, tags::VOILUT_SEQUENCE];

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
    values: BTreeMap<(Tag, Tag), PrimitiveValue>,
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
        let syntax = match transfer.encoding {
            Encoding::Implicit => entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
            Encoding::BigEndian => entries::EXPLICIT_VR_BIG_ENDIAN.erased(),
            Encoding::Explicit | Encoding::Deflated => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
        };
        let (values, pixels) = elements(&body, &syntax)?;
        Ok(Self {
            transfer,
            pixels: pixels.ok_or_else(|| {
                Format::Dicom.unsupported("an object without pixel data", "give an image object")
            })?,
            warnings,
            values,
        })
    }

    /// The element `tag` of `sequence`.
    pub fn value(&self, sequence: Tag, tag: Tag) -> Option<&PrimitiveValue> {
        self.values.get(&(sequence, tag))
    }

    /// A whole number of the top level.
    pub fn integer(&self, tag: Tag) -> Option<i64> {
        self.value(TOP, tag)?.to_int().ok()
    }

    /// The first value of a real number of the top level.
    pub fn number(&self, tag: Tag) -> Option<f64> {
        let text = self.value(TOP, tag)?;
        let first = match text {
            PrimitiveValue::Str(_) | PrimitiveValue::Strs(_) => {
                text.to_str().split('\\').next()?.trim().parse().ok()?
            }
            _ => text.to_float64().ok()?,
        };
        f64::is_finite(first).then_some(first)
    }

    /// The first value of a keyword of the top level.
    pub fn keyword(&self, tag: Tag) -> Option<String> {
        let text = self.value(TOP, tag)?.to_str();
        let first = text.split('\\').next()?;
        Some(first.trim_matches([' ', '\0']).to_ascii_uppercase())
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
        let long = matches!([*kind_a, *kind_b], [b'O', _] | [b'S', b'Q' | b'V'])
            || matches!([*kind_a, *kind_b], [b'U', b'C' | b'N' | b'R' | b'T' | b'V']);
        let (length, after) = if long {
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

type Elements = (BTreeMap<(Tag, Tag), PrimitiveValue>, Option<PixelData>);

fn elements(body: &[u8], syntax: &TransferSyntax) -> Result<Elements, DecodeError> {
    let cut = || Format::Dicom.damaged("its data set");
    let mut reader =
        LazyDataSetReader::new_with_ts(Cursor::new(body), syntax).map_err(|_| cut())?;
    let mut values = BTreeMap::new();
    // The sequences around the current element, each with the number of its items so far.
    let mut path: Vec<(Tag, usize)> = Vec::new();
    while let Some(token) = reader.advance() {
        match token.map_err(|_| cut())? {
            LazyDataToken::SequenceStart { tag, .. } => path.push((tag, 0)),
            LazyDataToken::SequenceEnd => drop(path.pop()),
            LazyDataToken::ItemStart { .. } => {
                if let Some((_, items)) = path.last_mut() {
                    *items += 1;
                }
            }
            LazyDataToken::PixelSequenceStart if path.is_empty() => {
                return Ok((values, Some(fragments(&mut reader, body.len())?)));
            }
            LazyDataToken::LazyValue { header, decoder } => {
                let token = LazyDataToken::LazyValue { header, decoder };
                // Lengths are checked before memory is asked for.
                if header
                    .len
                    .get()
                    .is_none_or(|length| length as usize > body.len())
                {
                    return Err(cut());
                }
                let sequence = match path[..] {
                    [] => Some(TOP),
                    [(tag, 1)] if ENTERED.contains(&tag) => Some(tag),
                    _ => None,
                };
                let tag = header.tag();
                match sequence {
                    Some(TOP) if tag == tags::PIXEL_DATA => {
                        let value = token.into_value().map_err(|_| cut())?;
                        let bytes = value.to_bytes().into_owned();
                        return Ok((values, Some(PixelData::Native(bytes))));
                    }
                    Some(sequence) if WANTED.contains(&tag) => {
                        let value = token.into_value().map_err(|_| cut())?;
                        values.insert((sequence, tag), value);
                    }
                    _ => token.skip().map_err(|_| cut())?,
                }
            }
            token => token.skip().map_err(|_| cut())?,
        }
    }
    Ok((values, None))
}

fn fragments<S: dicom_parser::StatefulDecode>(
    reader: &mut LazyDataSetReader<S>,
    limit: usize,
) -> Result<PixelData, DecodeError> {
    let cut = || Format::Dicom.damaged("its compressed pixel data");
    let mut items: Vec<Vec<u8>> = Vec::new();
    loop {
        match reader.advance().ok_or_else(cut)?.map_err(|_| cut())? {
            LazyDataToken::ItemStart { .. } => items.push(Vec::new()),
            LazyDataToken::LazyItemValue { len, decoder } if len as usize <= limit => {
                let token = LazyDataToken::LazyItemValue { len, decoder };
                let item = items.last_mut().ok_or_else(cut)?;
                token.read_value_into(item).map_err(|_| cut())?;
            }
            LazyDataToken::ItemEnd => {}
            LazyDataToken::SequenceEnd => break,
            _ => return Err(cut()),
        }
    }
    let mut items = items.into_iter();
    Ok(PixelData::Encapsulated {
        offsets: items.next().ok_or_else(cut)?,
        fragments: items.collect(),
    })
}
