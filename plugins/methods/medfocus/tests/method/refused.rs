//! Images that are no chest, pools that are none, and concepts that are not there.

use crate::common::{TEST, phantom};
use crate::host::{Cohort, boxes_of, host, method, model, pool, task, task_of};
use medfocus_plugin_api::{
    AttributionMethod, ErrorKind, GrayImage, Letterbox, Task,
    testkit::{LocalHost, toy_task},
};
use ndarray::{Array2, s};
use serde_json::json;

#[test]
fn what_is_no_chest_is_explained_with_a_warning() {
    let chest = phantom(TEST + 7, false).image;
    let turned = chest.view().slice(s![..;-1, ..]).to_owned();
    let found = method(&host(), json!({}))
        .attribute(&toy_task(turned).unwrap())
        .unwrap();
    assert_eq!(found.evidence["reliable"], false);
    assert!(found.warnings[0].starts_with("unreliable: the image looks like no reference"));
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn an_image_without_contrast_is_an_error() {
    let method = method(&host(), json!({}));
    for level in [0, 128, 255] {
        let error = method.attribute(&toy_task(Array2::from_elem((224, 224), level)).unwrap());
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(
            error.message.contains(&format!("grey level {level}")),
            "{error}"
        );
    }
    // One bright pixel is a grey level more, but no cell is bright.
    let mut speck = Array2::zeros((224, 224));
    speck[(30, 200)] = 1;
    let error = method.attribute(&toy_task(speck).unwrap()).unwrap_err();
    assert!(
        error.message.contains("no cell of the image is brighter"),
        "{error}"
    );
}

#[test]
fn a_sample_is_not_its_own_reference() {
    let host = host();
    let method = method(&host, json!({}));
    let sample = phantom(2, true);
    let mut task = task_of(&sample);
    let indices = |task: &Task| {
        let found = method.attribute(task).unwrap();
        let references = found.evidence["references"].as_array().unwrap();
        references
            .iter()
            .map(|r| r["index"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(indices(&task)[0], 2, "an image is nearest to itself");
    task.sample = Some(sample.key);
    let others = indices(&task);
    assert!(others.len() == 5 && !others.contains(&2), "{others:?}");

    let alone = LocalHost::new()
        .with_model(model())
        .with_dataset(Cohort(vec![phantom(2, true)]));
    let error = crate::host::method(&alone, json!({}))
        .attribute(&task)
        .unwrap_err();
    assert_eq!(
        error.message,
        "the pool holds no reference but the sample itself"
    );
}

#[test]
fn a_pool_without_anatomy_is_refused() {
    let mut sample = phantom(0, true);
    sample.masks.clear();
    let host = LocalHost::new()
        .with_model(model())
        .with_dataset(Cohort(vec![sample]));
    let error = method(&host, json!({})).attribute(&task()).unwrap_err();
    assert!(
        error.to_string().contains("`left hilar structures`"),
        "{error}"
    );

    let mut flat = phantom(0, true);
    flat.image = GrayImage::from_array(Array2::zeros((224, 224))).unwrap();
    let host = LocalHost::new()
        .with_model(model())
        .with_dataset(Cohort(vec![flat]));
    let error = method(&host, json!({})).attribute(&task()).unwrap_err();
    assert!(error.message.starts_with("sample 0 of healthy"), "{error}");

    let error = method(&LocalHost::new(), json!({}))
        .attribute(&task())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
}

#[test]
fn a_concept_that_no_reference_shows_is_left_out() {
    let mut samples = pool().0;
    for sample in &mut samples {
        sample.masks.remove("left clavicle");
    }
    let host = LocalHost::new()
        .with_model(model())
        .with_dataset(Cohort(samples));
    let found = method(&host, json!({})).attribute(&task()).unwrap();
    let concepts = found.evidence["concepts"].as_array().unwrap();
    let names: Vec<_> = concepts
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 13);
    assert!(!names.contains(&"left clavicle") && !names.contains(&"clavicles"));
}

#[test]
fn regions_end_where_the_image_does() {
    let mut task = task();
    task.letterbox = Letterbox::new(500, 1000, 224).unwrap();
    let found = method(&host(), json!({})).attribute(&task).unwrap();
    let content = task.letterbox.content();
    for concept in found.evidence["concepts"].as_array().unwrap() {
        for bbox in boxes_of(&concept["boxes"]) {
            assert_eq!(bbox.intersection(&content), Some(bbox), "{concept}");
        }
    }
}
