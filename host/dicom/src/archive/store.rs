//! C-STORE: objects over an association.

use std::{
    error::Error as _,
    io::{self, ErrorKind, Write as _},
    net::TcpStream,
};

use dicom_dictionary_std::{tags, uids};
use dicom_object::from_reader;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use dicom_ul::{
    ClientAssociation, ClientAssociationOptions, Pdu,
    association::Error as Trouble,
    pdu::{PDataValue, PDataValueType, PresentationContextResultReason},
};
use medfocus_plugin_api::{Error, Result};

use super::{
    Speaking,
    command::{DONE, Message},
    peer::Peer,
};
use crate::elements::Set;

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;

/// Stores these files one after the other.
pub fn send(peer: &Peer, files: &[&[u8]], speaking: &Speaking) -> Result<()> {
    let objects: Vec<Set> = files.iter().map(|file| open(file)).collect::<Result<_>>()?;
    let classes = objects
        .iter()
        .map(|object| uid(object, tags::SOP_CLASS_UID));
    let mut options = ClientAssociationOptions::new()
        .calling_ae_title(speaking.title.as_str())
        .connection_timeout(speaking.patience)
        .read_timeout(speaking.patience)
        .write_timeout(speaking.patience);
    for class in classes {
        options = options
            .with_presentation_context(class, vec![EXPLICIT.to_owned(), IMPLICIT.to_owned()]);
    }
    let failed = |trouble: &Trouble| sentence(peer, speaking, trouble);
    let mut association = options
        .establish_with(&peer.to_string())
        .map_err(|trouble| failed(&trouble))?;
    for (number, object) in (1..).zip(&objects) {
        store(&mut association, object, number, peer, speaking)?;
    }
    // All are stored: whatever the archive makes of the goodbye.
    let _ = association.release();
    Ok(())
}

fn open(file: &[u8]) -> Result<Set> {
    from_reader(file)
        .map(|file| file.into_inner())
        .map_err(|_| Error::invalid("a file that is to be sent is no DICOM object"))
}

fn uid(object: &Set, tag: dicom_core::Tag) -> String {
    let text = object.get(tag).and_then(|found| found.to_str().ok());
    text.unwrap_or_default()
        .trim_matches(['\0', ' '])
        .to_owned()
}

fn store(
    association: &mut ClientAssociation<TcpStream>,
    object: &Set,
    number: u16,
    peer: &Peer,
    speaking: &Speaking,
) -> Result<()> {
    let class = uid(object, tags::SOP_CLASS_UID);
    let instance = uid(object, tags::SOP_INSTANCE_UID);
    let accepted = association.presentation_contexts().iter().find(|context| {
        context.abstract_syntax == class
            && context.reason == PresentationContextResultReason::Acceptance
    });
    let accepted = accepted.ok_or_else(|| {
        let name = named(&class);
        Error::unsupported(format!(
            "the archive {peer} takes no objects of the class {name}"
        ))
    })?;
    let (context, implicit) = (accepted.id, accepted.transfer_syntax == IMPLICIT);
    let syntax = if implicit {
        IMPLICIT_VR_LITTLE_ENDIAN.erased()
    } else {
        EXPLICIT_VR_LITTLE_ENDIAN.erased()
    };
    let mut bytes = Vec::new();
    object
        .write_dataset_with_ts(&mut bytes, &syntax)
        .map_err(|_| Error::internal("a DICOM object cannot be written"))?;

    let failed = |trouble: &Trouble| sentence(peer, speaking, trouble);
    let command = Pdu::PData {
        data: vec![PDataValue {
            presentation_context_id: context,
            value_type: PDataValueType::Command,
            is_last: true,
            data: Message::store(&class, &instance, number).bytes()?,
        }],
    };
    association
        .send(&command)
        .map_err(|trouble| failed(&trouble))?;
    let mut data = association.send_pdata(context);
    let sent = data.write_all(&bytes).and_then(|()| data.finish());
    sent.map_err(|error| lost(peer, speaking, &error))?;
    let status = answer(association, &failed)?;
    // Warnings (PS3.4 B.2.3) are of objects that are stored.
    if status == DONE || status >> 12 == 0xb {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the archive {peer} did not store an object of the class {}: status {status:04X}H",
        named(&class)
    )))
}

/// The status of the next answer.
fn answer(
    association: &mut ClientAssociation<TcpStream>,
    failed: &impl Fn(&Trouble) -> Error,
) -> Result<u16> {
    let mut bytes = Vec::new();
    loop {
        let pdu = association.receive().map_err(|trouble| failed(&trouble))?;
        let Pdu::PData { data } = pdu else {
            return Err(Error::invalid(
                "the archive broke off while an object was sent",
            ));
        };
        for value in data {
            bytes.extend(value.data);
            if value.is_last {
                let status = Message::read(&bytes)?.status();
                return status.ok_or_else(|| Error::invalid("the archive's answer has no status"));
            }
        }
    }
}

/// A class for people.
fn named(class: &str) -> &'static str {
    match class {
        uids::SECONDARY_CAPTURE_IMAGE_STORAGE => "Secondary Capture",
        uids::COMPREHENSIVE_SR_STORAGE => "Comprehensive SR",
        uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE => {
            "Grayscale Softcopy Presentation State"
        }
        _ => "of that film",
    }
}

fn sentence(peer: &Peer, speaking: &Speaking, trouble: &Trouble) -> Error {
    if let Trouble::Rejected { association_rj, .. } = trouble {
        return Error::invalid(format!(
            "the archive {peer} refuses {}: {}",
            speaking.title, association_rj.source
        ))
        .with_hint("both must know each other's title, here `dicom.ae_title`");
    }
    if let Trouble::NoAcceptedPresentationContexts { .. } = trouble {
        return Error::unsupported(format!("the archive {peer} takes none of these objects"));
    }
    let mut words = trouble.to_string();
    let mut cause = trouble.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return lost(peer, speaking, error);
        }
        words = format!("{words}: {error}");
        cause = error.source();
    }
    Error::missing(format!("the archive {peer} broke off: {words}"))
}

fn lost(peer: &Peer, speaking: &Speaking, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::missing(format!(
            "the archive {peer} did not answer within {} s",
            speaking.patience.as_secs()
        )),
        _ => Error::missing(format!("the archive {peer} cannot be reached: {error}")),
    }
}
