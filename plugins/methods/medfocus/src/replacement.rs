//! What a concept is replaced by.

use std::ops::Range;

use medfocus_attribution::Baseline;
use medfocus_imaging::working;
use medfocus_plugin_api::{
    BBox, Context, CounterfactualEditor, EditRequest, Error, GrayImage, Letterbox, Mask, Result,
    Task, WORKING_SIDE, Working, choices,
};
use ndarray::Array2;

use crate::{intervention::Intervention, region::Region};

/// The slot of the editor.
pub const SLOT: &str = "editor";

choices! {
    /// What a concept's pixels are replaced by.
    pub enum Replacement {
        /// Black.
        Zero = "zero",
        /// The image's mean grey.
        Mean = "mean",
        /// The image, blurred.
        Blur = "blur",
        /// What the slot `editor` makes of them, an edit for each concept.
        Editor = "editor",
    }
}

impl Replacement {
    /// The baseline that needs no editor, if it is one.
    fn baseline(self) -> Option<Baseline> {
        match self {
            Self::Zero => Some(Baseline::Zero),
            Self::Mean => Some(Baseline::Mean),
            Self::Blur => Some(Baseline::Blur),
            Self::Editor => None,
        }
    }

    /// Whether what it needs is there.
    ///
    /// # Errors
    ///
    /// [`Error::missing`] if it is the editor and its slot is empty.
    pub fn check(self, context: &Context) -> Result<()> {
        if self != Self::Editor || context.filled(SLOT) {
            return Ok(());
        }
        Err(Error::missing(format!(
            "`replacement = \"editor\"` needs an editor in the slot `{SLOT}`, which is empty"
        ))
        .with_hint(format!(
            "name one in the config under `slots.{SLOT}.component`"
        )))
    }
}

/// How concepts are replaced.
pub struct Editing<'a> {
    /// What by.
    pub replacement: Replacement,
    /// Which pixels.
    pub intervention: Intervention,
    /// What an editor is asked for; `{finding}` stands for the finding in question, or for `abnormality`.
    pub prompt: &'a str,
}

/// Where the pixels come from that replace a concept.
pub enum Source<'a> {
    /// The same image for all concepts.
    Image(GrayImage),
    /// An edit for each.
    Edits(Edits<'a>),
}

impl<'a> Source<'a> {
    /// The source for a task.
    ///
    /// # Errors
    ///
    /// None for an image that has pixels.
    pub fn new(
        editing: &Editing<'_>,
        context: &'a Context,
        task: &'a Task,
        content: &BBox<Working>,
    ) -> Result<Self> {
        if let Some(baseline) = editing.replacement.baseline() {
            return baseline.of(&task.image, content).map(Self::Image);
        }
        let finding = task.finding.as_deref().filter(|name| !name.is_empty());
        Ok(Self::Edits(Edits {
            context,
            task,
            prompt: editing
                .prompt
                .replace("{finding}", finding.unwrap_or("abnormality")),
            intervention: editing.intervention,
        }))
    }

    /// A working image with other pixels, of these regions, in the place of `pixels`.
    ///
    /// # Errors
    ///
    /// Those of [`Edits::of`].
    pub fn image<'r>(
        &self,
        regions: impl Iterator<Item = &'r Region>,
        pixels: &Array2<bool>,
    ) -> Result<GrayImage> {
        match self {
            Self::Image(image) => Ok(image.clone()),
            Self::Edits(edits) => edits.of(regions, pixels),
        }
    }
}

/// Edits of the native image.
pub struct Edits<'a> {
    context: &'a Context,
    task: &'a Task,
    prompt: String,
    intervention: Intervention,
}

