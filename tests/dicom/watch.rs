//! `medfocus watch` with a folder.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dicom_dictionary_std::{tags, uids};
use medfocus_tests::{Ran, kill_at_random, run};

use crate::ward::Ward;

fn command(ward: &Ward, folder: &Path) -> Command {
    let mut command = ward.medfocus("watch", "occlusion");
    command.arg("--folder").arg(folder);
    command.args(["--every", "0.1"]);
    command
}

fn watch(ward: &Ward, folder: &Path, more: &[&str]) -> Ran {
    run(command(ward, folder).arg("--once").args(more))
}

/// Films that differ, in a folder.
fn some(ward: &Ward, inbox: &Path) -> usize {
    fs::create_dir(inbox).unwrap();
    let left_out = [tags::ROWS, tags::BODY_PART_EXAMINED, tags::MODALITY];
    for (number, tag) in left_out.into_iter().enumerate() {
        let film = match number {
            0 => ward.drawn(),
            _ => ward.drawn().without(tag),
        };
        let film = film.file(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        fs::write(inbox.join(format!("{number}.dcm")), film).unwrap();
    }
    left_out.len()
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

#[test]
fn a_kill_loses_no_film_and_explains_none_twice() {
    let ward = Ward::new();
    let inbox = ward.path("inbox");
    let films = some(&ward, &inbox);
    let began = Instant::now();
    let whole = watch(&ward, &inbox, &[]);
    assert_eq!(whole.code, 0, "{whole:?}");
    let span = began.elapsed();

    fs::remove_dir_all(ward.path("out")).unwrap();
    let once = || {
        let mut command = command(&ward, &inbox);
        command.arg("--once");
        command
    };
    kill_at_random(12, once, span, &ward.path("out"), "journal.jsonl", films);
    let last = watch(&ward, &inbox, &[]);
    assert_eq!(last.code, 0, "{last:?}");

    let journal = fs::read_to_string(ward.path("out/journal.jsonl")).unwrap();
    let mut lines: Vec<_> = journal.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), films, "{journal}");
    assert_eq!(lines.len(), journal.lines().count(), "{journal}");
    assert!(lines.iter().all(|line| line.contains("explained")));
    assert_eq!(results(&ward), films);
    for result in fs::read_dir(ward.path("out/results")).unwrap() {
        let files = fs::read_dir(result.unwrap().path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        // What a kill may leave, as `OutDir` says.
        names.retain(|name| !name.to_string_lossy().starts_with(".writing-"));
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "attribution.json",
                "explanation.gsps.dcm",
                "explanation.sc.dcm",
                "explanation.sr.dcm",
                "heatmap.npy",
                "overlay.png",
            ]
        );
    }
}

#[test]
fn an_audit_log_that_was_altered_ends_it_and_is_no_fault_of_the_film() {
    let ward = Ward::new();
    let inbox = ward.path("inbox");
    fs::create_dir(&inbox).unwrap();
    let log = ward.path("audit.jsonl");
    let kept = format!("audit.file={}", log.display());
    let mut command = command(&ward, &inbox);
    let mut child = command
        .args(["--set", &kept])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    // The components are made, and the folder is watched.
    while !fs::read_to_string(&log).is_ok_and(|log| log.contains("occlusion")) {
        assert!(Instant::now() < patience, "it never began");
        thread::sleep(Duration::from_millis(20));
    }
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() / 2]).unwrap();
    fs::copy(ward.film(), inbox.join("film.dcm")).unwrap();
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < patience, "it never ended");
        thread::sleep(Duration::from_millis(20));
    }
    let ended = Ran::of(child.wait_with_output().unwrap());
    ended.one_sentence(&["audit log"]);

    fs::write(&log, &whole).unwrap();
    let again = watch(&ward, &inbox, &[]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(results(&ward), 1);
}
