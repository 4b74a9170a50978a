//! Which images are normal, and where their regions lie; on synthetic files in the published layout.

use std::{fs, path::Path};

use medfocus_dataset_imagenome::NormalsReader;
use medfocus_imaging::encode::encode_png_gray;
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{DatasetReader, Native, Result, testkit::LocalHost};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const GRAPHS: &str = "chest-imagenome/1.0.0/silver_dataset/scene_graph";

fn open(root: &Path) -> Result<NormalsReader> {
    LocalHost::new().create(json!({"path": root.to_str().unwrap()}))
}

/// Concept c lies at column 10 c.
fn graph() -> Value {
    let objects: Vec<_> = CONCEPTS
        .iter()
        .enumerate()
        .map(|(c, name)| {
            json!({
                "object_id": format!("x_{name}"), "bbox_name": name, "name": name,
                "x1": 0, "y1": 0, "x2": 1, "y2": 1, "width": 1, "height": 1,
                "original_x1": 10 * c, "original_y1": 5, "original_x2": 10 * c + 8, "original_y2": 30,
            })
        })
        .collect();
    json!({
        "image_id": "x", "viewpoint": "PA", "patient_id": 10000032, "study_id": 50414267,
        "gender": "F", "age_decile": "50-60",
        "objects": objects,
        "attributes": [{
            "bbox_name": "right lung", "right lung": true, "name": "Right lung", "object_id": "x_right lung",
            "attributes": [
                ["anatomicalfinding|no|lung opacity", "nlp|yes|normal"],
                ["technicalassessment|yes|low lung volumes", "disease|no|pneumonia"],
            ],
            "phrases": ["Clear.", "No pneumonia."],
        }],
        "relationships": [],
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut graph = graph();
    *graph.pointer_mut(pointer).unwrap() = value;
    graph
}

/// A data set of these scene graphs, named in their order; each with an image of 120 x 40 pixels.
fn dataset(graphs: &[Value]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join(GRAPHS)).unwrap();
    let images = root.join("mimic-cxr-jpg/2.1.0/files/p10/p10000032/s50414267");
    fs::create_dir_all(&images).unwrap();
    for (i, graph) in graphs.iter().enumerate() {
        let file = root.join(GRAPHS).join(format!("image{i}_SceneGraph.json"));
        fs::write(file, graph.to_string()).unwrap();
        let pixels = Array2::from_elem((40, 120), i as u8);
        // Recognised by its content.
        let bytes = encode_png_gray(pixels.view()).unwrap();
        fs::write(images.join(format!("image{i}.jpg")), bytes).unwrap();
    }
    folder
}

#[test]
fn the_boxes_are_the_masks() {
    let folder = dataset(&[graph()]);
    let reader = open(folder.path()).unwrap();
    let sample = reader.sample(0).unwrap();
    assert!(sample.is_normal());
    assert_eq!(sample.patient.as_deref(), Some("p10000032"));
    assert_eq!(sample.masks.len(), 11);
    for (c, name) in (0..).zip(CONCEPTS) {
        let mask = &sample.masks[name];
        let bbox = mask.tight_box::<Native>().unwrap();
        assert_eq!(bbox.corners(), [10 * c, 5, 10 * c + 8, 30]);
        assert_eq!(mask.area(), 8 * 25, "the box is filled");
        assert_eq!((mask.width(), mask.height()), (120, 40));
    }
}

#[test]
fn only_normal_frontal_images_with_all_concepts_count() {
    let statement = "/attributes/0/attributes/1/0";
    let folder = dataset(&[
        with(statement, json!("anatomicalfinding|yes|lung opacity")),
        with(statement, json!("disease|yes|pneumonia")),
        with("/viewpoint", json!("LATERAL")),
        with("/objects/4/bbox_name", json!("spine")),
        with("/attributes", json!([])),
        with("/viewpoint", json!("AP")),
    ]);
    fs::write(folder.path().join(GRAPHS).join("README"), "no scene graph").unwrap();
    fs::write(
        folder.path().join(GRAPHS).join("image_SceneGraph.json"),
        "{",
    )
    .unwrap();
    let reader = open(folder.path()).unwrap();
    assert_eq!(reader.info().unwrap().len, 2);
    let levels = [0, 1].map(|index| reader.sample(index).unwrap().image.bytes()[0]);
    assert_eq!(levels, [4, 5]);
    assert!(
        reader
            .sample(2)
            .unwrap_err()
            .to_string()
            .contains("beyond the 2 normal images")
    );
}

#[test]
fn the_first_ones_are_taken() {
    let folder = dataset(&[graph(), graph(), graph()]);
    let params = json!({"path": folder.path().to_str().unwrap(), "limit": 2});
    let reader: NormalsReader = LocalHost::new().create(params).unwrap();
    let two = reader.info().unwrap();
    let three = open(folder.path()).unwrap().info().unwrap();
    assert_eq!((two.len, three.len), (2, 3));
    assert_ne!(two.digest, three.digest);
}

#[test]
fn a_sample_that_cannot_be_read_fails_alone() {
    let folder = dataset(&[
        graph(),
        with("/objects/0/original_x1", json!(500)),
        with("/study_id", json!(7)),
    ]);
    let reader = open(folder.path()).unwrap();
    assert!(reader.sample(0).is_ok());
    let outside = reader.sample(1).unwrap_err().to_string();
    assert!(
        outside.contains("the box of `cardiac silhouette` holds no pixel of image"),
        "{outside}"
    );
    let missing = reader.sample(2).unwrap_err().to_string();
    assert!(missing.contains("p10/p10000032/s7/image2.jpg"), "{missing}");
}

#[test]
fn what_is_no_scene_graph_is_passed_over() {
    let folder = dataset(&[
        with("/objects/0/original_x1", json!("left")),
        with("/objects/0/original_x1", json!(null)),
        with("/attributes", json!({"right lung": true})),
        with("/patient_id", json!(-1)),
        graph(),
    ]);
    let graphs = folder.path().join(GRAPHS);
    let put = |name: &str, text: &str| fs::write(graphs.join(name), text).unwrap();
    put("huge_SceneGraph.json", &graph().to_string());
    let huge = fs::File::options()
        .write(true)
        .open(graphs.join("huge_SceneGraph.json"))
        .unwrap();
    // A GiB that takes no room on the disk.
    huge.set_len(1 << 30).unwrap();
    put(
        "endless_SceneGraph.json",
        "{\"objects\": [{\"original_x1\": 1e999}]}",
    );
    put("nested_SceneGraph.json", &"[".repeat(1 << 20));
    fs::create_dir(graphs.join("folder_SceneGraph.json")).unwrap();
    let reader = open(folder.path()).unwrap();
    assert_eq!(reader.info().unwrap().len, 1);
    assert_eq!(reader.sample(0).unwrap().image.bytes()[0], 4);
}

#[test]
fn what_is_missing_is_named() {
    let unset = LocalHost::new()
        .create::<NormalsReader>(json!({}))
        .err()
        .unwrap();
    assert!(unset.to_string().contains("`path` is missing"), "{unset}");
    let empty = tempfile::tempdir().unwrap();
    let fails = |words: &str| {
        let sentence = open(empty.path()).err().unwrap().to_string();
        assert!(sentence.contains(words), "{sentence}");
    };
    fails("mimic-cxr-jpg/2.1.0/files is no folder");
    fs::create_dir_all(empty.path().join("mimic-cxr-jpg/2.1.0/files")).unwrap();
    fails("silver_dataset/scene_graph cannot be read");
    fs::create_dir_all(empty.path().join(GRAPHS)).unwrap();
    fails("is of a normal frontal image with all 11 concepts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_corners_are_clipped_or_refused(corners in prop::array::uniform4(-1e6f64..1e6)) {
        let mut graph = graph();
        for (key, corner) in ["original_x1", "original_y1", "original_x2", "original_y2"].iter().zip(corners) {
            graph["objects"][3][key] = json!(corner);
        }
        let folder = dataset(&[graph]);
        let [x1, y1, x2, y2] = corners;
        let inside = x1 < x2 && y1 < y2 && x1 < 120.0 && y1 < 40.0 && x2 > 0.0 && y2 > 0.0;
        let sample = open(folder.path()).unwrap().sample(0);
        prop_assert_eq!(sample.is_ok(), inside);
        if let Ok(sample) = sample {
            prop_assert!(sample.masks[CONCEPTS[3]].area() > 0);
        }
    }
}
