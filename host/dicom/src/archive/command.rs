//! Messages of DIMSE (PS3.7 9.3 and E): implicit VR little endian, whatever the objects are written in.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use medfocus_plugin_api::{Error, Result};

use crate::elements::{Set, text, words};

pub const STORE: u16 = 0x0001;
pub const ECHO: u16 = 0x0030;
/// Of the answer to a command.
const ANSWER: u16 = 0x8000;
/// No data set follows.
const NOTHING: u16 = 0x0101;
/// One follows.
const SOMETHING: u16 = 0x0001;

/// The status of an answer.
pub const DONE: u16 = 0x0000;
pub const NO_ROOM: u16 = 0xa700;
pub const NOT_UNDERSTOOD: u16 = 0xc000;
pub const UNKNOWN: u16 = 0x0211;

/// A command or an answer to one.
pub struct Message(Set);

impl Message {
    /// The command to store this object.
    pub fn store(class: &str, instance: &str, number: u16) -> Self {
        Self(Set::command_from_element_iter([
            text(tags::AFFECTED_SOP_CLASS_UID, class),
            words(tags::COMMAND_FIELD, &[STORE]),
            words(tags::MESSAGE_ID, &[number]),
            words(tags::PRIORITY, &[0]),
            words(tags::COMMAND_DATA_SET_TYPE, &[SOMETHING]),
            text(tags::AFFECTED_SOP_INSTANCE_UID, instance),
        ]))
    }

    /// The answer to this command.
    pub fn answer(&self, status: u16) -> Self {
        let mut elements = vec![
            words(tags::COMMAND_FIELD, &[ANSWER | self.field()]),
            words(
                tags::MESSAGE_ID_BEING_RESPONDED_TO,
                &[self.number(tags::MESSAGE_ID).unwrap_or(0)],
            ),
            words(tags::COMMAND_DATA_SET_TYPE, &[NOTHING]),
            words(tags::STATUS, &[status]),
        ];
        for tag in [
            tags::AFFECTED_SOP_CLASS_UID,
            tags::AFFECTED_SOP_INSTANCE_UID,
        ] {
            elements.extend(self.0.get(tag).cloned());
        }
        Self(Set::command_from_element_iter(elements))
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// The bytes are none.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let set = Set::read_dataset_with_ts(bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased());
        set.map(Self)
            .map_err(|_| Error::invalid("a DICOM message cannot be read"))
    }

    /// Its bytes.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0
            .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
            .map_err(|_| Error::internal("a DICOM message cannot be written"))?;
        Ok(bytes)
    }

    /// What is commanded.
    pub fn field(&self) -> u16 {
        self.number(tags::COMMAND_FIELD).unwrap_or(0)
    }

    /// The status of an answer.
    pub fn status(&self) -> Option<u16> {
        self.number(tags::STATUS)
    }

    /// Whether a data set follows.
    pub fn goes_on(&self) -> bool {
        self.number(tags::COMMAND_DATA_SET_TYPE)
            .is_some_and(|kind| kind != NOTHING)
    }

    /// The SOP class and instance that the command is about.
    pub fn about(&self) -> [String; 2] {
        [
            tags::AFFECTED_SOP_CLASS_UID,
            tags::AFFECTED_SOP_INSTANCE_UID,
        ]
        .map(|tag| {
            let text = self.0.get(tag).and_then(|found| found.to_str().ok());
            let text = text.unwrap_or_default();
            text.trim_matches(['\0', ' ']).to_owned()
        })
    }

    fn number(&self, tag: Tag) -> Option<u16> {
        self.0.get(tag)?.to_int().ok()
    }
}
