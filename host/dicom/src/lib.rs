//! An explanation as DICOM objects that lie beside the film in the archive.
//!
//! [`Film`] is what the header of the explained image says, [`Explanation`] what was found about it. [`write()`] makes of both a
//! secondary capture ([`picture`]), a structured report ([`report`]) and a presentation state ([`presentation`]), which name
//! the film and are identified as it is or, with [`Identity::Replaced`], as nobody.
//!
//! Nothing here reads or writes a file, and nothing but [`archive`] speaks over a network.

pub mod archive;
pub mod codes;
mod content;
mod elements;
pub mod explanation;
pub mod film;
pub mod identity;
mod modules;
pub mod object;
pub mod picture;
pub mod presentation;
pub mod report;
pub mod uid;

pub use explanation::{Algorithm, Explanation, Picture, Region, Weight};
pub use film::Film;
pub use identity::{Identity, Key};
pub use object::{Moment, NAMES, Object};

use medfocus_plugin_api::Result;

/// The words on every picture and in every presentation state.
pub const BANNER: &str = "RESEARCH ONLY - NOT FOR DIAGNOSTIC USE";

/// The objects of an explanation: secondary capture, structured report and, for a grey film, presentation state.
///
/// `now` is when they were made. Where the identity is replaced, the film's own date, moved, takes its place, so that the same
/// input gives the same bytes.
///
/// # Errors
///
/// The film cannot have this identity ([`Identity::fits`]).
pub fn write(
    film: &Film,
    identity: &Identity,
    explanation: &Explanation<'_>,
    now: Moment,
) -> Result<Vec<Object>> {
    identity.fits(film)?;
    let (film, now) = match identity {
        Identity::Kept => (film.clone(), now),
        Identity::Replaced(key) => {
            let film = identity::replace(film, key);
            let then = Moment::midnight(&film.patient.study_date);
            (film, then)
        }
    };
    let mut objects = vec![
        picture::write(&film, explanation, &now)?,
        report::write(&film, explanation, &now)?,
    ];
    if film.is_grey() {
        objects.push(presentation::write(&film, explanation, &now)?);
    }
    Ok(objects)
}
