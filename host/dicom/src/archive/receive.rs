//! A receiver of films: C-STORE of plain radiographs, and C-ECHO.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use dicom_dictionary_std::uids;
use dicom_object::FileMetaTableBuilder;
use dicom_ul::{
    Pdu, ServerAssociation, ServerAssociationOptions,
    association::server::{AcceptCalledAeTitle, DefaultNegotiation},
    pdu::{PDataValue, PDataValueType},
};
use medfocus_plugin_api::{Error, Result};

use super::{
    command::{DONE, ECHO, Message, NO_ROOM, NOT_UNDERSTOOD, STORE, UNKNOWN},
    peer::Peer,
};
use crate::uid;

/// What it takes.
const CLASSES: [&str; 4] = [
    uids::VERIFICATION,
    uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
];
/// As it is stored, if whoever sends it has it so.
const SYNTAXES: [&str; 2] = [
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
];
/// At most so many send at the same time.
const SENDERS: usize = 8;
/// A command is short.
const COMMAND: usize = 1 << 16;
/// How long it sleeps between looking whether somebody calls.
const REST: Duration = Duration::from_millis(50);

/// Listens for films.
pub struct Receiver {
    listener: TcpListener,
    options: ServerAssociationOptions<'static, AcceptCalledAeTitle, DefaultNegotiation>,
    limit: usize,
}

impl Receiver {
    /// Begins to listen under this title and at this address; films have at most `limit` bytes, and who is silent for longer
    /// than `patience` is hung up on.
    ///
    /// # Errors
    ///
    /// Nobody can listen there.
    pub fn open(at: &Peer, limit: usize, patience: Duration) -> Result<Self> {
        let failed = |error: io::Error| {
            Error::invalid(format!("nobody can listen at {}: {error}", at.address))
        };
        let listener = TcpListener::bind(&at.address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let mut options = ServerAssociationOptions::new()
            .accept_called_ae_title()
            .ae_title(at.title.clone())
            .strict(true)
            .read_timeout(patience)
            .write_timeout(patience);
        for class in CLASSES {
            options = options.with_abstract_syntax(class);
        }
        for syntax in SYNTAXES {
            options = options.with_transfer_syntax(syntax);
        }
        Ok(Self {
            listener,
            options,
            limit,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener
            .local_addr()
            .map_err(|error| Error::internal(format!("the receiver has no address: {error}")))
    }

    /// Takes films until `stopped`, as files of DICOM part 10. Only when `store` has a film, its sender is told so.
    pub fn serve(&self, stopped: impl Fn() -> bool, store: impl Fn(Vec<u8>) -> Result<()> + Sync) {
        let senders: Mutex<Vec<(SocketAddr, TcpStream)>> = Mutex::default();
        let senders = || senders.lock().unwrap_or_else(PoisonError::into_inner);
        thread::scope(|scope| {
            while !stopped() {
                let Ok((stream, from)) = self.listener.accept() else {
                    thread::sleep(REST);
                    continue;
                };
                let Ok(handle) = stream.try_clone() else {
                    continue;
                };
                if senders().len() >= SENDERS {
                    tracing::warn!("a sender of films was hung up on: {SENDERS} are sending");
                    continue;
                }
                senders().push((from, handle));
                let (store, senders) = (&store, &senders);
                scope.spawn(move || {
                    let taken = catch_unwind(AssertUnwindSafe(|| self.attend(stream, store)));
                    if !matches!(taken, Ok(Ok(()))) {
                        tracing::warn!("a sender of films broke off, or was hung up on");
                    }
                    senders().retain(|(other, _)| *other != from);
                });
            }
            for (_, stream) in senders().iter() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        });
    }

    /// One sender, to the end.
    fn attend(&self, stream: TcpStream, store: &impl Fn(Vec<u8>) -> Result<()>) -> Result<()> {
        let broken = |_| Error::invalid("broken off");
        let mut association = self.options.establish(stream).map_err(broken)?;
        let mut command = Vec::new();
        let mut pending: Option<Message> = None;
        let mut data = Vec::new();
        loop {
            let values = match association.receive().map_err(broken)? {
                Pdu::PData { data } => data,
                Pdu::ReleaseRQ => {
                    return association.send(&Pdu::ReleaseRP).map_err(broken);
                }
                _ => return Err(Error::invalid("broken off")),
            };
            for value in values {
                let context = value.presentation_context_id;
                match value.value_type {
                    PDataValueType::Command => {
                        command.extend(value.data);
                        if command.len() > COMMAND {
                            return Err(Error::invalid("a command is too long"));
                        }
                        if value.is_last {
                            let message = Message::read(&command)?;
                            command.clear();
                            if message.goes_on() {
                                pending = Some(message);
                            } else {
                                let status = if message.field() == ECHO {
                                    DONE
                                } else {
                                    UNKNOWN
                                };
                                answer(&mut association, context, &message.answer(status))?;
                            }
                        }
                    }
                    PDataValueType::Data => {
                        // One byte more tells that it is too many; the rest is let pass.
                        let room = (self.limit + 1).saturating_sub(data.len());
                        data.extend(value.data.into_iter().take(room));
                        if value.is_last {
                            let message = pending
                                .take()
                                .ok_or_else(|| Error::invalid("data without a command"))?;
                            let film = std::mem::take(&mut data);
                            let status = self.take(&association, context, &message, film, store);
                            answer(&mut association, context, &message.answer(status))?;
                        }
                    }
                }
            }
        }
    }

    /// The status of this film once it is stored, or of what kept it from being so.
    fn take(
        &self,
        association: &ServerAssociation<TcpStream>,
        context: u8,
        message: &Message,
        data: Vec<u8>,
        store: &impl Fn(Vec<u8>) -> Result<()>,
    ) -> u16 {
        if message.field() != STORE {
            return UNKNOWN;
        }
        if data.len() > self.limit {
            tracing::warn!("a film of more than {} bytes was refused", self.limit);
            return NO_ROOM;
        }
        let [class, instance] = message.about();
        let contexts = association.presentation_contexts().iter();
        let syntax = contexts
            .filter(|known| known.id == context)
            .map(|known| known.transfer_syntax.trim_matches(['\0', ' ']).to_owned())
            .next();
        let (Some(syntax), true) = (syntax, uid::is_valid(&instance) && uid::is_valid(&class))
        else {
            return NOT_UNDERSTOOD;
        };
        let Some(bytes) = file(&class, &instance, &syntax, &data) else {
            return NOT_UNDERSTOOD;
        };
        match store(bytes) {
            Ok(()) => DONE,
            Err(error) => {
                tracing::warn!("a film could not be kept: {error}");
                NO_ROOM
            }
        }
    }
}

/// A file of a data set as it came.
fn file(class: &str, instance: &str, syntax: &str, data: &[u8]) -> Option<Vec<u8>> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(class)
        .media_storage_sop_instance_uid(instance)
        .transfer_syntax(syntax)
        .build()
        .ok()?;
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    meta.write(&mut bytes).ok()?;
    bytes.extend(data);
    Some(bytes)
}

fn answer(
    association: &mut ServerAssociation<TcpStream>,
    context: u8,
    message: &Message,
) -> Result<()> {
    let pdu = Pdu::PData {
        data: vec![PDataValue {
            presentation_context_id: context,
            value_type: PDataValueType::Command,
            is_last: true,
            data: message.bytes()?,
        }],
    };
    association
        .send(&pdu)
        .map_err(|_| Error::invalid("broken off"))
}
