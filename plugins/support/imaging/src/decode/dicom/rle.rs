//! DICOM run-length encoding (PS3.5 annex G): one PackBits segment for each byte of a sample.

use super::{
    super::{DecodeError, Format},
    coded::Coded,
    layout::Layout,
};

/// The frame that starts with a header of 16 words: the number of segments and their offsets.
pub(super) fn decode(frame: &[u8], layout: &Layout) -> Result<Coded, DecodeError> {
    let damaged = || Format::Dicom.damaged("its RLE frame");
    let word = |i: usize| {
        let bytes = frame.get(4 * i..4 * i + 4)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let (channels, bytes) = (layout.channels, layout.bytes_per_sample());
    let segments = channels * bytes;
    if word(0) != Some(segments) {
        return Err(damaged());
    }
    let mut samples = vec![0; layout.pixels() * channels];
    for segment in 0..segments {
        let start = word(1 + segment).ok_or_else(damaged)?;
        let end = match segment + 1 {
            next if next < segments => word(1 + next).ok_or_else(damaged)?,
            _ => frame.len(),
        };
        let packed = frame.get(start..end).ok_or_else(damaged)?;
        let plane = unpack(packed, layout.pixels()).ok_or_else(damaged)?;
        // The most significant byte of each channel comes first.
        let (channel, shift) = (segment / bytes, 8 * (bytes - 1 - segment % bytes));
        for (sample, byte) in samples
            .iter_mut()
            .skip(channel)
            .step_by(channels)
            .zip(plane)
        {
            *sample |= u16::from(byte) << shift;
        }
    }
    Ok(Coded {
        // Run lengths keep whatever was coded.
        luma_first: layout.photometric != "RGB",
        ..Coded::new(layout.rows, layout.columns, channels, samples)
    })
}

/// `length` bytes of PackBits: n < 128 copies n + 1 bytes, n > 128 repeats one byte 257 - n times.
fn unpack(mut packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        let (&control, rest) = packed.split_first()?;
        packed = match control {
            128 => rest,
            0..128 => {
                let (literal, rest) = rest.split_at_checked(usize::from(control) + 1)?;
                out.extend_from_slice(literal);
                rest
            }
            _ => {
                let (&byte, rest) = rest.split_first()?;
                out.extend(std::iter::repeat_n(byte, 257 - usize::from(control)));
                rest
            }
        };
    }
    out.truncate(length);
    Some(out)
}
