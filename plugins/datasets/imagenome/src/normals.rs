//! The normal images whose regions cover all concepts: what the paper's reference pool was made of.

use std::path::{Path, PathBuf};

use medfocus_annotations::{folder, picture};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    BBox, Component, Context, DatasetInfo, DatasetReader, Error, Mask, Native, Result, Sample,
    SampleKey, params,
};
use ndarray::{Array2, s};

use crate::{
    mimic,
    scene_graph::{SUFFIX, SceneGraph},
};

params! {
    /// Parameters of [`NormalsReader`].
    pub struct NormalsParams {
        /// Folder that holds `chest-imagenome/1.0.0` and `mimic-cxr-jpg/2.1.0`.
        pub path: String = "";
        /// Normal images to find, in the order of the scene graphs' names.
        pub limit: u64 = 16, in 1..=1000000;
    }
}

/// What the dataset is called in results.
const NAME: &str = "imagenome_normals";

const SCENE_GRAPHS: &str = "chest-imagenome/1.0.0/silver_dataset/scene_graph";

/// Normal frontal images of Chest ImaGenome whose scene graph places all of [`CONCEPTS`]; the boxes are the masks.
///
/// Normal is an image whose silver scene graph affirms neither `anatomicalfinding` nor `disease` of any region. Scene
/// graphs are read in the order of their names until `limit` such images are found. Boxes are in pixels of the original
/// image, which MIMIC-CXR-JPG keeps; an image that cannot be read fails alone. Not run on the real data yet.
pub struct NormalsReader {
    context: Context,
    images: PathBuf,
    normals: Vec<Normal>,
    digest: blake3::Hash,
}

/// A normal image.
struct Normal {
    image: String,
    patient: u64,
    study: u64,
    /// Of each concept.
    corners: [[f64; 4]; CONCEPTS.len()],
}

impl Component for NormalsReader {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "Normal images of Chest ImaGenome with boxes of all concepts, to build a reference pool from.";
    type Params = NormalsParams;

    fn new(params: NormalsParams, context: Context) -> Result<Self> {
        let root = folder(&params.path, SCENE_GRAPHS)?;
        let images = root.join(mimic::IMAGES);
        if !images.is_dir() {
            return Err(Error::missing(format!("{} is no folder", images.display()))
                .with_hint("download MIMIC-CXR-JPG 2.1.0 there"));
        }
        let mut hasher = blake3::Hasher::new();
        let mut normals = Vec::new();
        for (done, (image, path)) in scene_graphs(&root.join(SCENE_GRAPHS))?
            .into_iter()
            .enumerate()
        {
            if normals.len() as u64 == params.limit {
                break;
            }
            context.step(done as u64, 0, "looking for normal images")?;
            let (graph, bytes) = match SceneGraph::read(&path) {
                Ok(read) => read,
                Err(error) => {
                    tracing::warn!("passed over: {error}");
                    continue;
                }
            };
            if let Some(normal) = Normal::of(&image, &graph) {
                hasher.update(blake3::hash(image.as_bytes()).as_bytes());
                hasher.update(blake3::hash(&bytes).as_bytes());
                normals.push(normal);
            }
        }
        if normals.is_empty() {
            return Err(Error::missing(format!(
                "no scene graph in {} is of a normal frontal image with all {} concepts",
                root.join(SCENE_GRAPHS).display(),
                CONCEPTS.len()
            )));
        }
        Ok(Self {
            context,
            images,
            normals,
            digest: hasher.finalize(),
        })
    }
}

/// The scene graphs of a folder with the names of their images, in the order of these.
fn scene_graphs(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let unreadable = |error| {
        Error::missing(format!("{} cannot be read: {error}", folder.display()))
            .with_hint("unpack the scene graphs of Chest ImaGenome 1.0.0 there")
    };
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(image) = name.and_then(|name| name.strip_suffix(SUFFIX)) {
            found.push((image.to_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

impl Normal {
    /// Nothing of an image that is not normal or lacks a concept.
    fn of(image: &str, graph: &SceneGraph) -> Option<Self> {
        let mut corners = [[0.0; 4]; CONCEPTS.len()];
        for (corners, name) in corners.iter_mut().zip(CONCEPTS) {
            *corners = graph.object(name)?.corners();
        }
        graph.is_normal().then(|| Self {
            image: image.to_owned(),
            patient: graph.patient_id,
            study: graph.study_id,
            corners,
        })
    }

    /// Its file below [`mimic::IMAGES`].
    fn place(&self) -> String {
        mimic::place(self.patient, self.study, &format!("{}.jpg", self.image))
    }
}

impl DatasetReader for NormalsReader {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(DatasetInfo::new(
            NAME,
            self.normals.len() as u64,
            self.digest.to_hex().to_string(),
        ))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let found = usize::try_from(index)
            .ok()
            .and_then(|at| self.normals.get(at));
        let normal = found.ok_or_else(|| {
            Error::invalid(format!(
                "sample {index} is beyond the {} normal images found",
                self.normals.len()
            ))
        })?;
        let path = self.images.join(normal.place());
        let picture = picture::read(&self.context, &path)?;
        let key = SampleKey {
            dataset: NAME.into(),
            index,
        };
        let mut sample = Sample::normal(key, picture.image);
        sample.warnings = picture.warnings;
        sample.patient = Some(format!("p{}", normal.patient));
        let (width, height) = (sample.image.width(), sample.image.height());
        for (name, corners) in CONCEPTS.iter().zip(normal.corners) {
            let bbox: BBox<Native> = BBox::nearest(corners, width, height).ok_or_else(|| {
                Error::invalid(format!(
                    "the box of `{name}` holds no pixel of image {}, which has {width} x {height}",
                    path.display()
                ))
            })?;
            let mut inside = Array2::from_elem((height as usize, width as usize), false);
            let [x1, y1, x2, y2] = bbox.corners().map(|corner| corner as usize);
            inside.slice_mut(s![y1..y2, x1..x2]).fill(true);
            sample
                .masks
                .insert((*name).to_owned(), Mask::from_array(inside.view())?);
        }
        Ok(sample)
    }
}
