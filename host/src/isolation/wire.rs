//! Messages between two processes of one machine: JSON over a Unix socket, tensors in memory that both see.
//!
//! A packet is four bytes with the length of its head, the head, the body. The head says what the packet is, how long
//! its body is and of which shape its tensors are. These lie one after the other, row by row, in a memory file whose
//! descriptor comes along with the first byte; it is sealed, so the receiver reads them where they are.

#![allow(
    unsafe_code,
    reason = "tensors are read from memory of another process"
)]

use std::{
    fs::File,
    io::{IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    time::Duration,
};

use medfocus_plugin_api::{Dtype, Element, Error, Message, Tensor};
use memmap2::Mmap;
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Bytes of a head at most.
const HEAD: usize = 1 << 20;
/// Bytes of a body at most.
const BODY: u64 = 1 << 30;
/// Tensors begin at multiples of so many bytes.
const ALIGNMENT: usize = 64;
/// How often whoever waits looks up.
const PULSE: Duration = Duration::from_millis(50);
/// What a memory file of tensors may no longer do.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE)
    .union(SealFlags::SEAL);

/// One end of the line.
#[derive(Debug)]
pub struct Wire(UnixStream);

/// Why nothing more comes over a line.
#[derive(Debug)]
pub enum Broken {
    /// The other side is no more.
    Gone,
    /// What it sent cannot be read, with the reason.
    Garbled(String),
    /// Whoever waited gave up.
    GivenUp(Error),
}

/// Asked again and again while one waits; an error gives up.
pub type Patience<'a> = dyn FnMut() -> Result<(), Error> + 'a;

#[derive(Serialize, Deserialize)]
struct Head<K> {
    kind: K,
    body: u64,
    tensors: Vec<Part>,
}

/// A tensor in the memory file.
#[derive(Serialize, Deserialize)]
struct Part {
    dtype: Dtype,
    shape: Vec<usize>,
    offset: usize,
}

impl Wire {
    /// An end of a connected socket.
    ///
    /// # Errors
    ///
    /// It is no socket.
    pub fn new(socket: UnixStream) -> std::io::Result<Self> {
        socket.set_read_timeout(Some(PULSE))?;
        socket.set_write_timeout(Some(PULSE))?;
        Ok(Self(socket))
    }

    /// The end that is standard input, which is then empty: what runs here must not read it.
    ///
    /// # Errors
    ///
    /// It is no socket.
    pub fn of_stdin() -> std::io::Result<Self> {
        let socket: OwnedFd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let wire = Self::new(UnixStream::from(socket))?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(wire)
    }

    /// Ends the line: the other side reads no more.
    ///
    /// # Errors
    ///
    /// It has ended already.
    pub fn close(&self) -> std::io::Result<()> {
        self.0.shutdown(Shutdown::Both)
    }

    /// Sends a packet of a kind with a message.
    pub fn send<K: Serialize>(
        &self,
        kind: &K,
        message: &Message,
        patience: &mut Patience<'_>,
    ) -> Result<(), Broken> {
        let internal = |error: &dyn std::fmt::Display| {
            Broken::GivenUp(Error::internal(format!("a packet cannot be made: {error}")))
        };
        let (parts, memory) = share(message.tensors()).map_err(|error| internal(&error))?;
        let head = serde_json::to_vec(&Head {
            kind,
            body: message.body().len() as u64,
            tensors: parts,
        });
        let head = head.map_err(|error| internal(&error))?;
        let mut bytes = (head.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(head);
        let first = self.send_some(&bytes, memory.as_ref(), patience)?;
        self.send_all(&bytes[first..], patience)?;
        self.send_all(message.body(), patience)
    }

    /// Waits for a packet.
    pub fn receive<K: DeserializeOwned>(
        &self,
        patience: &mut Patience<'_>,
    ) -> Result<(K, Message), Broken> {
        let (mut length, mut memory) = ([0; 4], None);
        self.receive_all(&mut length, Some(&mut memory), patience)?;
        let length = u32::from_ne_bytes(length) as usize;
        if length > HEAD {
            return Err(Broken::Garbled(format!("a head of {length} bytes")));
        }
        let mut head = vec![0; length];
        self.receive_all(&mut head, None, patience)?;
        let head: Head<K> =
            serde_json::from_slice(&head).map_err(|error| Broken::Garbled(error.to_string()))?;
        if head.body > BODY {
            return Err(Broken::Garbled(format!("a body of {} bytes", head.body)));
        }
        let mut body = Vec::new();
        // Memory is taken as it is filled, whatever length was said.
        while (body.len() as u64) < head.body {
            let begun = body.len();
            body.resize(begun + (head.body as usize - begun).min(1 << 20), 0);
            self.receive_all(&mut body[begun..], None, patience)?;
        }
        let tensors = seen(head.tensors, memory).map_err(Broken::Garbled)?;
        Ok((head.kind, Message::from_parts(body, tensors)))
    }

    fn send_all(&self, mut bytes: &[u8], patience: &mut Patience<'_>) -> Result<(), Broken> {
        while !bytes.is_empty() {
            bytes = &bytes[self.send_some(bytes, None, patience)?..];
        }
        Ok(())
    }

    fn send_some(
        &self,
        bytes: &[u8],
        memory: Option<&OwnedFd>,
        patience: &mut Patience<'_>,
    ) -> Result<usize, Broken> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        loop {
            let mut along = SendAncillaryBuffer::new(&mut space);
            let files = memory.map(AsFd::as_fd);
            if let Some(file) = &files {
                along.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(file)));
            }
            let flags = SendFlags::NOSIGNAL;
            match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut along, flags) {
                Ok(sent) => return Ok(sent),
                Err(error) => wait(error, patience)?,
            }
        }
    }

    fn receive_all(
        &self,
        mut bytes: &mut [u8],
        mut memory: Option<&mut Option<OwnedFd>>,
        patience: &mut Patience<'_>,
    ) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut along = RecvAncillaryBuffer::new(&mut space);
            let into = &mut [IoSliceMut::new(bytes)];
            match recvmsg(&self.0, into, &mut along, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) if received.bytes == 0 => return Err(Broken::Gone),
                Ok(received) => {
                    // Files that nobody expects are closed as they are dropped.
                    let files = along.drain().filter_map(|message| match message {
                        RecvAncillaryMessage::ScmRights(files) => Some(files),
                        _ => None,
                    });
                    let file = files.flatten().next();
                    if let (Some(place), Some(file)) = (&mut memory, file) {
                        place.get_or_insert(file);
                    }
                    bytes = &mut bytes[received.bytes..];
                }
                Err(error) => wait(error, patience)?,
            }
        }
        Ok(())
    }
}

