//! A writer of small DICOM files.

#![allow(dead_code)] // Each test binary uses its own part.

/// Transfer syntaxes.
pub const IMPLICIT: &str = "1.2.840.10008.1.2";
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub const RLE: &str = "1.2.840.10008.1.2.5";
pub const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
pub const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
pub const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
pub const JPEG_2000_LOSSY: &str = "1.2.840.10008.1.2.4.91";
pub const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

/// A value of an element.
#[derive(Clone)]
pub enum Value {
    /// US (or SS: the bits are the same).
    Words(&'static [u8; 2], Vec<u16>),
    /// DS, CS and other text.
    Text(&'static [u8; 2], String),
    /// OB.
    Bytes(Vec<u8>),
    /// SQ: the elements of each item.
    Items(Vec<Vec<(u32, Value)>>),
    /// Bytes of another type, and their length as stated.
    Raw(&'static [u8; 2], Vec<u8>, u32),
    /// Encapsulated pixel data: offset table and fragments.
    Fragments(Vec<Vec<u8>>),
}

pub fn us(value: u16) -> Value {
    Value::Words(b"US", vec![value])
}

/// SQ of one item.
pub fn item(elements: Vec<(u32, Value)>) -> Value {
    Value::Items(vec![elements])
}

/// UN.
pub fn unknown(bytes: &[u8]) -> Value {
    Value::Raw(b"UN", bytes.to_vec(), bytes.len() as u32)
}

pub fn ds(text: &str) -> Value {
    Value::Text(b"DS", text.into())
}

pub fn cs(text: &str) -> Value {
    Value::Text(b"CS", text.into())
}

/// A DICOM file in the making: elements by tag number.
#[derive(Clone)]
pub struct Dicom {
    pub transfer: &'static str,
    pub elements: std::collections::BTreeMap<u32, Value>,
}

pub const ROWS: u32 = 0x0028_0010;
pub const COLUMNS: u32 = 0x0028_0011;
pub const PHOTOMETRIC: u32 = 0x0028_0004;
pub const FRAMES: u32 = 0x0028_0008;
pub const BITS_ALLOCATED: u32 = 0x0028_0100;
pub const BITS_STORED: u32 = 0x0028_0101;
pub const HIGH_BIT: u32 = 0x0028_0102;
pub const SIGNED: u32 = 0x0028_0103;
pub const PADDING: u32 = 0x0028_0120;
pub const PADDING_LIMIT: u32 = 0x0028_0121;
pub const WINDOW_CENTRE: u32 = 0x0028_1050;
pub const WINDOW_WIDTH: u32 = 0x0028_1051;
pub const INTERCEPT: u32 = 0x0028_1052;
pub const SLOPE: u32 = 0x0028_1053;
pub const VOI_FUNCTION: u32 = 0x0028_1056;
pub const MODALITY_LUT: u32 = 0x0028_3000;
pub const LUT_DESCRIPTOR: u32 = 0x0028_3002;
pub const LUT_DATA: u32 = 0x0028_3006;
pub const VOI_LUT: u32 = 0x0028_3010;
pub const PIXEL_DATA: u32 = 0x7fe0_0010;

impl Dicom {
    /// A 16-bit MONOCHROME2 image with `bits` bits stored.
    pub fn new(rows: u16, columns: u16, bits: u16, words: &[u16]) -> Self {
        let elements = [
            (0x0008_0060, cs("CR")),
            // What no message may show.
            (0x0010_0010, Value::Text(b"PN", "SECRET^NAME".into())),
            (0x0028_0002, us(1)),
            (PHOTOMETRIC, cs("MONOCHROME2")),
            (ROWS, us(rows)),
            (COLUMNS, us(columns)),
            (BITS_ALLOCATED, us(16)),
            (BITS_STORED, us(bits)),
            (HIGH_BIT, us(bits - 1)),
            (SIGNED, us(0)),
            (PIXEL_DATA, Value::Words(b"OW", words.to_vec())),
        ];
        Self {
            transfer: EXPLICIT,
            elements: elements.into(),
        }
    }

    pub fn with(mut self, tag: u32, value: Value) -> Self {
        self.elements.insert(tag, value);
        self
    }

    pub fn without(mut self, tag: u32) -> Self {
        self.elements.remove(&tag);
        self
    }

    /// The same image with its pixel data coded in another way.
    pub fn coded(mut self, transfer: &'static str, frame: Vec<u8>) -> Self {
        self.transfer = transfer;
        self.with(PIXEL_DATA, Value::Fragments(vec![Vec::new(), frame]))
    }

    pub fn in_syntax(mut self, transfer: &'static str) -> Self {
        self.transfer = transfer;
        self
    }

    /// The data set without preamble and file meta information.
    pub fn headless(&self) -> Vec<u8> {
        let writer = Writer {
            implicit: self.transfer == IMPLICIT,
            big: self.transfer == BIG_ENDIAN,
        };
        let mut out = Vec::new();
        for (&tag, value) in &self.elements {
            writer.element(&mut out, tag, value);
        }
        out
    }

    pub fn file(&self) -> Vec<u8> {
        let writer = Writer {
            implicit: false,
            big: false,
        };
        let mut meta = Vec::new();
        let uid = Value::Text(b"UI", self.transfer.into());
        writer.element(&mut meta, 0x0002_0001, &Value::Bytes(vec![0, 1]));
        writer.element(&mut meta, 0x0002_0010, &uid);
        let body = match self.transfer {
            DEFLATED => {
                let mut deflated = Vec::new();
                let body = self.headless();
                let mut source =
                    flate2::read::DeflateEncoder::new(&body[..], flate2::Compression::default());
                std::io::Read::read_to_end(&mut source, &mut deflated).expect("in memory");
                deflated
            }
            _ => self.headless(),
        };
        [&[0; 128][..], b"DICM", &meta, &body].concat()
    }
}

struct Writer {
    implicit: bool,
    big: bool,
}

impl Writer {
    fn short(&self, out: &mut Vec<u8>, value: u16) {
        out.extend(if self.big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        });
    }

    fn long(&self, out: &mut Vec<u8>, value: u32) {
        out.extend(if self.big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        });
    }

    fn tag(&self, out: &mut Vec<u8>, tag: u32) {
        self.short(out, (tag >> 16) as u16);
        self.short(out, tag as u16);
    }

    fn element(&self, out: &mut Vec<u8>, tag: u32, value: &Value) {
        let (kind, mut body, length) = self.body(value);
        if body.len() % 2 == 1 {
            body.push(if kind == b"OB" || kind == b"UI" {
                0
            } else {
                b' '
            });
        }
        let length = length.unwrap_or(body.len() as u32);
        self.tag(out, tag);
        if self.implicit {
            self.long(out, length);
        } else {
            out.extend(kind);
            if matches!(kind, b"OB" | b"OW" | b"SQ" | b"UN") {
                self.short(out, 0);
                self.long(out, length);
            } else {
                self.short(out, length as u16);
            }
        }
        out.extend(body);
    }

    /// Type, bytes, and the length to state if it is not the number of bytes.
    fn body(&self, value: &Value) -> (&'static [u8; 2], Vec<u8>, Option<u32>) {
        let mut out = Vec::new();
        match value {
            Value::Words(kind, words) => {
                words.iter().for_each(|&word| self.short(&mut out, word));
                (kind, out, None)
            }
            Value::Text(kind, text) => (kind, text.as_bytes().to_vec(), None),
            Value::Bytes(bytes) => (b"OB", bytes.clone(), None),
            Value::Raw(kind, bytes, length) => (kind, bytes.clone(), Some(*length)),
            Value::Items(items) => {
                for elements in items {
                    let mut item = Vec::new();
                    for (tag, value) in elements {
                        self.element(&mut item, *tag, value);
                    }
                    self.tag(&mut out, 0xfffe_e000);
                    self.long(&mut out, item.len() as u32);
                    out.extend(item);
                }
                (b"SQ", out, None)
            }
            Value::Fragments(fragments) => {
                for fragment in fragments {
                    self.tag(&mut out, 0xfffe_e000);
                    self.long(&mut out, fragment.len().next_multiple_of(2) as u32);
                    out.extend(fragment);
                    out.resize(out.len().next_multiple_of(2), 0);
                }
                self.tag(&mut out, 0xfffe_e0dd);
                self.long(&mut out, 0);
                (b"OB", out, Some(u32::MAX))
            }
        }
    }
}

/// The values of `ramp` in `fixtures/make_coded.py`.
pub fn ramp(rows: usize, columns: usize) -> Vec<u16> {
    (0..rows * columns)
        .map(|i| ((i / columns * 977 + i % columns * 131) % 4096) as u16)
        .collect()
}

/// An RLE frame of 16-bit words, in literal runs and repeats.
pub fn rle(words: &[u16]) -> Vec<u8> {
    let pack = |bytes: Vec<u8>| {
        let mut out = Vec::new();
        for run in bytes
            .chunk_by(|a, b| a == b)
            .flat_map(|run| run.chunks(128))
        {
            match run {
                [single] => out.extend([0, *single]),
                several => out.extend([(257 - several.len()) as u8, several[0]]),
            }
        }
        out.resize(out.len().next_multiple_of(2), 128);
        out
    };
    let high = pack(words.iter().map(|&word| (word >> 8) as u8).collect());
    let low = pack(words.iter().map(|&word| word as u8).collect());
    let mut header = vec![0_u32; 16];
    header[..3].copy_from_slice(&[2, 64, 64 + high.len() as u32]);
    let header: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    [header, high, low].concat()
}

/// A JPEG-LS frame.
pub fn jpeg_ls(words: &[u16], rows: u32, columns: u32) -> Vec<u8> {
    let mut out = Vec::new();
    jpegls::encode(words, columns, rows, &mut out).expect("a valid image");
    out
}
