//! A silver scene graph: what a report says of each anatomical region, and where the regions lie.

use std::{io::Read as _, path::Path};

use medfocus_plugin_api::{Error, Result, file};
use serde::Deserialize;

/// The end of a scene graph's file name; before it stands the image's name.
pub const SUFFIX: &str = "_SceneGraph.json";

/// More bytes than any scene graph has: real ones are well below one MiB.
const MAX_BYTES: u64 = 1 << 24;

/// What is used of a scene graph; all else is passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct SceneGraph {
    /// Number of the patient, a pseudonym of MIMIC.
    pub patient_id: u64,
    /// Number of the study.
    pub study_id: u64,
    /// The projection: `PA` or `AP`.
    pub viewpoint: String,
    /// Regions with their boxes.
    pub objects: Vec<Object>,
    /// What is said of each region that the report mentions.
    pub attributes: Vec<Statements>,
}

/// A region: corners in pixels of the original image.
#[derive(Clone, Debug, Deserialize)]
pub struct Object {
    /// Its name in the vocabulary.
    pub bbox_name: String,
    /// Left edge.
    pub original_x1: f64,
    /// Upper edge.
    pub original_y1: f64,
    /// Right edge, exclusive.
    pub original_x2: f64,
    /// Lower edge, exclusive.
    pub original_y2: f64,
}

impl Object {
    /// x1, y1, x2, y2.
    pub fn corners(&self) -> [f64; 4] {
        [
            self.original_x1,
            self.original_y1,
            self.original_x2,
            self.original_y2,
        ]
    }
}

/// What the report says of a region.
#[derive(Clone, Debug, Deserialize)]
pub struct Statements {
    /// For each phrase its statements, as `anatomicalfinding|no|pneumothorax`.
    pub attributes: Vec<Vec<String>>,
}

impl SceneGraph {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming the file if it cannot be read or is no scene graph.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>)> {
        let named =
            |error: String| Error::invalid(format!("scene graph {}: {error}", path.display()));
        let mut bytes = Vec::new();
        file::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| named(error.to_string()))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(named(format!("more than {} MiB", MAX_BYTES >> 20)));
        }
        let graph = serde_json::from_slice(&bytes).map_err(|error| named(error.to_string()))?;
        Ok((graph, bytes))
    }

    /// Whether the projection is frontal and the report affirms no finding and no disease of any region.
    pub fn is_normal(&self) -> bool {
        let mut statements = self.attributes.iter().flat_map(|of| of.attributes.concat());
        let affirmed = |statement: String| {
            let mut parts = statement.split('|');
            let (category, said) = (parts.next(), parts.next());
            matches!(category, Some("anatomicalfinding" | "disease")) && said == Some("yes")
        };
        matches!(self.viewpoint.as_str(), "PA" | "AP") && !statements.any(affirmed)
    }

    /// The region of this name.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.bbox_name == name)
    }
}
