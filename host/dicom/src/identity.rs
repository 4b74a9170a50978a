//! Who the patient is, or nobody: what PS3.15's basic profile removes or replaces, in what is written here.
//!
//! Only elements that are written matter; all others of the film are not copied in the first place. Replacements follow from a
//! secret key, so that all objects about a patient, an examination or a film still fit together, and nobody without the key
//! can say which they are.

use chrono::{Days, NaiveDate};
use medfocus_plugin_api::{Error, Result};

use crate::{
    film::{Film, Patient},
    uid,
};

/// Whether objects say who the patient is.
#[derive(Clone, Debug)]
pub enum Identity {
    /// As the film does.
    Kept,
    /// A pseudonym, moved dates and other identifiers stand in the place of the film's.
    Replaced(Key),
}

/// The secret that replacements follow from.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of these bytes, which should be random and at least sixteen.
    pub fn new(secret: &[u8]) -> Self {
        Self(blake3::derive_key("MedFocus DICOM pseudonyms", secret))
    }

    fn digest(&self, kind: &str, text: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, format!("{kind}\0{text}").as_bytes()).as_bytes()
    }
}

/// A key is not shown.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Dates move back by one day at least and by as many at most.
const DAYS: u64 = 3650;

impl Identity {
    /// Whether objects about this film can have it.
    ///
    /// # Errors
    ///
    /// It is to be replaced, but the film's pixels are said to show who the patient is.
    pub fn fits(&self, film: &Film) -> Result<()> {
        match self {
            Self::Replaced(_) if film.burned_in == "YES" => Err(Error::unsupported(
                "the film's header says that its pixels show who the patient is, so that no picture of it is without identity",
            )
            .with_hint("set `dicom.identified = true` if the objects may name the patient")),
            _ => Ok(()),
        }
    }
}

/// The film as nobody's.
pub(crate) fn replace(film: &Film, key: &Key) -> Film {
    let owner = owner(film);
    let pseudonym = key.digest("patient", &owner);
    let name: String = pseudonym[..8]
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let back = key.digest("days", &owner);
    let back = u64::from_le_bytes(back[..8].try_into().unwrap_or_default()) % DAYS + 1;
    let uid = |uid: &str| uid::instead_of(&key.0, uid);
    Film {
        patient: Patient {
            name: format!("MEDFOCUS^{name}"),
            id: name,
            study_date: moved(&film.patient.study_date, back),
            ..Patient::default()
        },
        instance: uid(&film.instance),
        series: uid(&film.series),
        study: uid(&film.study),
        replaced: true,
        ..film.clone()
    }
}

/// Who the film belongs to; a film that names nobody may be anybody's, so that its study stands alone.
fn owner(film: &Film) -> String {
    if film.patient.id.is_empty() {
        format!("study\0{}", film.study)
    } else {
        format!("{}\0{}", film.patient.issuer, film.patient.id)
    }
}

/// A date so many days before; empty if it is none.
fn moved(date: &str, back: u64) -> String {
    let date = NaiveDate::parse_from_str(date, "%Y%m%d").ok();
    let date = date.and_then(|date| date.checked_sub_days(Days::new(back)));
    date.map_or_else(String::new, |date| date.format("%Y%m%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_move_and_what_is_none_vanishes() {
        assert_eq!(moved("20240301", 1), "20240229");
        assert_eq!(moved("20240301", 366), "20230301");
        for text in ["", "soon", "20241301", "SECRET^NAME"] {
            assert_eq!(moved(text, 1), "");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(
            format!("{:?}", Identity::Replaced(Key::new(b"secret"))),
            "Replaced(Key)"
        );
    }
}