/// Whether to try again after an error.
fn wait(error: Errno, patience: &mut Patience<'_>) -> Result<(), Broken> {
    match error {
        Errno::INTR => Ok(()),
        Errno::AGAIN => patience().map_err(Broken::GivenUp),
        Errno::PIPE | Errno::CONNRESET => Err(Broken::Gone),
        other => Err(Broken::Garbled(format!("the line failed: {other}"))),
    }
}

/// Copies tensors into one sealed memory file.
fn share(tensors: &[Tensor]) -> std::io::Result<(Vec<Part>, Option<OwnedFd>)> {
    if tensors.is_empty() {
        return Ok((Vec::new(), None));
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("tensors", flags)?);
    let (mut parts, mut end) = (Vec::new(), 0_usize);
    for tensor in tensors {
        let padding = end.next_multiple_of(ALIGNMENT) - end;
        file.write_all(&[0; ALIGNMENT][..padding])?;
        let bytes = tensor.native_bytes();
        file.write_all(&bytes)?;
        parts.push(Part {
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            offset: end + padding,
        });
        end += padding + bytes.len();
    }
    let file = OwnedFd::from(file);
    fcntl_add_seals(&file, SEALS)?;
    Ok((parts, Some(file)))
}

/// Tensors where they lie in a memory file that came along.
fn seen(parts: Vec<Part>, memory: Option<OwnedFd>) -> Result<Vec<Tensor>, String> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let memory = memory.ok_or("tensors without their memory")?;
    // Sealed, it can neither change nor be cut off under the map.
    match fcntl_get_seals(&memory) {
        Ok(seals) if seals.contains(SEALS) => {}
        _ => return Err("tensors in memory that may still change".to_owned()),
    }
    let file = File::from(memory);
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let map = match size {
        0 => None,
        // SAFETY: the file is sealed.
        _ => Some(Arc::new(
            unsafe { Mmap::map(&file) }.map_err(|error| error.to_string())?,
        )),
    };
    let parts = parts.into_iter();
    parts.map(|part| part.tensor(map.as_ref())).collect()
}

