use medfocus_plugin_api::{
    BBox, CounterfactualEditor, EditRequest, GrayImage,
    ndarray::Array2,
    testkit::{
        LocalHost,
        conformance::{self, Outside},
    },
};
use template_name::{FillParams, MeanFill};

#[test]
fn it_conforms() {
    conformance::editor::<MeanFill>(FillParams::default(), Outside::Kept).assert();
    conformance::editor::<MeanFill>(FillParams { grain: 0 }, Outside::Kept).assert();
}

/// A white spot on grey 90 is gone, but for the grain, which is another with another seed.
#[test]
fn the_region_becomes_what_is_around_it() {
    let editor: MeanFill = LocalHost::new().make(FillParams::default()).unwrap();
    let spot = BBox::new(10, 20, 30, 40).unwrap();
    let ground = GrayImage::from_array(Array2::from_elem((60, 50), 90)).unwrap();
    let image = ground.with_filled(&spot, 255);
    let mut request = EditRequest::new(image, vec![spot], "No bright spot");
    let first = editor.edit(&request).unwrap();
    assert!(first.view().iter().all(|pixel| pixel.abs_diff(90) <= 4));
    request.seed = 1;
    assert_ne!(editor.edit(&request).unwrap(), first);
}
