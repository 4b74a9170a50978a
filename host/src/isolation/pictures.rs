//! Image files from outside are decoded where nothing can be done but compute.
//!
//! Each file has a process of its own: it is sent the bytes, sends the picture back and is ended. It cannot open a file,
//! reach another process or the network, and its memory is limited; whatever a file makes of a decoder stays there.

use std::{
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use medfocus_imaging::picture;
use medfocus_plugin_api::{Error, ErrorKind, Message, Picture, Result, Tensor, ndarray::Array1};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::{
    Isolation,
    process::{self, Process},
    sandbox,
    wire::{Broken, Wire},
};

/// How long a file is decoded at most: one of [`MAX_PIXELS`](medfocus_imaging::decode::MAX_PIXELS) takes seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// Memory of a decoder at most, in MiB: the largest image in double precision eight times.
const MEMORY_MIB: u64 = 4096;

/// Who decodes image files.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// The program that is started for a file; nothing: they are decoded in this process.
    program: Option<PathBuf>,
}

/// What is said on the line.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// A file's bytes, to be decoded.
    Decode,
    /// The picture.
    Decoded,
    /// Why there is none.
    Refused(Error),
}

impl Pictures {
    /// Decoding as the config wants it.
    pub fn new(isolation: &Isolation) -> Self {
        let program = || process::program(isolation.program.as_deref());
        Self {
            program: isolation.images.then(program).flatten(),
        }
    }

    /// The image in the bytes of a PNG, JPEG, TIFF or DICOM file. Who waits is asked whether to stop.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if they hold no image that can be decoded, [`ErrorKind::Panicked`] if the decoder came to an end,
    /// [`Error::cancelled`].
    pub fn decode(&self, bytes: &[u8], cancelled: &dyn Fn() -> bool) -> Result<Picture> {
        let Some(program) = &self.program else {
            return picture::here(bytes);
        };
        // What a decoder prints may be what the file holds.
        let (out, errors) = (Stdio::null(), Stdio::null());
        let mut process =
            Process::start(program, &["decode-host"], out, errors).map_err(|error| {
                Error::internal(format!(
                    "no process can be started to decode an image: {error}"
                ))
            })?;
        let begun = Instant::now();
        let mut patience = || match (cancelled(), begun.elapsed() > LIMIT) {
            (true, _) => Err(Error::cancelled()),
            (_, true) => Err(dead(format!("took longer than {} s", LIMIT.as_secs()))),
            _ => Ok(()),
        };
        let bytes = Tensor::from_array(Array1::from(bytes.to_vec()));
        let answer = Message::pack(&bytes).map(|message| {
            process.wire.send(&Word::Decode, &message, &mut patience)?;
            process.wire.receive::<Word>(&mut patience)
        })?;
        let result = match answer {
            Ok((Word::Decoded, picture)) => picture.unpack(),
            Ok((Word::Refused(error), _)) => Err(error),
            Ok((Word::Decode, _)) => Err(dead("spoke out of turn".to_owned())),
            Err(Broken::GivenUp(error)) => Err(error),
            Err(Broken::Garbled(why)) => Err(dead(format!("said what cannot be read ({why})"))),
            Err(Broken::Gone) => Err(dead(process.fate())),
        };
        process.end();
        result
    }
}

fn dead(what: String) -> Error {
    Error::new(ErrorKind::Panicked, format!("its decoder {what}")).with_hint(
        "the file may be damaged, or made to do harm: convert it with another program where that is safe",
    )
}

/// Decodes the file that comes over standard input, and nothing else: `medfocus decode-host`.
pub fn serve() -> ExitCode {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let Ok(wire) = Wire::of_stdin() else {
        eprintln!("medfocus: `decode-host` is started by medfocus itself, for an image file");
        return ExitCode::from(2);
    };
    let confined = sandbox::only_compute(MEMORY_MIB);
    let answer = wire
        .receive(&mut || Ok(()))
        .map(|(word, file)| match word {
            Word::Decode => confined.and_then(|()| decoded(file)),
            word => Err(Error::protocol(format!("{word:?} out of turn"))),
        })
        .and_then(|answer| match answer {
            Ok(picture) => wire.send(&Word::Decoded, &picture, &mut || Ok(())),
            Err(error) => wire.send(&Word::Refused(error), &Message::default(), &mut || Ok(())),
        });
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

fn decoded(file: Message) -> Result<Message> {
    let bytes: Tensor = file.unpack()?;
    Message::pack(&picture::here(&bytes.native_bytes())?)
}
