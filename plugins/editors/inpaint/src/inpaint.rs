//! The editor.

use medfocus_plugin_api::{
    Component, Context, CounterfactualEditor, EditRequest, GrayImage, NoParams, Result,
    protocol::editor::Side,
};
use ndarray::{Array2, s};

use crate::harmonic::harmonic;

/// An editor in place of a generative one: [`harmonic`] inpainting.
///
/// It READS NO PROMPT and paints no anatomy: the edited part becomes as smooth as its border allows, without texture, ribs
/// or vessels. The same request always has the same answer; the seed changes nothing. Boxes count where they lie inside the
/// image. A region without pixels leaves the image as it is; the whole image is an error, also as the other
/// side of nothing.
#[derive(Clone, Copy, Debug)]
pub struct Inpaint;

impl Component for Inpaint {
    const NAME: &'static str = "inpaint";
    const SUMMARY: &'static str = "Stand-in for a generative editor: fills a region smoothly from its border (harmonic inpainting); ignores the prompt.";
    type Params = NoParams;

    fn new(_: NoParams, _: Context) -> Result<Self> {
        Ok(Self)
    }
}

impl CounterfactualEditor for Inpaint {
    fn edit(&self, request: &EditRequest) -> Result<GrayImage> {
        let image = request.image.view().mapv(f64::from);
        let filled = harmonic(image.view(), edited(request).view())?;
        GrayImage::from_array(filled.mapv(|value| value.round() as u8))
    }
}

/// The pixels that are edited.
fn edited(request: &EditRequest) -> Array2<bool> {
    let mut region = match &request.mask {
        Some(mask) => mask.view().mapv(|pixel| pixel != 0),
        None => {
            let mut region = Array2::from_elem(request.image.view().dim(), false);
            let (width, height) = (request.image.width(), request.image.height());
            for bbox in request
                .boxes
                .iter()
                .filter_map(|bbox| bbox.clip(width, height))
            {
                let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
                region.slice_mut(s![y1..y2, x1..x2]).fill(true);
            }
            region
        }
    };
    if request.side == Side::Background {
        region.mapv_inplace(|inside| !inside);
    }
    region
}
