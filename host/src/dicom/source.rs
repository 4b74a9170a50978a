//! An image to be explained, and the film that DICOM objects about it are about.

use image::RgbImage;
use medfocus_dicom::{Film, Identity, Object};
use medfocus_plugin_api::Result;

use super::objects::{self, About};
use crate::{attribute::Outcome, study::Study};

/// An image to be explained.
pub struct Source {
    /// The image.
    pub study: Study,
    /// Whom objects about it say that it shows; nothing if there can be none.
    film: Option<(Film, Identity)>,
}

impl Source {
    /// One that no DICOM objects are wanted of.
    pub fn plain(study: Study) -> Self {
        Self { study, film: None }
    }

    /// One that DICOM objects are to be written about, from the bytes of its file.
    ///
    /// # Errors
    ///
    /// It is no DICOM file, its header does not say enough, or it does not go with this identity.
    pub fn film(study: Study, bytes: &[u8], identity: Identity) -> Result<Self> {
        let film = Some(fitting(bytes, identity)?);
        Ok(Self { study, film })
    }

    /// The same if it is a DICOM file; only then is the identity asked for. Why no objects can be about one becomes a warning.
    pub fn offered(
        mut study: Study,
        bytes: &[u8],
        identity: impl FnOnce() -> Result<Identity>,
    ) -> Self {
        if !study.is_dicom() {
            return Self::plain(study);
        }
        let film = identity().and_then(|identity| fitting(bytes, identity));
        if let Err(error) = &film {
            let warning = format!("there are no DICOM objects: {}", error.message);
            study.warnings.push(warning);
        }
        let film = film.ok();
        Self { study, film }
    }

    /// The objects about what was found; none if none were wanted.
    ///
    /// # Errors
    ///
    /// Those of [`objects::write`].
    pub fn objects(
        &self,
        outcome: &Outcome,
        picture: &RgbImage,
        method: &str,
        model: &str,
        finding: Option<&str>,
    ) -> Result<Vec<Object>> {
        let Some((film, identity)) = &self.film else {
            return Ok(Vec::new());
        };
        let about = About {
            film,
            record: &outcome.record,
            overlay: picture,
            method,
            model,
            finding,
        };
        objects::write(&about, identity)
    }
}

/// A film and an identity that objects about it can have.
fn fitting(bytes: &[u8], identity: Identity) -> Result<(Film, Identity)> {
    let film = Film::read(bytes)?;
    identity.fits(&film)?;
    Ok((film, identity))
}
