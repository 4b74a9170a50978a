use medfocus_plugin_api::{
    ErrorKind, GrayImage, ScoreRequest, VisionLanguageModel,
    ndarray::Array2,
    testkit::{LocalHost, conformance},
};
use template_name::{Brightness, BrightnessParams};

#[test]
fn it_conforms() {
    conformance::model::<Brightness>(BrightnessParams::default(), "Yes").assert();
    conformance::model::<Brightness>(BrightnessParams::default(), "No").assert();
}

/// An image of mean grey 0.25 + ln(3) / 8 is answered "Yes" with p = 3/4.
#[test]
fn its_probabilities_are_those_of_the_formula() {
    let model: Brightness = LocalHost::new().make(BrightnessParams::default()).unwrap();
    let grey = ((0.25 + 3f64.ln() / 8.0) * 255.0).round() as u8;
    let image = GrayImage::from_array(Array2::from_elem((224, 224), grey)).unwrap();
    for (answer, expected) in [("Yes", 0.75f32), ("No", 0.25)] {
        let request = ScoreRequest::new(vec![image.clone()], "Is it bright?", answer);
        let scores = model.score(&request).unwrap();
        let log_prob = scores.log_probs.view::<f32>().unwrap()[[0, 0]];
        // The grey level is rounded to one of 256.
        assert!(
            (log_prob.exp() - expected).abs() < 0.01,
            "{answer}: {log_prob}"
        );
    }
    let other = ScoreRequest::new(vec![image], "Is it bright?", "Perhaps");
    assert_eq!(model.score(&other).unwrap_err().kind, ErrorKind::Invalid);
}
