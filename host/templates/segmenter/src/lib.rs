//! A segmenter for MedFocus: grows a region from the middle of each box.

use medfocus_plugin_api::{
    BBox, Component, Context, GrayImage, Mask, Result, Segment, SegmentRequest, Segmenter, Working,
    ndarray::Array2, params,
};

params! {
    /// Parameters of [`RegionGrow`].
    pub struct GrowParams {
        /// By how many grey levels a pixel may differ from the one in the middle of the box.
        pub tolerance: u32 = 30, in 0..=255;
    }
}

/// The 4-connected pixels of the box that are about as bright as its middle, from the middle on.
///
/// The confidence is the share of the box that they cover, 0 to 1.
pub struct RegionGrow {
    params: GrowParams,
    context: Context,
}

impl Component for RegionGrow {
    const NAME: &'static str = "template_name";
    const SUMMARY: &'static str = "Grows a region of like brightness from the middle of each box.";
    type Params = GrowParams;

    fn new(params: GrowParams, context: Context) -> Result<Self> {
        Ok(Self { params, context })
    }
}

impl Segmenter for RegionGrow {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let total = request.boxes.len();
        let mut segments = Vec::with_capacity(total);
        for (number, bbox) in request.boxes.iter().enumerate() {
            self.context.step(number as u64, total as u64, "growing")?;
            segments.push(self.grow(&request.image, bbox)?);
        }
        Ok(segments)
    }
}

impl RegionGrow {
    fn grow(&self, image: &GrayImage, bbox: &BBox<Working>) -> Result<Segment> {
        let pixels = image.view();
        let mut region = Array2::from_elem(pixels.dim(), false);
        // A box that lies outside of the image has an empty region.
        let Some(bbox) = bbox.clip(image.width(), image.height()) else {
            return Ok(Segment::new(Mask::from_array(region)?, 0.0));
        };
        let [x1, y1, x2, y2] = bbox.corners().map(|corner| corner as usize);
        let seed = ((y1 + y2) / 2, (x1 + x2) / 2);
        let alike =
            |place| u32::from(pixels[seed].abs_diff(pixels[place])) <= self.params.tolerance;
        let mut open = vec![seed];
        while let Some(place @ (y, x)) = open.pop() {
            if region[place] || !alike(place) {
                continue;
            }
            region[place] = true;
            open.extend((y > y1).then(|| (y - 1, x)));
            open.extend((x > x1).then(|| (y, x - 1)));
            open.extend((y + 1 < y2).then_some((y + 1, x)));
            open.extend((x + 1 < x2).then_some((y, x + 1)));
        }
        let mask = Mask::from_array(region)?;
        let confidence = mask.area() as f64 / bbox.area() as f64;
        Ok(Segment::new(mask, confidence))
    }
}

medfocus_plugin_api::export_plugin! {
    segmenter RegionGrow;
}
