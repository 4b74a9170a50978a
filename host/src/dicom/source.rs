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
        let film = Film::read(bytes)?;
        identity.fits(&film)?;
        Ok(Self {
            study,
            film: Some((film, identity)),
        })
    }

    /// The same if it is a DICOM file. Why no objects can be about one becomes a warning.
    pub fn offered(mut study: Study, bytes: &[u8], identity: Identity) -> Self {
        if !study.is_dicom() {
            return Self::plain(study);
        }
        match Film::read(bytes).and_then(|film| identity.fits(&film).map(|()| film)) {
            Ok(film) => Self {
                study,
                film: Some((film, identity)),
            },
            Err(error) => {
                study
                    .warnings
                    .push(format!("there are no DICOM objects: {}", error.message));
                Self::plain(study)
            }
        }
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
