//! The middle of the image as evidence.

use medfocus_attribution::content;
use medfocus_plugin_api::{
    Attribution, AttributionMethod, BBox, Component, Context, Result, ScoredBox, Task, params,
};

use crate::share::size;

params! {
    /// Parameters of [`CentreBox`].
    pub struct CentreBoxParams {
        /// Area of the box as a share of the image's.
        pub share: f64 = 0.25, in 0.0001..=1;
    }
}

/// Blames the middle of the image: one box of the image's shape at its centre.
///
/// Findings of the chest crowd there, so a method must do better than this to have looked.
#[derive(Clone, Debug)]
pub struct CentreBox {
    params: CentreBoxParams,
}

impl Component for CentreBox {
    const NAME: &'static str = "centre_box";
    const SUMMARY: &'static str =
        "Control: a box in the middle of the image, whatever the question; asks no model.";
    type Params = CentreBoxParams;

    fn new(params: CentreBoxParams, _: Context) -> Result<Self> {
        Ok(Self { params })
    }
}

impl AttributionMethod for CentreBox {
    /// One box of score 1; where it cannot be centred to the pixel it lies half a pixel to the left or above.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let image = content(task)?;
        let (width, height) = size(&image, self.params.share);
        let [left, top, ..] = image.corners();
        let x = left + (image.width() - width) / 2;
        let y = top + (image.height() - height) / 2;
        Ok(Attribution {
            boxes: Some(vec![ScoredBox {
                bbox: BBox::new(x, y, x + width, y + height)?,
                score: 1.0,
                label: None,
            }]),
            ..Attribution::default()
        })
    }
}
