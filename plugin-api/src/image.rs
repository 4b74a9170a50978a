//! Grey images and masks.

#![allow(unsafe_code, reason = "pixels are a slice of a tensor")]

use ndarray::{ArrayBase, ArrayView2, Data, Ix2};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    error::{Error, Result},
    frame::{BBox, Frame},
    tensor::{Dtype, Tensor},
};

/// An 8-bit grey image, rows x columns; cloning shares the pixels.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct GrayImage(Tensor);

impl GrayImage {
    /// An image of these pixels (height x width).
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if it has no pixels.
    pub fn from_array(pixels: ArrayBase<impl Data<Elem = u8>, Ix2>) -> Result<Self> {
        Self::from_tensor(Tensor::from_array(pixels.as_standard_layout().into_owned()))
    }

    fn from_tensor(pixels: Tensor) -> Result<Self> {
        let fits = pixels.dtype() == Dtype::U8
            && pixels.shape().len() == 2
            && pixels.is_contiguous()
            && pixels
                .shape()
                .iter()
                .all(|&n| 0 < n && n <= u32::MAX as usize);
        if fits {
            Ok(Self(pixels))
        } else {
            Err(Error::invalid(format!(
                "an image is a non-empty row-major array of bytes, height x width; got {pixels:?}"
            )))
        }
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.0.shape()[1] as u32
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.0.shape()[0] as u32
    }

    /// The pixels, height x width.
    pub fn view(&self) -> ArrayView2<'_, u8> {
        self.0
            .view_nd::<u8, Ix2>()
            .expect("the constructor checked type and rank")
    }

    /// The pixels as bytes, row by row.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the constructor checked type and layout.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.0.shape().iter().product()) }
    }

    /// A copy with `value` inside the box.
    pub fn with_filled<F: Frame>(&self, bbox: &BBox<F>, value: u8) -> Self {
        let mut pixels = self.view().to_owned();
        if let Some(bbox) = bbox.clip(self.width(), self.height()) {
            let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
            pixels.slice_mut(ndarray::s![y1..y2, x1..x2]).fill(value);
        }
        Self(Tensor::from_array(pixels))
    }
}

impl PartialEq for GrayImage {
    fn eq(&self, other: &Self) -> bool {
        self.0.shape() == other.0.shape() && self.bytes() == other.bytes()
    }
}

impl Eq for GrayImage {}

impl<'de> Deserialize<'de> for GrayImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_tensor(Tensor::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A region of an image: non-zero pixels belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mask(GrayImage);

impl Mask {
    /// A mask of these pixels (height x width), stored as 0 and 255.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if it has no pixels.
    pub fn from_array(inside: ArrayBase<impl Data<Elem = bool>, Ix2>) -> Result<Self> {
        GrayImage::from_array(inside.mapv(|inside| if inside { 255 } else { 0 })).map(Self)
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.0.width()
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.0.height()
    }

    /// Height x width; non-zero is inside.
    pub fn view(&self) -> ArrayView2<'_, u8> {
        self.0.view()
    }

    /// As an image of 0 and 255, where it was made by [`Mask::from_array`].
    pub fn image(&self) -> &GrayImage {
        &self.0
    }

    /// Pixels inside.
    pub fn area(&self) -> u64 {
        self.0.bytes().iter().filter(|&&p| p != 0).count() as u64
    }

    /// The smallest box that holds the region, in the frame the mask was made in; nothing if the
    /// region is empty.
    pub fn tight_box<F: Frame>(&self) -> Option<BBox<F>> {
        let (mut x1, mut y1, mut x2, mut y2) = (u32::MAX, u32::MAX, 0, 0);
        for ((y, x), &pixel) in self.view().indexed_iter() {
            if pixel != 0 {
                let (x, y) = (x as u32, y as u32);
                (x1, y1) = (x1.min(x), y1.min(y));
                (x2, y2) = (x2.max(x + 1), y2.max(y + 1));
            }
        }
        BBox::new(x1, y1, x2, y2).ok()
    }
}
