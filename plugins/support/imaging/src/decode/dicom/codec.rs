//! Transfer syntaxes, and the codecs of compressed frames.

use dicom_dictionary_std::uids;
use dicom_transfer_syntax_registry::{TransferSyntaxIndex as _, TransferSyntaxRegistry};

use super::{
    super::{
        DecodeError, Format,
        jpeg::{Colour, Jpeg},
    },
    coded::{Coded, UNCOMPRESS},
    elements::starts_explicit,
    jpeg2000,
    layout::Layout,
    rle,
};

/// How the data set is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Implicit,
    Explicit,
    BigEndian,
    Deflated,
}

/// How the pixel data are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Native,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

/// A supported transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub encoding: Encoding,
    pub codec: Codec,
    /// For people.
    pub name: &'static str,
}

impl Transfer {
    const IMPLICIT: Self = Self::new(Encoding::Implicit, Codec::Native, "implicit VR");
    const EXPLICIT: Self = Self::new(Encoding::Explicit, Codec::Native, "uncompressed");

    const fn new(encoding: Encoding, codec: Codec, name: &'static str) -> Self {
        Self {
            encoding,
            codec,
            name,
        }
    }

    /// The transfer syntax called `uid`.
    pub fn of(uid: &str) -> Result<Self, DecodeError> {
        use Codec::{Jpeg, Jpeg2000, JpegLs, Native, Rle};
        use Encoding::{BigEndian, Deflated, Explicit};
        let (encoding, codec, name) = match uid {
            uids::IMPLICIT_VR_LITTLE_ENDIAN => return Ok(Self::IMPLICIT),
            uids::EXPLICIT_VR_LITTLE_ENDIAN => return Ok(Self::EXPLICIT),
            EXPLICIT_VR_BIG_ENDIAN => (BigEndian, Native, "big endian"),
            uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => (Deflated, Native, "deflated"),
            uids::RLE_LOSSLESS => (Explicit, Rle, "RLE"),
            uids::JPEG_BASELINE8_BIT => (Explicit, Jpeg, "JPEG baseline"),
            uids::JPEG_EXTENDED12_BIT => (Explicit, Jpeg, "JPEG extended"),
            uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => (Explicit, Jpeg, "JPEG lossless"),
            uids::JPEGLS_LOSSLESS => (Explicit, JpegLs, "JPEG-LS lossless"),
            uids::JPEGLS_NEAR_LOSSLESS => (Explicit, JpegLs, "JPEG-LS near-lossless"),
            uids::JPEG2000_LOSSLESS => (Explicit, Jpeg2000, "JPEG 2000 lossless"),
            uids::JPEG2000 => (Explicit, Jpeg2000, "JPEG 2000"),
            _ => return Err(unsupported(uid)),
        };
        Ok(Self::new(encoding, codec, name))
    }

    /// What a data set without file meta information is written in: explicit if its first element
    /// names a type.
    pub fn guess(body: &[u8]) -> Self {
        if starts_explicit(body) {
            Self::EXPLICIT
        } else {
            Self::IMPLICIT
        }
    }
}

/// Retired, and marked so in the dictionary, but still in archives.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

fn unsupported(uid: &str) -> DecodeError {
    let what = match TransferSyntaxRegistry.get(uid) {
        Some(known) => format!("the transfer syntax {} ({})", known.name(), known.uid()),
        // Only what a UID can hold, as it comes from outside.
        None if uid.len() <= 64 && uid.bytes().all(|b| b == b'.' || b.is_ascii_digit()) => {
            format!("the unknown transfer syntax {uid}")
        }
        None => "an unknown transfer syntax".into(),
    };
    Format::Dicom.unsupported(what, UNCOMPRESS)
}

impl Codec {
    /// Decodes the bytes of one frame; the sizes its header states are checked against `layout`
    /// before anything of that size is allocated.
    pub fn decode(self, frame: &[u8], layout: &Layout) -> Result<Coded, DecodeError> {
        let coded = match self {
            Self::Native => return Err(Format::Dicom.damaged("its pixel data are fragmented")),
            Self::Rle => rle::decode(frame, layout),
            Self::Jpeg => jpeg(frame, layout),
            Self::JpegLs => jpeg_ls(frame, layout),
            Self::Jpeg2000 => jpeg2000::decode(frame, layout),
        }?;
        layout.expect(coded.rows, coded.columns, coded.channels)?;
        Ok(coded)
    }
}

fn jpeg(frame: &[u8], layout: &Layout) -> Result<Coded, DecodeError> {
    let jpeg = Jpeg::new(frame, Format::Dicom)?;
    let (rows, columns, channels) = (jpeg.rows(), jpeg.columns(), jpeg.channels());
    layout.expect(rows, columns, channels)?;
    let label = if layout.photometric == "RGB" {
        Colour::Rgb
    } else {
        Colour::YCbCr
    };
    let colour = jpeg.colour().unwrap_or(label);
    let samples = jpeg.decode(colour)?;
    Ok(Coded {
        mislabelled: channels == 3 && colour != label,
        luma_first: jpeg.is_lossless() && colour == Colour::YCbCr,
        ..Coded::new(rows, columns, channels, samples)
    })
}

fn jpeg_ls(frame: &[u8], layout: &Layout) -> Result<Coded, DecodeError> {
    if layout.channels != 1 {
        return Err(Format::Dicom.unsupported("a JPEG-LS colour frame", UNCOMPRESS));
    }
    let (rows, columns) = (layout.rows, layout.columns);
    // Both sizes come from 16-bit elements.
    let (samples, ..) = jpegls::decode(frame, columns as u32, rows as u32)
        .map_err(|_| Format::Dicom.damaged("its JPEG-LS frame"))?;
    Ok(Coded::new(rows, columns, 1, samples))
}
