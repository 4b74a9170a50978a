use medfocus_plugin_api::{
    DatasetReader,
    testkit::{LocalHost, conformance},
};
use template_name::{Spots, SpotsParams};

#[test]
fn it_conforms() {
    conformance::dataset::<Spots>(SpotsParams::default()).assert();
    conformance::dataset::<Spots>(SpotsParams {
        len: 1,
        ..SpotsParams::default()
    })
    .assert();
}

#[test]
fn boxes_are_where_the_image_is_bright() {
    let dataset: Spots = LocalHost::new().make(SpotsParams::default()).unwrap();
    for index in 0..8 {
        let sample = dataset.sample(index).unwrap();
        assert_eq!(sample.present, Some(index % 2 == 0));
        for ((y, x), &pixel) in sample.image.view().indexed_iter() {
            let inside = sample
                .boxes
                .iter()
                .any(|spot| spot.contains(x as u32, y as u32));
            assert_eq!(pixel == 220, inside, "sample {index} at ({x}, {y})");
        }
    }
}
