//! What is written about a film, read back.

mod support;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{InMemDicomObject, from_reader};
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use medfocus_dicom::{
    Algorithm, Explanation, Film, Identity, Key, Moment, Object, Picture, Region, Weight, write,
};
use support::{INSTANCE, SECRETS, SERIES, STUDY};

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;

fn film() -> support::Film {
    support::Film::new(4, 6, &[7; 24])
}

fn read(film: &support::Film) -> Film {
    Film::read(&film.file(EXPLICIT)).unwrap()
}

fn explanation<'a>(rgb: &'a [u8], warnings: &'a [String]) -> Explanation<'a> {
    let algorithm = Algorithm {
        name: "some method",
        plugin: "some-plugin",
        version: "1.2.3",
        digest: "blake3:00",
        weights: None,
        parameters: "{}",
    };
    Explanation {
        version: "0.1.0",
        question: "Is there \"ünrest\" \\ evidence?",
        answer: "Yes",
        given: false,
        finding: Some("pleural effusion"),
        regions: vec![
            Region {
                edges: [1, 0, 5, 3],
                score: 1.0 / 3.0,
                label: Some("left costophrenic angle"),
            },
            Region {
                edges: [0, 0, 6, 4],
                score: 0.125,
                label: Some("somewhere"),
            },
        ],
        weights: vec![Weight {
            concept: "right lung",
            delta: -0.5,
        }],
        warnings,
        method: algorithm,
        model: Algorithm {
            weights: Some("blake3:11"),
            ..algorithm
        },
        picture: Picture {
            width: 12,
            height: 9,
            rgb,
            scale: (2.0, 2.0),
        },
    }
}

fn rgb() -> Vec<u8> {
    (0..12 * 9 * 3).map(|value| (value % 251) as u8).collect()
}

fn now() -> Moment {
    Moment {
        date: "20261128".into(),
        time: "010203".into(),
    }
}

fn written(film: &Film, identity: &Identity) -> Vec<Object> {
    let warnings = ["to be read with care".to_owned()];
    write(film, identity, &explanation(&rgb(), &warnings), now()).unwrap()
}

fn open(object: &Object) -> InMemDicomObject {
    from_reader(&object.bytes[..]).unwrap().into_inner()
}

fn text(set: &InMemDicomObject, tag: Tag) -> String {
    set.get(tag)
        .unwrap()
        .to_str()
        .unwrap()
        .trim_end_matches('\0')
        .to_owned()
}

fn items(set: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    set.get(tag).unwrap().items().unwrap()
}

fn nobody() -> Identity {
    Identity::Replaced(Key::new(b"a secret of this test"))
}

