//! Entries as audit messages of DICOM PS3.15, section A.5: Application Activity, one message a line.
//!
//! What was made or read is an object of the message; the standard asks for none here and allows them.

use std::io;

use quick_xml::{Writer, events::BytesText};

use super::entry::{Entry, Event, Outcome};

type Xml = Writer<Vec<u8>>;

/// The message of an entry; `source` names this installation.
///
/// # Errors
///
/// Those of writing to memory.
pub fn message(entry: &Entry, source: &str) -> io::Result<String> {
    let mut xml: Xml = Writer::new(Vec::new());
    xml.create_element("AuditMessage")
        .write_inner_content(|xml| {
            xml.create_element("EventIdentification")
                .with_attributes([
                    ("EventActionCode", "E"),
                    ("EventDateTime", entry.time.as_str()),
                    ("EventOutcomeIndicator", outcome(&entry.event)),
                ])
                .write_inner_content(|xml| {
                    code(xml, "EventID", ["110100", "DCM", "Application Activity"])?;
                    match entry.event {
                        Event::Began { .. } => {
                            code(xml, "EventTypeCode", ["110120", "DCM", "Application Start"])
                        }
                        Event::Ended { .. } => {
                            code(xml, "EventTypeCode", ["110121", "DCM", "Application Stop"])
                        }
                        Event::Made { .. } | Event::Read { .. } => Ok(()),
                    }
                })?;
            xml.create_element("ActiveParticipant")
                .with_attributes([
                    ("UserID", entry.program.as_str()),
                    ("AlternativeUserID", entry.process.to_string().as_str()),
                    ("UserIsRequestor", "false"),
                ])
                .write_inner_content(|xml| {
                    code(xml, "RoleIDCode", ["110150", "DCM", "Application"])
                })?;
            xml.create_element("ActiveParticipant")
                .with_attributes([
                    ("UserID", entry.uid.to_string().as_str()),
                    ("UserIsRequestor", "true"),
                ])
                .write_inner_content(|xml| {
                    code(xml, "RoleIDCode", ["110151", "DCM", "Application Launcher"])
                })?;
            xml.create_element("AuditSourceIdentification")
                .with_attribute(("AuditSourceID", source))
                .write_empty()?;
            for (what, digest) in objects(&entry.event) {
                object(xml, what, digest)?;
            }
            Ok(())
        })?;
    String::from_utf8(xml.into_inner()).map_err(io::Error::other)
}

fn outcome(event: &Event) -> &'static str {
    match event {
        Event::Ended {
            outcome: Outcome::Failed,
        } => "8",
        Event::Ended {
            outcome: Outcome::Cancelled,
        } => "4",
        _ => "0",
    }
}

/// What an event is about: a name and a digest.
fn objects(event: &Event) -> Vec<(&str, &str)> {
    match event {
        Event::Began { command } => vec![("command", command)],
        Event::Made {
            kind,
            component: _,
            plugin,
            checkpoint,
        } => {
            let checkpoint = checkpoint
                .iter()
                .map(|digest| ("checkpoint", digest.as_str()));
            [(kind.as_str(), plugin.as_str())]
                .into_iter()
                .chain(checkpoint)
                .collect()
        }
        Event::Read { image } => vec![("image", image)],
        Event::Ended { .. } => Vec::new(),
    }
}

fn object(xml: &mut Xml, what: &str, digest: &str) -> io::Result<()> {
    // A system object that is a resource; its number is one of ours.
    xml.create_element("ParticipantObjectIdentification")
        .with_attributes([
            ("ParticipantObjectID", digest),
            ("ParticipantObjectTypeCode", "2"),
            ("ParticipantObjectTypeCodeRole", "4"),
        ])
        .write_inner_content(|xml| {
            code(
                xml,
                "ParticipantObjectIDTypeCode",
                [what, "99MEDFOCUS", what],
            )?;
            xml.create_element("ParticipantObjectName")
                .write_text_content(BytesText::new(what))?;
            Ok(())
        })?;
    Ok(())
}

fn code(xml: &mut Xml, element: &str, [value, scheme, text]: [&str; 3]) -> io::Result<()> {
    xml.create_element(element)
        .with_attributes([
            ("csd-code", value),
            ("codeSystemName", scheme),
            ("originalText", text),
        ])
        .write_empty()?;
    Ok(())
}