impl Part {
    fn tensor(&self, map: Option<&Arc<Mmap>>) -> Result<Tensor, String> {
        match self.dtype {
            Dtype::U8 => self.of::<u8>(map),
            Dtype::I32 => self.of::<i32>(map),
            Dtype::I64 => self.of::<i64>(map),
            Dtype::F32 => self.of::<f32>(map),
            Dtype::F64 => self.of::<f64>(map),
        }
    }

    fn of<T: Element>(&self, map: Option<&Arc<Mmap>>) -> Result<Tensor, String> {
        let outside = || format!("a tensor of shape {:?} outside its memory", self.shape);
        let product = |n: usize, &m: &usize| n.checked_mul(m);
        let elements = self.shape.iter().try_fold(1, product).ok_or_else(outside)?;
        // Row-major, each stride within bounds where the product is; axes before an empty one may be of any length.
        let mut strides: Vec<usize> = Vec::new();
        let mut step = 1_usize;
        for &n in self.shape.iter().rev() {
            strides.push(step);
            step = step.checked_mul(n.max(1)).ok_or_else(outside)?;
        }
        strides.reverse();
        let bytes = elements.checked_mul(size_of::<T>()).ok_or_else(outside)?;
        let end = self.offset.checked_add(bytes).ok_or_else(outside)?;
        let data = match map {
            Some(map) if end <= map.len() && self.offset.is_multiple_of(ALIGNMENT) => {
                map[self.offset..].as_ptr()
            }
            None if elements == 0 => std::ptr::NonNull::<T>::dangling().as_ptr().cast(),
            _ => return Err(outside()),
        };
        // SAFETY: aligned, since maps begin at pages; within the map, which `map` keeps and nobody writes to; and any bits are
        // a number.
        Ok(unsafe { Tensor::from_raw::<T>(data.cast(), &self.shape, &strides, map.cloned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, Ix2, arr2};
    use proptest::{
        collection::vec,
        option,
        prelude::*,
        sample::{Index, select},
    };
    use std::thread;

    fn pair() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        (Wire::new(one).unwrap(), Wire::new(other).unwrap())
    }

    fn ever() -> Result<(), Error> {
        Ok(())
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let (here, there) = pair();
        let transposed = Tensor::from_array(arr2(&[[1.5_f32, 2.5], [3.5, 4.5]]).reversed_axes());
        let bytes = Tensor::from_array(Array1::from(vec![7_u8; 3]));
        let large = Tensor::from_array(Array2::<f64>::from_elem((1000, 700), 0.25));
        let nothing = Tensor::from_array(Array2::<i64>::zeros((0, 5)));
        let sent = (transposed, bytes, large, nothing, "é".repeat(3 << 20));
        let message = Message::pack(&sent).unwrap();
        let sender = thread::spawn(move || {
            here.send(&"kind", &message, &mut ever).unwrap();
            here.send(&"then", &Message::default(), &mut ever).unwrap();
        });
        let (kind, message) = there.receive::<String>(&mut ever).unwrap();
        assert_eq!(kind, "kind");
        let (transposed, bytes, large, nothing, text): (Tensor, Tensor, Tensor, Tensor, String) =
            message.unpack().unwrap();
        assert_eq!(
            transposed.view_nd::<f32, Ix2>().unwrap(),
            arr2(&[[1.5, 3.5], [2.5, 4.5]])
        );
        assert_eq!(bytes.to_bytes(), [7; 3]);
        assert!(large.view::<f64>().unwrap().iter().all(|&x| x == 0.25));
        assert_eq!(
            (large.shape(), nothing.shape()),
            (&[1000, 700][..], &[0, 5][..])
        );
        assert_eq!(text.len(), 6 << 20);
        let (kind, message) = there.receive::<String>(&mut ever).unwrap();
        assert_eq!((kind.as_str(), message.body()), ("then", &b""[..]));
        sender.join().unwrap();
        assert!(matches!(
            there.receive::<String>(&mut ever),
            Err(Broken::Gone)
        ));
    }

    #[test]
    fn whoever_waits_may_give_up() {
        let (here, _there) = pair();
        let mut pulses = 0;
        let received = here.receive::<String>(&mut || {
            pulses += 1;
            if pulses == 2 {
                Err(Error::cancelled())
            } else {
                Ok(())
            }
        });
        assert!(matches!(received, Err(Broken::GivenUp(_))));
        // And so may whoever sends to one that does not read.
        let message = Message::from_parts(vec![0; 64 << 20], Vec::new());
        let sent = here.send(&"k", &message, &mut || Err(Error::cancelled()));
        assert!(matches!(sent, Err(Broken::GivenUp(_))));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let garbled = |bytes: &[u8]| {
            let (one, other) = UnixStream::pair().unwrap();
            (&one).write_all(bytes).unwrap();
            drop(one);
            match Wire::new(other).unwrap().receive::<String>(&mut ever) {
                Err(Broken::Garbled(why)) => why,
                other => panic!("{other:?}"),
            }
        };
        let packet =
            |head: &str| [&(head.len() as u32).to_ne_bytes()[..], head.as_bytes()].concat();
        assert!(garbled(&[255; 8]).contains("a head of"));
        garbled(&packet("{"));
        let huge = packet(r#"{"kind":"k","body":18446744073709551615,"tensors":[]}"#);
        assert!(garbled(&huge).contains("a body of"));
        let part = r#"{"dtype":"f32","shape":[2],"offset":0}"#;
        let alone = packet(&format!(r#"{{"kind":"k","body":0,"tensors":[{part}]}}"#));
        assert!(garbled(&alone).contains("without their memory"));
    }

    #[test]
    fn tensors_must_lie_in_sealed_memory() {
        let part = |shape: &[usize], offset| Part {
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            offset,
        };
        let memory = |seals: SealFlags, bytes: usize| {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let mut file = File::from(memfd_create("t", flags).unwrap());
            file.write_all(&vec![0; bytes]).unwrap();
            let file = OwnedFd::from(file);
            fcntl_add_seals(&file, seals).unwrap();
            Some(file)
        };
        let whole = |part| seen(vec![part], memory(SEALS, 8)).map(|tensors| tensors.len());
        assert_eq!(whole(part(&[2], 0)), Ok(1));
        for wrong in [
            part(&[3], 0),
            part(&[1], 4),
            part(&[1], usize::MAX - 3),
            part(&[usize::MAX, 2], 0),
            part(&[0, usize::MAX, 2], 0),
        ] {
            whole(wrong).unwrap_err();
        }
        for seals in [SealFlags::SHRINK, SealFlags::WRITE | SealFlags::GROW] {
            let open = seen(vec![part(&[2], 0)], memory(seals, 8)).unwrap_err();
            assert!(open.contains("may still change"), "{open}");
        }
        assert!(seen(vec![part(&[0], 0)], memory(SEALS, 0)).is_ok());
        assert!(seen(vec![part(&[1], 0)], memory(SEALS, 0)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_damaged_packet_is_refused_or_read_within_its_memory(
            damages in vec((any::<Index>(), prop_oneof![any::<u8>(), select(&b"0123456789-[]\","[..])]), 0..4),
            length in option::of(0_u32..200),
            end in option::of(any::<Index>()),
        ) {
            let tensors = [
                Tensor::from_array(arr2(&[[1.5_f32, 2.5], [3.5, 4.5]])),
                Tensor::from_array(Array1::from(vec![7_u8; 30])),
            ];
            let (tensors, memory) = share(&tensors).unwrap();
            let mut head = serde_json::to_vec(&Head { kind: "k", body: 3, tensors }).unwrap();
            for (at, byte) in damages {
                *at.get_mut(&mut head) = byte;
            }
            let length = length.unwrap_or(head.len() as u32).to_ne_bytes();
            let mut packet = [&length, &head[..], b"123"].concat();
            packet.truncate(end.map_or(packet.len(), |end| end.index(packet.len())));
            let (here, there) = pair();
            if !packet.is_empty() {
                let sent = here.send_some(&packet, memory.as_ref(), &mut ever).unwrap();
                prop_assert_eq!(sent, packet.len());
            }
            drop(here);
            if let Ok((_, message)) = there.receive::<String>(&mut ever) {
                for tensor in message.tensors() {
                    let size = tensor.shape().iter().product::<usize>();
                    prop_assert!(tensor.to_bytes().len() >= size);
                }
            }
        }
    }
}
