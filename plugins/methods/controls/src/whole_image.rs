//! The whole image as evidence.

use medfocus_plugin_api::{
    Attribution, AttributionMethod, Component, Context, NoParams, Result, ScoredBox, Task,
};

/// Blames all of the image and none of its padding.
///
/// Its recall is 1 and its precision the share of the image that is evidence: a method that does no better has
/// localised nothing.
#[derive(Clone, Copy, Debug)]
pub struct WholeImage;

impl Component for WholeImage {
    const NAME: &'static str = "whole_image";
    const SUMMARY: &'static str = "Control: the whole image, whatever the question; asks no model.";
    type Params = NoParams;

    fn new(_: NoParams, _: Context) -> Result<Self> {
        Ok(Self)
    }
}

impl AttributionMethod for WholeImage {
    /// One box of score 1: the part of the working image that shows the native image.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        Ok(Attribution {
            boxes: Some(vec![ScoredBox {
                bbox: task.letterbox.content(),
                score: 1.0,
                label: None,
            }]),
            ..Attribution::default()
        })
    }
}
