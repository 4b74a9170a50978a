use medfocus_plugin_api::{
    BBox, GrayImage, SegmentRequest, Segmenter, Working,
    ndarray::Array2,
    testkit::{LocalHost, conformance},
};
use template_name::{GrowParams, RegionGrow};

#[test]
fn it_conforms() {
    conformance::segmenter::<RegionGrow>(GrowParams::default()).assert();
}

/// A box drawn loosely about a bright square means the square.
#[test]
fn a_loose_box_becomes_the_square_in_it() {
    let segmenter: RegionGrow = LocalHost::new().make(GrowParams::default()).unwrap();
    let square = BBox::<Working>::new(100, 60, 140, 100).unwrap();
    let ground = GrayImage::from_array(Array2::from_elem((224, 224), 50)).unwrap();
    let image = ground.with_filled(&square, 180);
    let loose = BBox::new(90, 50, 150, 110).unwrap();
    let found = segmenter
        .segment(&SegmentRequest::new(image, vec![loose]))
        .unwrap();
    assert_eq!(found[0].mask.tight_box(), Some(square));
    assert_eq!(found[0].mask.area(), square.area());
    assert_eq!(found[0].confidence, 1600.0 / 3600.0);
}
