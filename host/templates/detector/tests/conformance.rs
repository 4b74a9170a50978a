use medfocus_plugin_api::{
    DetectRequest, Detector, GrayImage,
    ndarray::Array2,
    testkit::{LocalHost, conformance},
};
use template_name::{AnatomyPrior, PriorParams};

#[test]
fn it_conforms() {
    conformance::detector::<AnatomyPrior>(PriorParams::default()).assert();
    conformance::detector::<AnatomyPrior>(PriorParams { scale: 2.0 }).assert();
}

#[test]
fn organs_lie_where_the_table_says() {
    let detector: AnatomyPrior = LocalHost::new().make(PriorParams::default()).unwrap();
    let image = GrayImage::from_array(Array2::zeros((200, 100))).unwrap();
    let phrases = vec!["base of the left lung".to_owned(), "a pacemaker".to_owned()];
    let request = DetectRequest::new(image, phrases, 0.1, 5);
    let found = detector.detect(&request).unwrap();
    assert_eq!(found[0].len(), 1);
    assert_eq!(found[0][0].bbox.corners(), [54, 24, 90, 164]);
    assert!(found[1].is_empty());
}
