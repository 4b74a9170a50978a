//! Results as DICOM objects, as others read them.

#[path = "../../host/dicom/tests/support/mod.rs"]
mod film;
mod orthanc;
mod serve;
mod ward;
mod watch;

use std::fs;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use serde_json::{Value, json};
use ward::Ward;

/// The corners of a record's boxes, along the edges, as viewers draw them.
fn outlines(record: &Value) -> Vec<Vec<f64>> {
    let boxes = record["boxes"].as_array().unwrap().iter();
    let outline = |found: &Value| {
        let corners = points(&found["native"]["corners"]);
        let [x1, y1, x2, y2] = corners[..] else {
            panic!("a box has four edges: {found}");
        };
        vec![x1, y1, x2, y1, x2, y2, x1, y2, x1, y1]
    };
    boxes.map(outline).collect()
}

fn points(value: &Value) -> Vec<f64> {
    let flat = value
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|point| match point {
            Value::Array(pair) => pair.clone(),
            number => vec![number.clone()],
        });
    flat.map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn with_identity_others_read_what_we_found() {
    let ward = Ward::new();
    let ran = ward.attribute(
        &ward.film(),
        "medfocus",
        &["--set", "dicom.identified=true"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let (record, read) = (ward.record(), ward.read());

    for kind in ["sc", "sr", "gsps"] {
        assert_eq!(read[kind]["study"], film::STUDY);
        assert_eq!(read[kind]["patient"], "Mustermann^Änne");
        assert_eq!(read[kind]["removed"], Value::Null);
        let made = read[kind]["equipment"].to_string();
        let plugin = record["method"]["plugin"]["digest"].as_str().unwrap();
        let weights = record["model_info"]["digest"].as_str().unwrap();
        assert!(made.contains(plugin) && made.contains(weights), "{made}");
    }

    // The picture below the line of words is our picture.
    let ours = image::open(ward.path("out/overlay.png"))
        .unwrap()
        .into_rgb8();
    let pixels = fs::read(ward.path("out/pixels.raw")).unwrap();
    assert!(pixels.ends_with(ours.as_raw()));
    let [width, height] = [0, 1].map(|side| read["sc"]["size"][side].as_u64().unwrap() as u32);
    assert!(width == ours.width() && height > ours.height());
    let banner = &pixels[..pixels.len() - ours.as_raw().len()];
    assert!(
        banner.iter().any(|&level| level > 200),
        "the line has no words"
    );
    // The film of 400 x 500 is drawn at twice its size.
    assert_eq!(read["sc"]["spacing"], json!([0.2, 0.2]));
    assert_eq!(read["sc"]["source"], film::INSTANCE);

    let outlines = outlines(&record);
    assert!(!outlines.is_empty());
    let regions = read["sr"]["regions"].as_array().unwrap();
    let drawn = read["gsps"]["points"].as_array().unwrap();
    assert_eq!(
        (regions.len(), drawn.len()),
        (outlines.len(), outlines.len())
    );
    for (at, outline) in outlines.iter().enumerate() {
        assert_eq!(&points(&regions[at]["points"]), outline);
        assert_eq!(&points(&drawn[at]), outline);
        assert_eq!(regions[at]["image"], film::INSTANCE);
        assert_eq!(
            regions[at]["measured"]["DELTA"][0],
            record["boxes"][at]["score"]
        );
        assert_eq!(
            regions[at]["measured"]["DELTA"][1],
            json!(["1", "UCUM", "no units"])
        );
        assert_eq!(regions[at]["finding"][0], "EVIDENCE");
    }
    assert_eq!(read["gsps"]["image"], film::INSTANCE);
    assert_eq!(read["gsps"]["area"], json!([400, 500]));
    assert_eq!(read["gsps"]["window"], false);

    let mut deltas: Vec<f64> = record["evidence"]["concepts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|concept| concept["delta"].as_f64().unwrap())
        .collect();
    deltas.sort_by(|a, b| b.total_cmp(a));
    let concepts = read["sr"]["concepts"].as_array().unwrap();
    let measured = concepts
        .iter()
        .map(|concept| concept["measured"]["DELTA"][0].as_f64().unwrap());
    assert_eq!(measured.collect::<Vec<_>>(), deltas);
    let sites = read["sr"]["concepts"].to_string();
    assert!(
        sites.contains(r#"[["80891009","SCT","Heart"],null]"#),
        "{sites}"
    );

    let texts = &read["sr"]["texts"];
    assert_eq!(texts["QUESTION"], json!([record["question"]]));
    assert_eq!(texts["ANSWER"], json!([record["answer"]]));
    assert_eq!(read["sr"]["verified"], "UNVERIFIED");
    assert_eq!(
        read["sr"]["evidence"],
        json!([film::STUDY, film::SERIES, film::INSTANCE])
    );
    ward.judged();
}

#[test]
fn by_default_they_are_nobodys_and_fit_together() {
    let ward = Ward::new();
    let given = ["--answer", "No", "--finding", "pleural_effusion"];
    let ran = ward.attribute(&ward.film(), "occlusion", &given);
    assert_eq!(ran.code, 0, "{ran:?}");
    let (record, read) = (ward.record(), ward.read());
    let all = read.to_string() + &ran.out + &ran.err;
    for secret in film::SECRETS {
        assert!(!all.contains(secret), "{secret}");
    }
    for kind in ["sc", "sr", "gsps"] {
        assert_eq!(read[kind]["removed"], "YES");
        assert_eq!(read[kind]["study"], read["sr"]["evidence"][0]);
        assert_eq!(read[kind]["id"], read["sr"]["id"]);
    }
    for image in [&read["sc"]["source"], &read["gsps"]["image"]] {
        assert_eq!(image, &read["sr"]["evidence"][2]);
    }
    let regions = read["sr"]["regions"].as_array().unwrap();
    assert!(!regions.is_empty());
    for (region, outline) in regions.iter().zip(outlines(&record)) {
        assert_eq!(points(&region["points"]), outline);
        assert!(region["measured"]["SCORE"][0].is_number());
    }
    assert_eq!(read["sr"]["texts"]["GIVEN-ANSWER"], json!(["No"]));
    ward.judged();

    // Once more, whenever that is: the same bytes.
    let bytes = |kind: &str| fs::read(ward.path(&format!("out/explanation.{kind}.dcm"))).unwrap();
    let before = ["sc", "sr", "gsps"].map(bytes);
    assert_eq!(ward.attribute(&ward.film(), "occlusion", &given).code, 0);
    assert!(before == ["sc", "sr", "gsps"].map(bytes));
}

#[test]
fn what_is_no_dicom_file_is_refused_before_anything_is_written() {
    let ward = Ward::new();
    let image = ward.path("image.png");
    ward.attribute(&image, "occlusion", &[]).one_sentence(&[
        "image.png",
        "no DICOM file",
        "--dicom",
    ]);
    let film = ward.drawn().with(tags::BURNED_IN_ANNOTATION, VR::CS, "YES");
    fs::write(ward.film(), film.file(uids::EXPLICIT_VR_LITTLE_ENDIAN)).unwrap();
    let refused = ward.attribute(&ward.film(), "occlusion", &[]);
    refused.one_sentence(&["show who the patient is", "dicom.identified"]);
    assert!(!ward.path("out").exists());
}
