//! The elements of a data set, one after another (DICOM PS3.5 section 7).

use dicom_core::Tag;

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    /// Without value representations.
    pub implicit: bool,
    pub big_endian: bool,
}

impl Syntax {
    /// Nested data sets of unknown type are written so, whatever is around them (PS3.5 6.2.2).
    const IMPLICIT: Self = Self {
        implicit: true,
        big_endian: false,
    };
}

/// A value representation: two letters.
pub(super) type Vr = [u8; 2];

/// The start of an element or of an item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub tag: Tag,
    /// `UN` where none is written.
    pub vr: Vr,
    /// In bytes; `None` if a delimiter ends the value.
    pub length: Option<usize>,
}

pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
pub(super) const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// How deep sequences may lie in each other.
const MAX_DEPTH: usize = 64;

/// What is left of a data set. Each method gives `None` if it ends too early.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    pub syntax: Syntax,
}

impl<'a> Elements<'a> {
    pub fn new(rest: &'a [u8], syntax: Syntax) -> Self {
        Self { rest, syntax }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn header(&mut self) -> Option<Header> {
        let tag = Tag(self.short()?, self.short()?);
        if self.syntax.implicit || tag.group() == ITEM.group() {
            let length = self.length()?;
            return Some(Header {
                tag,
                vr: *b"UN",
                length,
            });
        }
        let vr: Vr = *self.bytes(2)?.first_chunk()?;
        if !vr.iter().all(u8::is_ascii_uppercase) {
            return None;
        }
        let length = if is_long(vr) {
            self.bytes(2)?;
            self.length()?
        } else {
            Some(self.short()?.into())
        };
        Some(Header { tag, vr, length })
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    /// Passes over the value that follows `header`, whatever is in it.
    pub fn skip(&mut self, header: Header) -> Option<()> {
        self.skip_at(header, 0)
    }

    fn skip_at(&mut self, header: Header, depth: usize) -> Option<()> {
        if let Some(length) = header.length {
            return self.bytes(length).map(|_| ());
        }
        if depth == MAX_DEPTH {
            return None;
        }
        let mut inner = Self::new(self.rest, self.inside(header));
        loop {
            let item = inner.header()?;
            match (item.tag, item.length) {
                (SEQUENCE_END, _) => break,
                (ITEM, Some(length)) => drop(inner.bytes(length)?),
                (ITEM, None) => loop {
                    let element = inner.header()?;
                    if element.tag == ITEM_END {
                        break;
                    }
                    inner.skip_at(element, depth + 1)?;
                },
                _ => return None,
            }
        }
        self.rest = inner.rest;
        Some(())
    }

    /// The elements of the first item of the sequence that follows `header`, empty if it has none;
    /// passes over all of it.
    pub fn first_item(&mut self, header: Header) -> Option<Self> {
        let start = self.rest;
        self.skip(header)?;
        let length = start.len() - self.rest.len();
        let mut inside = Self::new(&start[..length], self.inside(header));
        if inside.is_empty() {
            return Some(inside);
        }
        let item = inside.header()?;
        match (item.tag, item.length) {
            (ITEM, Some(length)) => Some(Self::new(inside.bytes(length)?, inside.syntax)),
            (ITEM, None) => Some(inside),
            _ => Some(Self::new(&[], inside.syntax)),
        }
    }

    /// The next element of an item, up to its end or delimiter.
    pub fn next_in_item(&mut self) -> Option<Header> {
        self.header().filter(|element| element.tag != ITEM_END)
    }

    fn inside(&self, header: Header) -> Syntax {
        if header.vr == *b"UN" && !self.syntax.implicit {
            Syntax::IMPLICIT
        } else {
            self.syntax
        }
    }

    fn short(&mut self) -> Option<u16> {
        let bytes = *self.bytes(2)?.first_chunk()?;
        Some(if self.syntax.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn length(&mut self) -> Option<Option<usize>> {
        let bytes = *self.bytes(4)?.first_chunk()?;
        let length = if self.syntax.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        };
        Some((length != u32::MAX).then_some(length as usize))
    }
}

/// Whether a length of four bytes follows `vr`, after two that are not used (PS3.5 table 7.1-1).
pub(super) fn is_long(vr: Vr) -> bool {
    matches!(
        &vr,
        b"OB"
            | b"OD"
            | b"OF"
            | b"OL"
            | b"OV"
            | b"OW"
            | b"SQ"
            | b"SV"
            | b"UC"
            | b"UN"
            | b"UR"
            | b"UT"
            | b"UV"
    )
}

/// Whether the data set that starts with `body` names a value representation of the standard.
pub(super) fn starts_explicit(body: &[u8]) -> bool {
    let Some(&[a, b]) = body.get(4..6).and_then(<[u8]>::first_chunk) else {
        return false;
    };
    let vr = [a, b];
    is_long(vr)
        || matches!(
            &vr,
            b"AE"
                | b"AS"
                | b"AT"
                | b"CS"
                | b"DA"
                | b"DS"
                | b"DT"
                | b"FD"
                | b"FL"
                | b"IS"
                | b"LO"
                | b"LT"
                | b"PN"
                | b"SH"
                | b"SL"
                | b"SS"
                | b"ST"
                | b"TM"
                | b"UI"
                | b"UL"
                | b"US"
        )
}