impl Edits<'_> {
    /// The working image after an edit of these regions, of which `pixels` are replaced. The editor is given the boxes
    /// and, if the boxes are not replaced as a whole, the mask; what it changes elsewhere is in this image, too.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if the edited image has not the native size, and whatever the editor fails with.
    fn of<'r>(
        &self,
        regions: impl Iterator<Item = &'r Region>,
        pixels: &Array2<bool>,
    ) -> Result<GrayImage> {
        let (task, native) = (self.task, &self.task.native);
        let boxes = regions.filter_map(|region| task.letterbox.to_native(&region.bbox));
        let mask = match self.intervention {
            Intervention::Box => None,
            Intervention::Mask => Some(to_native(pixels, &task.letterbox)?),
        };
        let mut request = EditRequest::new(native.clone(), boxes.collect(), self.prompt.clone());
        request.mask = mask;
        request.seed = task.seed;
        request.sample = task.sample.clone();
        let edited = self.context.editor().edit(&request)?;
        if edited.view().dim() != native.view().dim() {
            return Err(Error::protocol(format!(
                "the editor was given an image of {} x {} pixels and answered with {} x {}",
                native.width(),
                native.height(),
                edited.width(),
                edited.height()
            )));
        }
        GrayImage::from_array(working::letterbox(edited.view(), WORKING_SIDE))
    }
}

/// The native pixels that show any part of these pixels of the working image.
///
/// # Errors
///
/// None for an image that has pixels.
fn to_native(pixels: &Array2<bool>, letterbox: &Letterbox) -> Result<Mask> {
    // The working rows or columns that each native one touches.
    let touched = |native: u32, scaled: u32, first: u32| -> Vec<Range<usize>> {
        let [native, scaled, first] = [native, scaled, first].map(|n| n as usize);
        let edges = |at: usize| at * scaled / native..((at + 1) * scaled).div_ceil(native);
        let shifted = |edges: Range<usize>| first + edges.start..first + edges.end;
        (0..native).map(edges).map(shifted).collect()
    };
    let rows = touched(letterbox.native.1, letterbox.scaled.1, letterbox.top);
    let columns = touched(letterbox.native.0, letterbox.scaled.0, letterbox.left);
    let inside = |y, x| pixels.get((y, x)) == Some(&true);
    let mask = Array2::from_shape_fn((rows.len(), columns.len()), |(y, x)| {
        let mut rows = rows[y].clone();
        rows.any(|y| columns[x].clone().any(|x| inside(y, x)))
    });
    Mask::from_array(mask.view())
}

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_attribution::{WORKING_DIM, mask_to_working};
    use medfocus_plugin_api::Native;
    use proptest::prelude::*;

    #[test]
    fn a_pixel_is_its_square_of_native_ones() {
        let letterbox = Letterbox::new(448, 224, WORKING_SIDE).unwrap();
        let mut pixels = Array2::from_elem(WORKING_DIM, false);
        // Half the scale; content begins at row 56.
        pixels[(60, 7)] = true;
        let mask = to_native(&pixels, &letterbox).unwrap();
        assert_eq!((mask.width(), mask.height(), mask.area()), (448, 224, 4));
        assert_eq!(mask.tight_box(), BBox::<Native>::new(14, 8, 16, 10).ok());
    }

    proptest! {
        /// Native images both larger and smaller than the working one.
        #[test]
        fn native_masks_cover_what_is_replaced_and_hardly_more(
            width in 1u32..500, height in 1u32..500, at in (0.0f64..1.0, 0.0f64..1.0), size in (1u32..50, 1u32..50),
        ) {
            let letterbox = Letterbox::new(width, height, WORKING_SIDE).unwrap();
            let [x1, y1, x2, y2] = letterbox.content().corners();
            let (x, y) = (x1 + (f64::from(x2 - x1) * at.0) as u32, y1 + (f64::from(y2 - y1) * at.1) as u32);
            let bbox = BBox::<Working>::new(x, y, (x + size.0).min(x2), (y + size.1).min(y2)).unwrap();
            let pixels = Array2::from_shape_fn(WORKING_DIM, |(y, x)| bbox.contains(x as u32, y as u32));
            let mask = to_native(&pixels, &letterbox).unwrap();
            let back = mask_to_working(&mask, &letterbox).unwrap();
            prop_assert!(pixels.iter().zip(&back).all(|(pixel, back)| !pixel || *back));
            let exact = letterbox.to_native(&bbox).unwrap().corners();
            let tight = mask.tight_box::<Native>().unwrap().corners();
            prop_assert!(exact.iter().zip(tight).all(|(a, b)| a.abs_diff(b) <= 1), "{exact:?} {tight:?}");
        }
    }
}
