//! The marker segments of a JPEG stream (ITU-T T.81 annex B).

use std::{ops::Range, rc::Rc};

use super::huffman::Huffman;

/// A component of the frame.
#[derive(Clone, Copy)]
pub(super) struct Component {
    pub id: u8,
    /// Horizontal and vertical sampling factors.
    pub sampling: (usize, usize),
}

/// The frame header.
pub(super) struct Frame {
    /// The second byte of its marker: which process.
    pub process: u8,
    pub bits: u8,
    pub rows: usize,
    pub columns: usize,
    pub components: Vec<Component>,
}

impl Frame {
    pub fn is_lossless(&self) -> bool {
        self.process == 0xc3
    }

    pub fn is_progressive(&self) -> bool {
        self.process == 0xc2
    }
}

/// A component of a scan.
pub(super) struct Scanned {
    /// In the frame.
    pub index: usize,
    pub dc: Option<Rc<Huffman>>,
    pub ac: Option<Rc<Huffman>>,
}

/// A scan: its header, the state before it, and where its data are.
pub(super) struct Scan {
    pub components: Vec<Scanned>,
    /// First and last coefficient; of a lossless scan the first is the predictor.
    pub band: (u8, u8),
    /// Successive approximation, high and low; of a lossless scan the low is the point transform.
    pub approximation: (u8, u8),
    /// MCUs from one restart marker to the next, 0 if there are none.
    pub restart_interval: usize,
    /// The bytes of the scan's header, without marker and length.
    pub header: Range<usize>,
    /// The data between its restart markers, without these.
    pub intervals: Vec<Range<usize>>,
    /// The restart markers count 0 to 7 over and over.
    pub in_order: bool,
}

/// What a stream says up to its end marker.
#[derive(Default)]
pub(super) struct Stream {
    pub frame: Option<Frame>,
    pub scans: Vec<Scan>,
    pub jfif: bool,
    /// The transformation that Adobe's marker names: 0 none, 1 YCbCr.
    pub adobe: Option<u8>,
    pub exif: Option<Range<usize>>,
    /// The table segments of entropy codes, whole.
    pub tables: Vec<Range<usize>>,
    dc: [Option<Rc<Huffman>>; 4],
    ac: [Option<Rc<Huffman>>; 4],
    restart_interval: usize,
}

impl Stream {
    /// # Errors
    ///
    /// What is wrong with the stream.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut stream = Self::default();
        let mut at = 2;
        loop {
            let marker = next_marker(bytes, at).ok_or("it has no end marker")?;
            let code = bytes[marker + 1];
            at = marker + 2;
            match code {
                0xd9 => return Ok(stream),
                // Restart markers after a scan, and what has no length.
                0x01 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let cut = "its markers";
            let length = bytes.get(at..at + 2).ok_or(cut)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let body = at + 2..at + length;
            let contents = bytes.get(body.clone()).ok_or(cut)?;
            at = body.end;
            match code {
                0xc4 => {
                    stream.tables.push(marker..at);
                    stream.read_tables(contents).ok_or("its Huffman tables")?;
                }
                0xc0..=0xcf if code != 0xc8 && code != 0xcc => {
                    if stream.frame.is_some() {
                        return Err("it has two frame headers");
                    }
                    stream.frame = Some(frame(code, contents).ok_or("its frame header")?);
                }
                0xdd => {
                    let interval = contents.first_chunk().ok_or("its restart interval")?;
                    stream.restart_interval = u16::from_be_bytes(*interval).into();
                }
                0xe0 => stream.jfif |= contents.starts_with(b"JFIF\0"),
                0xe1 if contents.starts_with(b"Exif\0\0") => {
                    stream.exif.get_or_insert(body.start + 6..body.end);
                }
                0xee if contents.starts_with(b"Adobe") => {
                    stream.adobe = contents.get(11).copied().or(stream.adobe);
                }
                0xda => {
                    let mut scan = stream.scan(contents, body).ok_or("its scan header")?;
                    at = scan.find_data(bytes, at).ok_or("it has no end marker")?;
                    stream.scans.push(scan);
                }
                _ => {}
            }
        }
    }

    fn read_tables(&mut self, mut contents: &[u8]) -> Option<()> {
        while let Some((&target, rest)) = contents.split_first() {
            let (lengths, rest) = rest.split_first_chunk::<16>()?;
            let count = lengths.iter().map(|&count| usize::from(count)).sum();
            let (values, rest) = rest.split_at_checked(count)?;
            let table = Rc::new(Huffman::new(lengths, values)?);
            let class = if target >> 4 == 0 {
                &mut self.dc
            } else {
                &mut self.ac
            };
            *class.get_mut(usize::from(target & 15))? = Some(table);
            contents = rest;
        }
        Some(())
    }

    /// The scan with this header; where its data are follows.
    fn scan(&self, contents: &[u8], header: Range<usize>) -> Option<Scan> {
        let frame = self.frame.as_ref()?;
        let (&count, rest) = contents.split_first()?;
        let (selectors, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, approximation] = rest.first_chunk()?;
        let components = selectors.chunks_exact(2).map(|selector| {
            let index = frame.components.iter().position(|c| c.id == selector[0])?;
            let table = |of: &[Option<Rc<Huffman>>; 4], at: u8| of.get(usize::from(at))?.clone();
            Some(Scanned {
                index,
                dc: table(&self.dc, selector[1] >> 4),
                ac: table(&self.ac, selector[1] & 15),
            })
        });
        let components: Vec<_> = components.collect::<Option<_>>()?;
        (!components.is_empty()).then_some(Scan {
            components,
            band: (first, last),
            approximation: (approximation >> 4, approximation & 15),
            restart_interval: self.restart_interval,
            header,
            intervals: Vec::new(),
            in_order: true,
        })
    }
}

impl Scan {
    /// Finds the data from `start` on, and returns where the marker after them is.
    fn find_data(&mut self, bytes: &[u8], mut start: usize) -> Option<usize> {
        loop {
            let marker = next_marker(bytes, start)?;
            self.intervals.push(start..marker);
            let code = bytes[marker + 1];
            if !(0xd0..=0xd7).contains(&code) {
                return Some(marker);
            }
            self.in_order &= usize::from(code - 0xd0) == (self.intervals.len() - 1) % 8;
            start = marker + 2;
        }
    }
}

/// Where the next marker is: an ff that neither a zero nor another ff follows.
fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    let mut pairs = bytes.get(from..)?.windows(2);
    pairs
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))
        .map(|at| from + at)
}

fn frame(process: u8, contents: &[u8]) -> Option<Frame> {
    let (&[bits, y1, y0, x1, x0, count], rest) = contents.split_first_chunk()?;
    let components = rest.get(..3 * usize::from(count))?.chunks_exact(3);
    let components = components.map(|component| {
        let sampling = (component[1] >> 4, component[1] & 15);
        let valid = (1..=4).contains(&sampling.0) && (1..=4).contains(&sampling.1);
        valid.then_some(Component {
            id: component[0],
            sampling: (sampling.0.into(), sampling.1.into()),
        })
    });
    Some(Frame {
        process,
        bits,
        rows: u16::from_be_bytes([y1, y0]).into(),
        columns: u16::from_be_bytes([x1, x0]).into(),
        components: components.collect::<Option<_>>()?,
    })
}
