use std::{
    fs::{self, Permissions},
    io::Cursor,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use minisign::KeyPair;
use tempfile::TempDir;

use super::*;

const PLUGIN: &[u8] = b"what a plugin is";
const OTHER: &[u8] = b"what another is";

fn keys() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn public(keys: &KeyPair) -> String {
    keys.pk.to_base64()
}

fn signature(keys: &KeyPair, bytes: &[u8]) -> String {
    let comment = Some("build 7");
    let signed = minisign::sign(Some(&keys.pk), &keys.sk, Cursor::new(bytes), comment, None);
    signed.unwrap().to_string()
}

fn digest(bytes: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(bytes).to_hex())
}

/// A place for trust files and for one plugin.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn trusting(&self, rules: &str) -> Result<Trust> {
        fs::write(self.at("trust.toml"), rules).unwrap();
        fs::set_permissions(self.at("trust.toml"), Permissions::from_mode(0o644)).unwrap();
        Trust::of(&self.at("none.toml"), Some(&self.at("trust.toml")))
    }

    /// Whether this may pass with this signature beside it.
    fn admits(&self, trust: &Trust, bytes: &[u8], signature: Option<&str>) -> Result<Voucher> {
        let (path, beside) = (self.at("p.so"), self.at("p.so.minisig"));
        let _ = fs::remove_file(&beside);
        if let Some(signature) = signature {
            fs::write(beside, signature).unwrap();
        }
        trust.admit(&Candidate {
            path: &path,
            bytes,
            digest: &digest(bytes),
            beyond: None,
        })
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let error = result.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "no `{word}` in: {error}");
    }
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn what_a_listed_key_signed_passes_and_nothing_else() {
    let (place, ours, theirs) = (Place::new(), keys(), keys());
    let rules = format!("mode = \"signed\"\n[keys]\nit = \"{}\"\n", public(&ours));
    let trust = place.trusting(&rules).unwrap();
    let admits = |bytes, signature| place.admits(&trust, bytes, signature);
    let good = signature(&ours, PLUGIN);
    assert_eq!(
        admits(PLUGIN, Some(&good)).unwrap(),
        Voucher::Key("it".into())
    );

    refused(
        admits(PLUGIN, None),
        &["is not signed", "trust.toml", "p.so.minisig"],
    );
    refused(admits(OTHER, Some(&good)), &["not what `it` signed"]);
    let swapped = signature(&ours, OTHER);
    refused(admits(PLUGIN, Some(&swapped)), &["not what `it` signed"]);
    let strange = signature(&theirs, PLUGIN);
    refused(
        admits(PLUGIN, Some(&strange)),
        &["a key that", "does not list"],
    );
    let tampered = good.replace("build 7", "build 8");
    assert_ne!(tampered, good);
    refused(admits(PLUGIN, Some(&tampered)), &["not what `it` signed"]);
    for broken in ["", "no signature", &good[..good.len() / 2]] {
        refused(
            admits(PLUGIN, Some(broken)),
            &["a signature that cannot be read", "p.so.minisig"],
        );
    }
}

#[test]
fn a_signature_speaks_for_no_other_file() {
    let (place, ours) = (Place::new(), keys());
    let rules = format!("mode = \"signed\"\n[keys]\nit = \"{}\"\n", public(&ours));
    let trust = place.trusting(&rules).unwrap();
    fs::write(place.at("p.so.minisig"), signature(&ours, PLUGIN)).unwrap();
    let candidate = Candidate {
        path: &place.at("p.so"),
        bytes: PLUGIN,
        digest: &digest(PLUGIN),
        beyond: Some("a.py"),
    };
    refused(trust.admit(&candidate), &["a.py", "sha256"]);
    // A digest is of all files.
    let rules = format!(
        "{}\n{rules}",
        format_args!("digests = [\"{}\"]", digest(PLUGIN))
    );
    let trust = place.trusting(&rules).unwrap();
    assert_eq!(trust.admit(&candidate).unwrap(), Voucher::Pin);
}

#[test]
fn a_listed_digest_passes_and_in_mode_pinned_nothing_else() {
    let (place, ours) = (Place::new(), keys());
    let good = signature(&ours, OTHER);
    for mode in ["pinned", "signed"] {
        let rules = format!("mode = \"{mode}\"\ndigests = [\"{}\"]\n", digest(PLUGIN));
        let trust = place.trusting(&rules).unwrap();
        assert_eq!(place.admits(&trust, PLUGIN, None).unwrap(), Voucher::Pin);
        assert!(place.admits(&trust, OTHER, None).is_err());
    }
    let rules = format!("mode = \"pinned\"\n[keys]\nit = \"{}\"\n", public(&ours));
    let trust = place.trusting(&rules).unwrap();
    let refusal = place.admits(&trust, OTHER, Some(&good));
    refused(refusal, &["is not listed", "digests", &digest(OTHER)]);
    let rules = rules.replace("pinned", "open");
    let trust = place.trusting(&rules).unwrap();
    assert_eq!(
        place.admits(&trust, OTHER, Some(&good)).unwrap(),
        Voucher::Key("it".into())
    );
    assert_eq!(
        place.admits(&trust, PLUGIN, Some(&good)).unwrap(),
        Voucher::Nobody
    );
}

