//! DICOM objects from `medfocus serve`.

use dicom_dictionary_std::{tags, uids};
use dicom_object::from_reader;
use medfocus_tests::Server;
use serde_json::json;

use crate::ward::{QUESTION, Ward};

const KEPT: [&str; 2] = ["--set", "dicom.identified=true"];

#[test]
fn the_page_hands_out_what_attribute_writes() {
    let ward = Ward::new();
    let server = Server::start(&KEPT);
    let film = std::fs::read(ward.film()).unwrap();
    let asked = json!({"question": QUESTION});
    let job = server.job(&server.upload(&film), "occlusion", &asked);
    assert_eq!(server.end(&job)["phase"], "done");

    let ran = ward.attribute(&ward.film(), "occlusion", &KEPT);
    assert_eq!(ran.code, 0, "{ran:?}");
    for name in medfocus_dicom::NAMES {
        let written = std::fs::read(ward.path("out").join(name)).unwrap();
        let served = server.get(&format!("/api/jobs/{job}/files/{name}"));
        assert_eq!(served.headers["content-type"], "application/dicom");
        let [ours, theirs] =
            [&served.body, &written].map(|file| from_reader(&file[..]).unwrap().into_inner());
        // Their own identifiers follow from the content, in which the time stands.
        let mut alike = vec![tags::STUDY_INSTANCE_UID, tags::PATIENT_ID, tags::MODALITY];
        if name.contains(".sc.") {
            alike.push(tags::PIXEL_DATA);
        }
        for tag in alike {
            let [ours, theirs] =
                [&ours, &theirs].map(|set| set.element(tag).unwrap().to_bytes().unwrap());
            assert_eq!(ours, theirs, "{tag} of {name}");
        }
    }
}

#[test]
fn a_film_of_no_study_is_explained_without_them() {
    let ward = Ward::new();
    let server = Server::start(&KEPT);
    let film = ward.drawn().without(tags::STUDY_INSTANCE_UID);
    let film = film.file(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let held = server.send("POST", "/api/images", &[], &film).json();
    let warnings = held["warnings"].to_string();
    assert!(warnings.contains("no DICOM objects") && warnings.contains("StudyInstanceUID"));
    let job = server.job(held["id"].as_str().unwrap(), "occlusion", &json!({}));
    assert_eq!(server.end(&job)["phase"], "done");
    let answer = server.get(&format!("/api/jobs/{job}/answer")).json();
    assert!(!answer["files"].to_string().contains(".dcm"), "{answer}");
}
