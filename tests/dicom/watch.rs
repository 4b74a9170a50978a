//! `medfocus watch` with a folder.

use std::{fs, path::Path};

use dicom_dictionary_std::{tags, uids};
use medfocus_tests::{Ran, run};

use crate::ward::Ward;

fn watch(ward: &Ward, folder: &Path, more: &[&str]) -> Ran {
    let mut command = ward.medfocus("watch", "occlusion");
    command.arg("--folder").arg(folder);
    run(command.args(["--once", "--every", "0.1"]).args(more))
}

fn results(ward: &Ward) -> usize {
    fs::read_dir(ward.path("out/results")).map_or(0, Iterator::count)
}

#[test]
fn each_film_is_explained_once_and_a_bad_one_stops_nothing() {
    let ward = Ward::new();
    let inbox = ward.path("inbox");
    fs::create_dir_all(inbox.join("a study")).unwrap();
    fs::copy(ward.film(), inbox.join("a study/film.dcm")).unwrap();
    // The same film under another name, and before it what is none.
    fs::copy(ward.film(), inbox.join("twin.dcm")).unwrap();
    let film = fs::read(ward.film()).unwrap();
    fs::write(inbox.join("a broken one.dcm"), &film[..film.len() / 2]).unwrap();
    let other = ward.drawn().without(tags::STUDY_INSTANCE_UID);
    let other = other.file(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    fs::write(inbox.join("a film of no study.dcm"), other).unwrap();

    let ran = watch(&ward, &inbox, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.out.matches("explained").count(), 1, "{ran:?}");
    assert_eq!(ran.err.trim().lines().count(), 2, "{ran:?}");
    for words in ["a broken one.dcm", "StudyInstanceUID"] {
        assert!(ran.err.contains(words), "{ran:?}");
    }
    assert_eq!(results(&ward), 1);
    assert!(inbox.join("twin.dcm").exists(), "the folder is only read");

    // Nothing is done again, also by another process.
    let again = watch(&ward, &inbox, &[]);
    assert!(
        !again.out.contains("explained") && again.err.is_empty(),
        "{again:?}"
    );
    let again = watch(&ward, &inbox, &["--retry-failed"]);
    assert_eq!(again.err.trim().lines().count(), 2, "{again:?}");
}

#[test]
fn what_is_not_sent_is_kept_and_sent_later() {
    let ward = Ward::new();
    let inbox = ward.path("inbox");
    fs::create_dir(&inbox).unwrap();
    fs::copy(ward.film(), inbox.join("film.dcm")).unwrap();
    let nobody = ["--send", "dicom://PACS@127.0.0.1:1"];
    for _ in 0..2 {
        let ran = watch(&ward, &inbox, &nobody);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(
            ran.err.contains("PACS@127.0.0.1:1 cannot be reached"),
            "{ran:?}"
        );
        assert_eq!(results(&ward), 1);
    }
}

#[test]
fn results_are_not_written_where_films_are_looked_for() {
    let ward = Ward::new();
    let around = ward.film().parent().unwrap().to_owned();
    watch(&ward, &around, &[]).one_sentence(&["would lie in the folder that is watched", "--out"]);
    let send = ["--send", "pacs.local"];
    watch(&ward, &ward.path("data"), &send)
        .one_sentence(&["pacs.local", "dicom://TITLE@HOST:PORT"]);
}
