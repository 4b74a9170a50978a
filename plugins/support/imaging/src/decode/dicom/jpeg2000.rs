//! JPEG 2000 frames (ITU-T T.800): what the decoder leaves to its caller. It takes every sample for
//! unsigned, does not clamp, and wants the length of each tile-part.

use std::borrow::Cow;

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use super::{
    super::{DecodeError, Format},
    coded::{Coded, UNCOMPRESS},
    layout::Layout,
};

pub(super) fn decode(frame: &[u8], layout: &Layout) -> Result<Coded, DecodeError> {
    let damaged = || Format::Dicom.damaged("its JPEG 2000 frame");
    let stream = unboxed(frame).ok_or_else(damaged)?;
    let components = components(stream).ok_or_else(damaged)?;
    if components.iter().any(|component| component.bits > 16) {
        let what = "a JPEG 2000 frame of more than 16 bits";
        return Err(Format::Dicom.unsupported(what, UNCOMPRESS));
    }
    let stream = with_lengths(stream).ok_or_else(damaged)?;
    let settings = DecodeSettings {
        strict: true,
        ..DecodeSettings::default()
    };
    let image = Image::new(&stream, &settings).map_err(|_| damaged())?;
    let (rows, columns) = (image.height() as usize, image.width() as usize);
    layout.expect(rows, columns, components.len())?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|_| damaged())?;
    let planes = decoded.components();
    let whole = |plane: &hayro_jpeg2000::ComponentData| plane.samples().len() == rows * columns;
    if planes.len() != components.len() || !planes.iter().all(whole) {
        return Err(damaged());
    }
    let samples = (0..rows * columns)
        .flat_map(|i| {
            let planes = planes.iter().zip(&components);
            planes.map(move |(plane, component)| component.word(plane.samples()[i]))
        })
        .collect();
    Ok(Coded {
        signed: components.iter().any(|component| component.signed),
        ..Coded::new(rows, columns, components.len(), samples)
    })
}

/// The range of a component (A.5.1).
struct Component {
    bits: u32,
    signed: bool,
}

impl Component {
    /// The decoder's sample, which was shifted as if unsigned, in the range that the component has
    /// (G.1.2); of a negative one the low 16 bits, as in uncompressed files.
    fn word(&self, sample: f32) -> u16 {
        let sample = sample.round().clamp(0.0, ((1_u32 << self.bits) - 1) as f32) as i32;
        let shift = if self.signed { 1 << (self.bits - 1) } else { 0 };
        (sample - shift) as u16
    }
}

/// SOC and SIZ, with which every code stream starts.
const START: &[u8] = b"\xff\x4f\xff\x51";

/// The code stream of a frame, out of the boxes of a JP2 file if it lies in them (annex I).
fn unboxed(frame: &[u8]) -> Option<&[u8]> {
    let mut rest = frame;
    while !rest.starts_with(START) {
        let (header, contents) = rest.split_first_chunk::<8>()?;
        let [length @ .., a, b, c, d] = *header;
        let (whole, contents) = match u32::from_be_bytes(length) {
            0 => (rest.len(), contents),
            1 => {
                let (length, contents) = contents.split_first_chunk()?;
                (u64::from_be_bytes(*length).try_into().ok()?, contents)
            }
            length => (length as usize, contents),
        };
        let is_stream = [a, b, c, d] == *b"jp2c";
        let body = whole.checked_sub(rest.len() - contents.len())?;
        let (body, after) = contents.split_at_checked(body)?;
        if is_stream {
            return body.starts_with(START).then_some(body);
        }
        rest = after;
    }
    Some(rest)
}

fn components(stream: &[u8]) -> Option<Vec<Component>> {
    let count = u16::from_be_bytes(*stream.get(40..42)?.first_chunk()?);
    let sizes = stream.get(42..42 + 3 * usize::from(count))?;
    let component = |size: &[u8]| Component {
        bits: u32::from(size[0] & 0x7f) + 1,
        signed: size[0] & 0x80 != 0,
    };
    Some(sizes.chunks_exact(3).map(component).collect())
}

/// The code stream with the length of its last tile-part, which may be left open: up to the end
/// marker (A.4.2).
fn with_lengths(stream: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut at = 2;
    loop {
        match stream.get(at..at + 2)? {
            [0xff, 0xd9] => return Some(Cow::Borrowed(stream)),
            [0xff, 0x90] => {
                let field = at + 6..at + 10;
                let length = u32::from_be_bytes(*stream.get(field.clone())?.first_chunk()?);
                if length == 0 {
                    let end = stream.windows(2).rposition(|pair| pair == [0xff, 0xd9])?;
                    let length = u32::try_from(end.checked_sub(at)?).ok()?;
                    let mut stream = stream.to_vec();
                    stream[field].copy_from_slice(&length.to_be_bytes());
                    return Some(Cow::Owned(stream));
                }
                at = at.checked_add(length as usize)?;
            }
            _ => {
                let length = u16::from_be_bytes(*stream.get(at + 2..at + 4)?.first_chunk()?);
                at += 2 + usize::from(length);
            }
        }
    }
}
