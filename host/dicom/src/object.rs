//! A finished object: its identifiers follow from its content.

use chrono::{DateTime, Local};
use dicom_dictionary_std::{tags, uids};
use dicom_object::FileMetaTableBuilder;
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;
use medfocus_plugin_api::{Error, Result};

use crate::{
    elements::{self, Set},
    uid,
};

/// What the files of objects are called: secondary capture, structured report, presentation state.
pub const NAMES: [&str; 3] = [
    "explanation.sc.dcm",
    "explanation.sr.dcm",
    "explanation.gsps.dcm",
];

/// An object to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What its file is called: one of [`NAMES`].
    pub name: &'static str,
    /// Its SOP instance UID.
    pub uid: String,
    /// The file: DICOM part 10, explicit VR little endian.
    pub bytes: Vec<u8>,
}

/// When an object was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// YYYYMMDD.
    pub date: String,
    /// HHMMSS.
    pub time: String,
}

impl Moment {
    /// Now, by the local clock.
    pub fn now() -> Self {
        Self::of(Local::now())
    }

    fn of(time: DateTime<Local>) -> Self {
        Self {
            date: time.format("%Y%m%d").to_string(),
            time: time.format("%H%M%S").to_string(),
        }
    }

    /// The beginning of a day; of one long ago if none is named.
    pub(crate) fn midnight(date: &str) -> Self {
        let date = if date.is_empty() { "19000101" } else { date };
        Self {
            date: date.to_owned(),
            time: "000000".to_owned(),
        }
    }
}

/// Gives a data set its identifiers and makes a file of it.
pub(crate) fn finish(name: &'static str, mut set: Set) -> Result<Object> {
    let failed = |_| Error::internal(format!("the DICOM object `{name}` cannot be written"));
    let mut content = Vec::new();
    set.write_dataset_with_ts(&mut content, &EXPLICIT_VR_LITTLE_ENDIAN.erased())
        .map_err(failed)?;
    let instance = uid::of("instance", &content);
    set.put(elements::text(tags::SOP_INSTANCE_UID, instance.as_str()));
    let series = uid::of("series", &content);
    set.put(elements::text(tags::SERIES_INSTANCE_UID, series));

    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .implementation_class_uid(uid::of("implementation", b"MedFocus"))
        .implementation_version_name("MEDFOCUS");
    let file = set
        .with_meta(meta)
        .map_err(|_| Error::internal(format!("the DICOM object `{name}` has no identifiers")))?;
    let mut bytes = Vec::with_capacity(content.len() + 1024);
    file.write_all(&mut bytes).map_err(failed)?;
    Ok(Object {
        name,
        uid: instance,
        bytes,
    })
}
