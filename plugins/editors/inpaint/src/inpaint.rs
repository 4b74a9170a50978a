//! The editor.

use medfocus_plugin_api::{
    Component, Context, CounterfactualEditor, EditRequest, GrayImage, NoParams, Result,
};

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
        let filled = harmonic(image.view(), request.edited()?.view())?;
        GrayImage::from_array(filled.mapv(|value| value.round() as u8))
    }
}
