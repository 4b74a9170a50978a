//! The log of who ran what: whole, in order, without a patient.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, thread};

use medfocus_tests::{Ran, medfocus, run, workspace};
use serde_json::Value;
use tempfile::TempDir;

const FILM: &str = "docs/pictures/occlusion.png";

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::write(place.path("key"), [7; 32]).unwrap();
        fs::copy(workspace().join(FILM), place.path("MUELLER^ANNA.png")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn log(&self) -> PathBuf {
        self.path("audit.jsonl")
    }

    fn medfocus(&self, args: &[&str]) -> Ran {
        let log = format!("audit.file={}", self.log().display());
        let key = format!("audit.key={}", self.path("key").display());
        run(medfocus().args(["--set", &log, "--set", &key]).args(args))
    }

    /// Reads an image, which is one command with three entries.
    fn image(&self) -> Ran {
        let film = self.path("MUELLER^ANNA.png");
        let out = self.path("out.png");
        self.medfocus(&[
            "image",
            film.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ])
    }

    fn verify(&self, since: Option<&str>) -> Ran {
        let since = since.map(|head| ["--since", head]);
        let args = ["audit", "verify"]
            .into_iter()
            .chain(since.into_iter().flatten());
        self.medfocus(&Vec::from_iter(args))
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn write(&self, lines: &[String]) {
        fs::write(self.log(), lines.join("\n") + "\n").unwrap();
    }
}

#[test]
fn it_says_who_ran_what_on_which_digest_and_nothing_else() {
    let place = Place::new();
    assert_eq!(place.image().code, 0);
    let film = place.path("MUELLER^ANNA.png");
    let digest = format!(
        "blake3:{}",
        blake3::hash(&fs::read(&film).unwrap()).to_hex()
    );
    let entries: Vec<Value> = place
        .lines()
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["entry"].clone())
        .collect();
    let events: Vec<_> = entries.iter().map(|entry| entry["event"].clone()).collect();
    assert_eq!(
        events,
        [
            serde_json::json!({"began": {"command": "image"}}),
            serde_json::json!({"read": {"image": digest}}),
            serde_json::json!({"ended": {"outcome": "done"}}),
        ]
    );
    let uid = fs::metadata(place.log()).unwrap().uid();
    assert!(entries.iter().all(|entry| entry["uid"] == uid));
    assert!(!place.lines().concat().contains("MUELLER"));
    assert!(place.verify(None).out.starts_with("3:"));

    // What fails is in it, too.
    fs::write(&film, "no image").unwrap();
    assert_eq!(place.image().code, 2);
    assert!(place.lines()[4].contains(r#"{"ended":{"outcome":"failed"}}"#));
    let exported = place.medfocus(&["audit", "export", "--source", "a & b"]);
    assert_eq!(exported.out.lines().count(), 5, "{exported:?}");
    let first = exported.out.lines().next().unwrap();
    assert!(first.contains(r#"AuditSourceID="a &amp; b""#), "{first}");
    assert!(first.contains(r#"csd-code="110120""#), "{first}");
    assert!(
        exported
            .out
            .lines()
            .last()
            .unwrap()
            .contains(r#"EventOutcomeIndicator="8""#)
    );
}

#[test]
fn whatever_is_done_to_it_is_noticed() {
    let place = Place::new();
    for _ in 0..2 {
        place.image();
    }
    let whole = place.lines();
    let head = fs::read(place.path("audit.jsonl.head")).unwrap();
    let refused = |word: &str| {
        place.verify(None).one_sentence(&["audit log", word]);
    };
    for at in 0..whole.len() {
        let mut lines = whole.clone();
        lines[at] = lines[at].replace("medfocus 0", "medfocus 9");
        place.write(&lines);
        refused("was altered at entry");
        lines = whole.clone();
        lines.remove(at);
        place.write(&lines);
        refused(if at + 1 < whole.len() {
            "was altered"
        } else {
            "its head says"
        });
        lines = whole.clone();
        lines.insert(at, whole[at].clone());
        place.write(&lines);
        refused("was altered");
    }
    // Cut off: nothing is added either, and nothing is done.
    place.write(&whole[..3]);
    refused("its head says 6");
    fs::remove_file(place.path("out.png")).unwrap();
    place
        .image()
        .one_sentence(&["audit log", "its head says 6"]);
    assert!(!place.path("out.png").exists());
    fs::remove_file(place.log()).unwrap();
    place.image().one_sentence(&["audit log", "is empty"]);

    place.write(&whole);
    fs::remove_file(place.path("audit.jsonl.head")).unwrap();
    refused("no head");
    fs::write(place.path("audit.jsonl.head"), &head).unwrap();
    assert_eq!(place.verify(None).code, 0);

    // Without the key nobody can go on with it, or read it as his own.
    fs::write(place.path("key"), [8; 32]).unwrap();
    refused("was altered");
    place.image().one_sentence(&["audit log", "was altered"]);
}

#[test]
fn it_goes_through_what_was_kept_elsewhere() {
    let place = Place::new();
    place.image();
    let kept = place.verify(None).out.trim().to_owned();
    place.image();
    assert_eq!(place.verify(Some(&kept)).code, 0);
    // Begun anew, it is whole, but not the one that was there.
    for file in ["audit.jsonl", "audit.jsonl.head"] {
        fs::remove_file(place.path(file)).unwrap();
    }
    place.image();
    assert_eq!(place.verify(None).code, 0);
    place
        .verify(Some(&kept))
        .one_sentence(&["does not go through", &kept]);
}

#[test]
fn many_at_once_lose_nothing() {
    let place = Place::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert_eq!(place.image().code, 0);
                }
            });
        }
    });
    assert!(place.verify(None).out.starts_with("36:"));
}

#[test]
fn a_kill_between_line_and_head_harms_nothing() {
    let place = Place::new();
    place.image();
    let head = fs::read(place.path("audit.jsonl.head")).unwrap();
    place.image();
    // The head as it was before the last entry; then a line that was cut short.
    let last = place.lines()[..4].to_vec();
    place.write(&last);
    fs::write(place.path("audit.jsonl.head"), &head).unwrap();
    let mut bytes = fs::read(place.log()).unwrap();
    bytes.extend(b"{\"digest\":\"12");
    fs::write(place.log(), bytes).unwrap();
    assert_eq!(place.image().code, 0);
    assert!(
        place.verify(None).out.starts_with("7:"),
        "{:?}",
        place.lines()
    );
}

#[test]
fn nothing_is_done_that_cannot_be_written_down() {
    let place = Place::new();
    fs::create_dir(place.log()).unwrap();
    place.image().one_sentence(&["audit log"]);
    assert!(!place.path("out.png").exists());
    fs::remove_dir(place.log()).unwrap();
    fs::write(place.path("key"), "short").unwrap();
    place.image().one_sentence(&["fewer than 32 bytes"]);
    assert!(!place.path("out.png").exists());
}
