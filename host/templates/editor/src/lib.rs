//! An editor for MedFocus: fills the region with the mean of what lies around it.

use medfocus_plugin_api::{
    Component, Context, CounterfactualEditor, EditRequest, GrayImage, Result, params,
};

params! {
    /// Parameters of [`MeanFill`].
    pub struct FillParams {
        /// Largest grain that is added to the mean, in grey levels; 0 fills evenly.
        pub grain: u32 = 4, in 0..=64;
    }
}

/// Replaces each edited pixel by the mean of the others, with grain that the seed decides.
///
/// The prompt is not read; pixels that are not edited stay as they are.
pub struct MeanFill {
    params: FillParams,
    context: Context,
}

impl Component for MeanFill {
    const NAME: &'static str = "template_name";
    const SUMMARY: &'static str = "Fills the region with the mean grey of the rest, and grain.";
    type Params = FillParams;

    fn new(params: FillParams, context: Context) -> Result<Self> {
        Ok(Self { params, context })
    }
}

impl CounterfactualEditor for MeanFill {
    fn edit(&self, request: &EditRequest) -> Result<GrayImage> {
        self.context.step(0, 1, "filling")?;
        // Says so if the mask does not fit the image.
        let edited = request.edited()?;
        let mut pixels = request.image.view().to_owned();
        let (mut sum, mut kept) = (0u64, 0u64);
        for (pixel, _) in pixels.iter().zip(&edited).filter(|(_, edited)| !**edited) {
            sum += u64::from(*pixel);
            kept += 1;
        }
        let mean = sum.checked_div(kept).unwrap_or_default() as i64;
        let mut random = request.seed;
        let reach = i64::from(self.params.grain);
        for (pixel, _) in pixels
            .iter_mut()
            .zip(&edited)
            .filter(|(_, edited)| **edited)
        {
            let grain = (next(&mut random) % (2 * reach as u64 + 1)) as i64 - reach;
            *pixel = (mean + grain).clamp(0, 255) as u8;
        }
        GrayImage::from_array(pixels)
    }
}

/// The next number of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same seed, the same pixels.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

medfocus_plugin_api::export_plugin! {
    editor MeanFill;
}
