//! Counterfactual editors.

use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use super::{Client, answer, unknown};
use crate::{
    error::{Error, Result},
    frame::{BBox, Native},
    image::{GrayImage, Mask},
    manifest::Kind,
    message::Message,
    protocol::dataset::SampleKey,
};

/// Changes part of an image and keeps the rest.
pub trait CounterfactualEditor: Send + Sync {
    /// Edits one image; the result has its size.
    fn edit(&self, request: &EditRequest) -> Result<GrayImage>;
}

/// Which side of the boxes is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Inside the boxes.
    Foreground,
    /// Everything else.
    Background,
}

/// One edit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EditRequest {
    /// What is edited.
    pub image: GrayImage,
    /// The annotated region.
    pub boxes: Vec<BBox<Native>>,
    /// The region exactly, where known; takes precedence over the boxes.
    #[serde(default)]
    pub mask: Option<Mask>,
    /// Which side of it changes.
    pub side: Side,
    /// What the edited part should show, as `No pleural effusion`.
    pub prompt: String,
    /// For every random choice.
    pub seed: u64,
    /// The sample this is, for editors that know the dataset.
    #[serde(default)]
    pub sample: Option<SampleKey>,
}

impl EditRequest {
    /// An edit inside the boxes, with seed 0, of a sample that no editor needs to know.
    pub fn new(image: GrayImage, boxes: Vec<BBox<Native>>, prompt: impl Into<String>) -> Self {
        Self {
            image,
            boxes,
            mask: None,
            side: Side::Foreground,
            prompt: prompt.into(),
            seed: 0,
            sample: None,
        }
    }

    /// The pixels that are edited: inside the mask or the boxes, as far as they lie in the image, or all others.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the mask has not the image's size.
    pub fn edited(&self) -> Result<Array2<bool>> {
        let mut region = Array2::from_elem(self.image.view().dim(), false);
        if let Some(mask) = &self.mask {
            let (width, height) = (self.image.width(), self.image.height());
            if (mask.width(), mask.height()) != (width, height) {
                let (columns, rows) = (mask.width(), mask.height());
                return Err(Error::invalid(format!(
                    "a mask of {columns} x {rows} pixels does not fit an image of {width} x {height}"
                )));
            }
            region = mask.view().mapv(|pixel| pixel != 0);
        } else {
            let (width, height) = (self.image.width(), self.image.height());
            let boxes = self.boxes.iter();
            for bbox in boxes.filter_map(|bbox| bbox.clip(width, height)) {
                let [x1, y1, x2, y2] = bbox.corners().map(|corner| corner as usize);
                region.slice_mut(s![y1..y2, x1..x2]).fill(true);
            }
        }
        if self.side == Side::Background {
            region.mapv_inplace(|inside| !inside);
        }
        Ok(region)
    }
}

/// Operation of [`CounterfactualEditor::edit`].
pub const EDIT: &str = "edit";

/// What these components are.
pub const KIND: Kind = Kind::Editor;

/// Performs an operation of an editor.
pub fn serve(editor: &dyn CounterfactualEditor, op: &str, message: Message) -> Result<Message> {
    match op {
        EDIT => answer(message, |request: EditRequest| editor.edit(&request)),
        _ => Err(unknown(op)),
    }
}

impl CounterfactualEditor for Client {
    fn edit(&self, request: &EditRequest) -> Result<GrayImage> {
        self.ask(EDIT, request)
    }
}