#[test]
fn with_identity_the_objects_lie_beside_the_film() {
    let objects = written(&read(&film()), &Identity::Kept);
    let names: Vec<_> = objects.iter().map(|object| object.name).collect();
    assert_eq!(names, medfocus_dicom::NAMES);
    for object in &objects {
        let set = open(object);
        assert_eq!(text(&set, tags::STUDY_INSTANCE_UID), STUDY);
        assert_ne!(text(&set, tags::SERIES_INSTANCE_UID), SERIES);
        assert_eq!(text(&set, tags::PATIENT_NAME), "Mustermann^Änne");
        assert_eq!(text(&set, tags::PATIENT_ID), "PAT-4711");
        assert_eq!(text(&set, tags::ACCESSION_NUMBER), "ACC-0815");
        assert_eq!(text(&set, tags::SOP_INSTANCE_UID), object.uid);
        assert!(set.get(tags::PATIENT_IDENTITY_REMOVED).is_none());
    }
    let capture = open(&objects[0]);
    assert_eq!(text(&capture, tags::CONTENT_DATE), "20261128");
    let source = &items(&capture, tags::SOURCE_IMAGE_SEQUENCE)[0];
    assert_eq!(text(source, tags::REFERENCED_SOP_INSTANCE_UID), INSTANCE);
    assert_eq!(text(&capture, tags::PIXEL_SPACING), "0.2\\0.2");
    let pixels = capture.get(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
    assert_eq!(&pixels[..], &rgb()[..]);
}

#[test]
fn without_identity_nothing_says_who_it_is() {
    let film = read(&film());
    let objects = written(&film, &nobody());
    for object in &objects {
        // Big blocks of pixels hold no text; headers hold nothing else.
        let bytes = String::from_utf8_lossy(&object.bytes);
        for secret in SECRETS {
            assert!(!bytes.contains(secret), "{secret} in {}", object.name);
        }
        let set = open(object);
        assert_eq!(text(&set, tags::PATIENT_IDENTITY_REMOVED), "YES");
        assert_eq!(text(&set, tags::PATIENT_BIRTH_DATE), "");
        assert_eq!(text(&set, tags::PATIENT_SEX), "");
        assert_eq!(text(&set, tags::STUDY_TIME), "");
    }
    let [capture, report, state] = &objects[..] else {
        panic!("three objects");
    };
    let (capture, report, state) = (open(capture), open(report), open(state));
    for tag in [tags::STUDY_INSTANCE_UID, tags::PATIENT_ID, tags::STUDY_DATE] {
        assert_eq!(text(&capture, tag), text(&report, tag));
        assert_eq!(text(&capture, tag), text(&state, tag));
    }
    let source = text(
        &items(&capture, tags::SOURCE_IMAGE_SEQUENCE)[0],
        tags::REFERENCED_SOP_INSTANCE_UID,
    );
    let study = &items(&report, tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE)[0];
    assert_eq!(
        text(study, tags::STUDY_INSTANCE_UID),
        text(&capture, tags::STUDY_INSTANCE_UID)
    );
    let series = &items(study, tags::REFERENCED_SERIES_SEQUENCE)[0];
    let evidence = &items(series, tags::REFERENCED_SOP_SEQUENCE)[0];
    assert_eq!(text(evidence, tags::REFERENCED_SOP_INSTANCE_UID), source);
    let shown = &items(&state, tags::REFERENCED_SERIES_SEQUENCE)[0];
    assert_eq!(
        text(shown, tags::SERIES_INSTANCE_UID),
        text(series, tags::SERIES_INSTANCE_UID)
    );
}

#[test]
fn the_key_decides_who_nobody_is() {
    let film = read(&film());
    let one = written(&film, &nobody());
    // Whenever it is written: the bytes are the same.
    let rgb = rgb();
    let warnings = ["to be read with care".to_owned()];
    let later = Moment {
        date: "20310101".into(),
        time: "235959".into(),
    };
    let again = write(
        &film,
        &nobody(),
        &explanation(&rgb, &warnings),
        later.clone(),
    )
    .unwrap();
    assert_eq!(one, again);
    let other = Identity::Replaced(Key::new(b"another secret"));
    let other = write(&film, &other, &explanation(&rgb, &warnings), later).unwrap();
    let study = |objects: &[Object]| text(&open(&objects[0]), tags::STUDY_INSTANCE_UID);
    assert_ne!(study(&one), study(&other));
}

#[test]
fn another_film_of_the_patient_stays_theirs() {
    let first = written(&read(&film()), &nobody());
    let second = film().with(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3").with(
        tags::STUDY_DATE,
        VR::DA,
        "20240302",
    );
    let second = written(&read(&second), &nobody());
    let (first, second) = (open(&first[0]), open(&second[0]));
    assert_eq!(
        text(&first, tags::PATIENT_ID),
        text(&second, tags::PATIENT_ID)
    );
    assert_ne!(
        text(&first, tags::STUDY_INSTANCE_UID),
        text(&second, tags::STUDY_INSTANCE_UID)
    );
    // Two days lie between them, as before.
    let day = |set: &InMemDicomObject| {
        let date = set.get(tags::STUDY_DATE).unwrap().to_date().unwrap();
        date.to_naive_date().unwrap()
    };
    assert_eq!((day(&second) - day(&first)).num_days(), 2);
}

#[test]
fn films_that_name_nobody_are_not_one_patients() {
    let nameless = |study: &str| {
        let film = film().without(tags::PATIENT_ID);
        let film = film.with(tags::STUDY_INSTANCE_UID, VR::UI, study);
        text(
            &open(&written(&read(&film), &nobody())[0]),
            tags::PATIENT_ID,
        )
    };
    assert_ne!(nameless("1.2.3"), nameless("1.2.4"));
    assert_eq!(nameless("1.2.3"), nameless("1.2.3"));
}

#[test]
fn identifiers_follow_from_the_content() {
    let film = read(&film());
    let objects = written(&film, &Identity::Kept);
    assert_eq!(objects, written(&film, &Identity::Kept));
    let warnings = ["another warning".to_owned()];
    let rgb = rgb();
    let others = write(&film, &Identity::Kept, &explanation(&rgb, &warnings), now()).unwrap();
    assert_ne!(objects[1].uid, others[1].uid);
    // The warning is in the picture's pixels, which are the same here.
    assert_eq!(objects[0].uid, others[0].uid);
}

#[test]
fn they_survive_implicit_vr() {
    for object in written(&read(&film()), &Identity::Kept) {
        let set = open(&object);
        let implicit = IMPLICIT_VR_LITTLE_ENDIAN.erased();
        let mut bytes = Vec::new();
        set.write_dataset_with_ts(&mut bytes, &implicit).unwrap();
        let again = InMemDicomObject::read_dataset_with_ts(&bytes[..], &implicit).unwrap();
        let mut both = [Vec::new(), Vec::new()];
        for (set, out) in [&set, &again].into_iter().zip(&mut both) {
            // Only the type of the bytes of pixels is not said there.
            let mut set = set.clone();
            set.remove_element(tags::PIXEL_DATA);
            let explicit = dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;
            set.write_dataset_with_ts(out, &explicit.erased()).unwrap();
        }
        assert!(both[0] == both[1], "{} changed", object.name);
    }
}

#[test]
fn any_transfer_syntax_of_the_film_will_do() {
    let one = written(&read(&film()), &Identity::Kept);
    for transfer in [
        uids::IMPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2.2",
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    ] {
        let film = Film::read(&film().file(transfer)).unwrap();
        assert_eq!(one, written(&film, &Identity::Kept), "{transfer}");
    }
}

#[test]
fn a_film_that_shows_its_patient_is_not_shown_as_nobodys() {
    let film = read(&film().with(tags::BURNED_IN_ANNOTATION, VR::CS, "YES"));
    let rgb = rgb();
    let refused = write(&film, &nobody(), &explanation(&rgb, &[]), now()).unwrap_err();
    assert!(refused.to_string().contains("show who the patient is"));
    let named = written(&film, &Identity::Kept);
    assert_eq!(text(&open(&named[0]), tags::BURNED_IN_ANNOTATION), "YES");
}

#[test]
fn a_presentation_state_is_for_grey_films() {
    let state = |film: &support::Film| {
        let objects = written(&read(film), &Identity::Kept);
        objects.get(2).map(open)
    };
    let dark = state(&film()).unwrap();
    assert_eq!(text(&dark, tags::PRESENTATION_LUT_SHAPE), "IDENTITY");
    assert_eq!(text(&dark, tags::RESCALE_INTERCEPT), "-5");
    assert!(dark.get(tags::SOFTCOPY_VOILUT_SEQUENCE).is_none());
    let bright = film().with(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    let bright = state(&bright).unwrap();
    assert_eq!(text(&bright, tags::PRESENTATION_LUT_SHAPE), "INVERSE");
    let colour = film().with(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB");
    assert!(state(&colour).is_none());
}

#[test]
fn what_is_no_film_is_refused_in_a_sentence_without_its_content() {
    let file = film().file(EXPLICIT);
    let no_study = film().without(tags::STUDY_INSTANCE_UID).file(EXPLICIT);
    let bad_series = film()
        .with(tags::SERIES_INSTANCE_UID, VR::UI, "Mustermann")
        .file(EXPLICIT);
    let no_size = film().without(tags::ROWS).file(EXPLICIT);
    for (bytes, words) in [
        (&b"\x89PNG\r\n\x1a\n and so on"[..], "no DICOM file"),
        (&[], "no DICOM file"),
        (&file[..300], "no DICOM file"),
        (&no_study, "StudyInstanceUID"),
        (&bad_series, "SeriesInstanceUID"),
        (&no_size, "how large"),
    ] {
        let sentence = Film::read(bytes).unwrap_err().to_string();
        assert!(sentence.contains(words), "{sentence}");
        for secret in SECRETS {
            assert!(!sentence.contains(secret), "{sentence}");
        }
    }
}