#[test]
fn what_is_revoked_passes_in_no_mode() {
    let (place, ours) = (Place::new(), keys());
    let good = signature(&ours, PLUGIN);
    for mode in ["open", "pinned", "signed"] {
        let listed = format!(
            "mode = \"{mode}\"\ndigests = [\"{}\"]\n[keys]\nit = \"{}\"\n",
            digest(PLUGIN),
            public(&ours)
        );
        assert!(
            place
                .admits(&place.trusting(&listed).unwrap(), PLUGIN, Some(&good))
                .is_ok()
        );
        let rules = format!("{listed}[revoked]\ndigests = [\"{}\"]\n", digest(PLUGIN));
        let trust = place.trusting(&rules).unwrap();
        refused(
            place.admits(&trust, PLUGIN, Some(&good)),
            &[&digest(PLUGIN), "revokes"],
        );
        let rules = format!("{listed}[revoked.keys]\nold = \"{}\"\n", public(&ours));
        let trust = place.trusting(&rules).unwrap();
        refused(
            place.admits(&trust, PLUGIN, Some(&good)),
            &["signed by `old`", "revokes"],
        );
    }
}

#[test]
fn both_files_must_be_passed() {
    let (place, ours) = (Place::new(), keys());
    let strict = format!("mode = \"signed\"\n[keys]\nit = \"{}\"\n", public(&ours));
    let both = |system: &str, named: &str| {
        place.trusting(named).unwrap();
        fs::write(place.at("system.toml"), system).unwrap();
        let read = |name| TrustFile::read(&place.at(name), Owner::RootOrUser);
        Trust(vec![
            read("system.toml").unwrap(),
            read("trust.toml").unwrap(),
        ])
    };
    let good = signature(&ours, PLUGIN);
    let listed = format!("mode = \"open\"\ndigests = [\"{}\"]\n", digest(PLUGIN));
    for open in ["mode = \"open\"\n", &listed] {
        for (system, named) in [(&*strict, open), (open, &*strict)] {
            let trust = both(system, named);
            refused(place.admits(&trust, PLUGIN, None), &["is not signed"]);
            assert!(place.admits(&trust, PLUGIN, Some(&good)).is_ok());
        }
    }
    let key = public(&ours);
    let trust = both("mode = \"open\"", "mode = \"open\"")
        .and_key(&key)
        .unwrap();
    refused(
        place.admits(&trust, PLUGIN, None),
        &["is not signed", "--key"],
    );
    assert!(place.admits(&trust, PLUGIN, Some(&good)).is_ok());
    refused(Trust::default().and_key("nonsense"), &["no public key"]);
}

#[test]
fn a_file_that_is_not_understood_is_refused() {
    let place = Place::new();
    for (rules, words) in [
        ("mode = \"closed\"", "closed"),
        ("", "mode"),
        ("mode = \"open\"\nkey = 3", "key"),
        ("mode = \"open\"\n[revoked]\nkey = 3", "revoked"),
        (
            "mode = \"open\"\n[keys]\nit = \"RWQ\"",
            "`it` is no public key",
        ),
        (
            "mode = \"open\"\ndigests = [\"blake3:00\"]",
            "`blake3:00` is no digest",
        ),
        (
            "mode = \"open\"\n[revoked]\ndigests = [\"00\"]",
            "`00` is no digest",
        ),
        ("mode = ", "not understood"),
    ] {
        refused(
            place.trusting(rules),
            &["trust.toml is not understood", words],
        );
    }
    let none = place.at("none.toml");
    refused(Trust::of(&none, Some(&none)), &["none.toml cannot be read"]);
    assert!(Trust::of(&none, None).unwrap().is_silent());
    // That something is there but cannot be read does not open anything.
    refused(
        Trust::of(&place.at("trust.toml/x"), None),
        &["cannot be read"],
    );
    std::os::unix::fs::symlink("nowhere", place.at("link.toml")).unwrap();
    refused(Trust::of(&place.at("link.toml"), None), &["cannot be read"]);
}

#[test]
fn the_machine_says_first_where_libtorch_is() {
    let place = Place::new();
    let at = |folder: &str| format!("mode = \"open\"\nlibtorch = \"{folder}\"\n");
    let read = |rules: &str| {
        place.trusting(rules).unwrap();
        TrustFile::read(&place.at("trust.toml"), Owner::RootOrUser).unwrap()
    };
    let (silent, system, named) = (
        read("mode = \"open\""),
        read(&at("/opt")),
        read(&at("/home")),
    );
    let says = |files: &[&TrustFile]| {
        let trust = Trust(files.iter().map(|&file| file.clone()).collect());
        trust.libtorch().map(Path::to_owned)
    };
    assert_eq!(says(&[&silent]), None);
    assert_eq!(says(&[&system, &named]), Some("/opt".into()));
    assert_eq!(says(&[&silent, &named]), Some("/home".into()));
}

#[test]
fn a_file_that_others_may_change_is_refused() {
    let place = Place::new();
    let path = place.at("trust.toml");
    place.trusting("mode = \"open\"").unwrap();
    let chmod =
        |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    for mode in [0o664, 0o646, 0o666] {
        chmod(&path, mode);
        let trust = Trust::of(&place.at("none.toml"), Some(&path));
        refused(
            trust,
            &[
                "trust.toml may be changed by others than you and root",
                "chmod go-w",
            ],
        );
    }
    chmod(&path, 0o600);
    Trust::of(&place.at("none.toml"), Some(&path)).unwrap();

    // The machine's own file is root's, and so is its folder.
    let root = rustix::process::geteuid().is_root();
    if root {
        Trust::of(&path, None).unwrap();
        chmod(place.0.path(), 0o777);
        refused(
            Trust::of(&path, None),
            &["may be changed by others than root"],
        );
        chmod(place.0.path(), 0o755);
        std::os::unix::fs::chown(&path, Some(1234), None).unwrap();
        refused(
            Trust::of(&path, Some(&path)),
            &["may be changed by others than root"],
        );
        let named = Trust::of(&place.at("none.toml"), Some(&path));
        refused(named, &["may be changed by others than you and root"]);
    } else {
        refused(
            Trust::of(&path, None),
            &["may be changed by others than root"],
        );
    }
}
