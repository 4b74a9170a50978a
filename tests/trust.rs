//! Who may be loaded, as those who rely on it meet it.

use std::{
    fs::{self, Permissions},
    io::Cursor,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use medfocus_tests::{
    Ran, User, bright_cell, built, confines, outside_plugin, python, run, workspace,
};
use minisign::KeyPair;
use serde_json::Value;

/// A hospital's IT with a key, and a user who has one plugin.
struct Hospital {
    keys: KeyPair,
    user: User,
}

impl Hospital {
    fn new() -> Self {
        Self {
            keys: keys(),
            user: User::new(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.user.data().join(name)
    }

    /// A trust file in this mode with IT's key, and whatever else.
    fn trust(&self, name: &str, mode: &str, more: &str) -> String {
        let key = self.keys.pk.to_base64();
        let text = format!("mode = \"{mode}\"\n{more}\n[keys]\nit = \"{key}\"\n");
        fs::write(self.at(name), text).unwrap();
        fs::set_permissions(self.at(name), Permissions::from_mode(0o644)).unwrap();
        format!("plugins.trust={}", self.at(name).display())
    }

    /// The plugin that was built outside, in a folder of its own.
    fn plugin(&self) -> PathBuf {
        let path = self.at("named/libmedfocus_outside.so");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(outside_plugin(), &path).unwrap();
        path
    }

    fn sign(&self, file: &Path) {
        sign(&self.keys, file);
    }

    /// Explains the toy's answer, with these plugins alone.
    fn explains(&self, method: &str, plugins: &[&Path], settings: &[&str]) -> Ran {
        let image = bright_cell(self.user.data(), 2, 5);
        let mut command = self.user.command(&["attribute", "--model", "toy=nowhere"]);
        command.current_dir(self.user.data());
        command.args(["--question", "Is there a bright spot?", "--method", method]);
        command.arg("--image").arg(image);
        command.arg("--out").arg(self.at("out"));
        let sandbox = format!("plugins.isolation.sandbox={}", confines());
        for setting in [sandbox.as_str()].iter().chain(settings) {
            command.args(["--set", setting]);
        }
        for path in plugins {
            command.arg("--plugins").arg(path);
        }
        run(&mut command)
    }
}

fn keys() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn beside(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.minisig", file.display()))
}

fn sign(keys: &KeyPair, file: &Path) {
    let bytes = Cursor::new(fs::read(file).unwrap());
    let signed = minisign::sign(Some(&keys.pk), &keys.sk, bytes, None, None).unwrap();
    fs::write(beside(file), signed.to_string()).unwrap();
}

#[test]
fn only_what_is_signed_runs_here_or_apart() {
    let hospital = Hospital::new();
    let plugin = hospital.plugin();
    let trust = hospital.trust("trust.toml", "signed", "");
    let source = hospital.at("trust.toml").display().to_string();
    for of in ["nobody", "everybody"] {
        let of = format!("plugins.isolation.of={of}");
        let explains = |settings: &[&str]| {
            hospital.explains(
                "outside_centre",
                &[&plugin],
                &[&[of.as_str()], settings].concat(),
            )
        };
        let _ = fs::remove_file(beside(&plugin));
        assert_eq!(explains(&[]).code, 0);
        let words = ["libmedfocus_outside.so: is not signed", &source, ".minisig"];
        explains(&[&trust]).one_sentence(&words);

        sign(&keys(), &plugin);
        explains(&[&trust]).one_sentence(&["a key that", &source, "does not list"]);

        hospital.sign(&plugin);
        let signed = explains(&[&trust]);
        assert_eq!(signed.code, 0, "{signed:?}");
        // The config's own pins count as well.
        explains(&[&trust, "plugins.pins.another=\"blake3:00\""]).one_sentence(&["is not pinned"]);

        let whole = fs::read(&plugin).unwrap();
        let mut other = whole.clone();
        *other.last_mut().unwrap() ^= 1;
        fs::write(&plugin, other).unwrap();
        explains(&[&trust]).one_sentence(&["is not what `it` signed"]);
        fs::write(&plugin, whole).unwrap();
    }
}

#[test]
fn list_check_and_doctor_say_who_vouches() {
    let hospital = Hospital::new();
    let plugin = hospital.plugin();
    let says = |arguments: &[&str], trust: &str| {
        let folder = plugin.parent().unwrap().display().to_string();
        let paths = format!("plugins.paths=[{folder:?}]");
        hospital
            .user
            .says(&[arguments, &["--set", &paths, "--set", trust]].concat())
    };
    let file = plugin.display().to_string();
    let digest = says(&["plugins", "check", &file], "seed=0");
    assert_eq!(digest.code, 0, "{digest:?}");
    let digest = digest
        .out
        .split_whitespace()
        .next_back()
        .unwrap()
        .to_owned();

    let trust = hospital.trust("signed.toml", "signed", "");
    for arguments in [&["plugins", "list"][..], &["plugins", "check", &file]] {
        let ran = says(arguments, &trust);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.out.contains("refused: plugin"), "{ran:?}");
        assert!(ran.out.contains("is not signed"), "{ran:?}");
    }
    let listed = says(&["plugins", "list", "--json"], &trust);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(listed["plugins"], serde_json::json!([]));
    assert_eq!(listed["refused"].as_array().unwrap().len(), 1);
    let doctor = says(&["doctor"], &trust);
    let line = format!(
        "trust: signed (keys: 1, digests: 0, revoked: 0), by {}",
        hospital.at("signed.toml").display()
    );
    assert!(doctor.out.contains(&format!("ok   {line}")), "{doctor:?}");
    assert!(doctor.out.contains("FAIL plugin"), "{doctor:?}");

    hospital.sign(&plugin);
    let listed = says(&["plugins", "list"], &trust);
    assert_eq!(listed.code, 0, "{listed:?}");
    let words = "medfocus-outside 3.1.4 (named by config or --plugins, signed by `it`)";
    assert!(listed.out.contains(words), "{listed:?}");
    assert!(listed.out.ends_with(&format!("{line}\n")), "{listed:?}");
    let checked = says(&["plugins", "check", &file], &trust);
    assert!(
        checked.out.contains("signed by `it`; trust: signed"),
        "{checked:?}"
    );
    let doctor = says(&["doctor"], &trust);
    assert!(
        doctor
            .out
            .contains("ok   plugin medfocus-outside 3.1.4, signed by `it`"),
        "{doctor:?}"
    );

    let pinned = hospital.trust("pinned.toml", "pinned", &format!("digests = [{digest:?}]"));
    let listed = says(&["plugins", "list", "--json"], &pinned);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(listed["plugins"][0]["trusted"], "pin");
    let listed = says(&["plugins", "list", "--json"], "seed=0");
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(listed["plugins"][0]["trusted"], "nobody");
}

#[test]
fn a_trust_file_that_is_broken_or_anybodys_opens_nothing() {
    let hospital = Hospital::new();
    let listed = |trust: &str| hospital.user.says(&["plugins", "list", "--set", trust]);
    let trust = hospital.trust("trust.toml", "closed", "");
    listed(&trust).one_sentence(&["trust.toml is not understood", "`closed`", "signed"]);
    let trust = hospital.trust("trust.toml", "open", "revoke = []");
    listed(&trust).one_sentence(&["trust.toml is not understood", "revoke", "revoked"]);
    let trust = hospital.trust("trust.toml", "open", "");
    fs::set_permissions(hospital.at("trust.toml"), Permissions::from_mode(0o666)).unwrap();
    listed(&trust).one_sentence(&["trust.toml may be changed by others", "chmod go-w"]);
    fs::remove_file(hospital.at("trust.toml")).unwrap();
    listed(&trust).one_sentence(&["trust.toml cannot be read"]);
}

#[test]
fn a_signature_is_installed_and_removed_with_its_plugin() {
    let hospital = Hospital::new();
    let (plugin, user) = (hospital.plugin(), &hospital.user);
    hospital.sign(&plugin);
    assert_eq!(user.installs(&plugin, &[]).code, 0);
    let both = ["libmedfocus_outside.so", "libmedfocus_outside.so.minisig"];
    assert_eq!(user.files(), both);
    let trust = hospital.trust("trust.toml", "signed", "");
    let installed = user.folder().join(both[0]).display().to_string();
    let checked = user.says(&["plugins", "check", &installed, "--set", &trust]);
    assert_eq!(checked.code, 0, "{checked:?}");

    // Without a signature none is left that would belong to another build.
    fs::remove_file(beside(&plugin)).unwrap();
    let again = user.installs(&plugin, &["--set", &trust]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.err.contains("is not signed"), "{again:?}");
    assert_eq!(user.files(), both[..1]);
    hospital.sign(&plugin);
    assert_eq!(user.installs(&plugin, &[]).code, 0);
    assert_eq!(
        user.says(&["plugins", "remove", "medfocus-outside"]).code,
        0
    );
    assert!(user.files().is_empty());
}

#[test]
fn in_python_what_was_signed_runs_and_nothing_beside_it() {
    let hospital = Hospital::new();
    let example = workspace().join("plugins/python/examples/py_occlusion.py");
    let folder = hospital.at("python");
    let installed = run(Command::new(python())
        .args(["-m", "medfocus", "install"])
        .arg(&example)
        .arg("--to")
        .arg(&folder));
    assert_eq!(installed.code, 0, "{installed:?}");
    let descriptor = folder.join("py_occlusion.medfocus.json");
    let toy = hospital.plugin();
    hospital.sign(&toy);
    let trust = hospital.trust("trust.toml", "signed", "");
    let explains = || hospital.explains("py_occlusion", &[&folder, &toy], &[&trust, "cells=16"]);
    explains().one_sentence(&["py_occlusion.medfocus.json: is not signed"]);
    hospital.sign(&descriptor);
    let fine = explains();
    assert_eq!(fine.code, 0, "{fine:?}");

    // An interpreter would take these for the file, or for what it imports.
    let evil = hospital.at("evil.py");
    fs::write(&evil, "raise SystemExit('evil')\n").unwrap();
    let version = "import sys; sys.exit(sys.version_info < (3, 11))";
    if run(Command::new(python()).args(["-c", version])).code == 0 {
        for module in ["numpy.py", "medfocus.py"] {
            fs::copy(&evil, hospital.at(module)).unwrap();
        }
    }
    let poison = "import importlib.util, py_compile, sys\n\
        cache = importlib.util.cache_from_source(sys.argv[2])\n\
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH\n\
        py_compile.compile(sys.argv[1], cfile=cache, doraise=True, invalidation_mode=mode)\n";
    let source = folder.join("py_occlusion.py");
    let poisoned = run(Command::new(python())
        .args(["-c", poison])
        .arg(&evil)
        .arg(&source));
    assert_eq!(poisoned.code, 0, "{poisoned:?}");
    assert!(folder.join("__pycache__").is_dir());
    let fine = explains();
    assert_eq!(fine.code, 0, "{fine:?}");

    let signed = fs::read_to_string(&source).unwrap();
    fs::write(&source, format!("{signed}\n# changed\n")).unwrap();
    explains()
        .one_sentence(&["py_occlusion.medfocus.json: is signed, but not with py_occlusion.py"]);
    fs::write(&source, signed).unwrap();
    let text = fs::read_to_string(&descriptor).unwrap();
    fs::write(&descriptor, text.replace("\"serve\"", "\"other\"")).unwrap();
    explains().one_sentence(&["is not what `it` signed"]);
}

/// Runs the program where `/etc` is this folder, if the kernel lets its user do that.
fn with_etc(etc: &Path, command: &Command) -> Option<Ran> {
    let namespace = ["--user", "--map-root-user", "--mount"];
    let possible = run(Command::new("unshare").args(namespace).arg("true")).code == 0;
    let mut inside = Command::new("unshare");
    inside
        .args(namespace)
        .args(["sh", "-c", "mount --bind \"$0\" /etc && exec \"$@\""])
        .arg(etc)
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(workspace());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    possible.then(|| run(&mut inside))
}

#[test]
fn no_config_widens_what_the_machine_trusts() {
    let hospital = Hospital::new();
    let plugin = hospital.plugin();
    let open = hospital.trust("open.toml", "open", "");
    let etc = hospital.at("etc");
    fs::create_dir_all(etc.join("medfocus")).unwrap();
    hospital.trust("etc/medfocus/trust.toml", "signed", "");
    let command = |setting: &str| {
        let mut command = hospital.user.command(&["plugins", "check"]);
        command.arg(&plugin).args(["--set", setting]);
        command.env("LIBTORCH", built());
        command
    };
    for setting in [open.as_str(), "seed=1", "plugins.pins={}"] {
        let Some(ran) = with_etc(&etc, &command(setting)) else {
            return;
        };
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(
            ran.out
                .contains("not signed, which /etc/medfocus/trust.toml"),
            "{ran:?}"
        );
    }
    let variable = hospital.at("open.toml");
    let ran = with_etc(
        &etc,
        command("seed=1").env("MEDFOCUS_PLUGINS__TRUST", variable),
    )
    .unwrap();
    assert_eq!(ran.code, 1, "{ran:?}");

    hospital.sign(&plugin);
    let ran = with_etc(&etc, &command(&open)).unwrap();
    assert_eq!(ran.code, 0, "{ran:?}");
    let program = with_etc(&etc, &command("plugins.isolation.program=/bin/true")).unwrap();
    program.one_sentence(&[
        "`plugins.isolation.program` names a program",
        "leave it out",
    ]);
    // Stricter it may be.
    let strict = hospital.trust("strict.toml", "pinned", "");
    let ran = with_etc(&etc, &command(&strict)).unwrap();
    assert!(
        ran.out.contains("is not listed in") && ran.out.contains("strict.toml"),
        "{ran:?}"
    );

    // And libtorch is where the machine's file says, whatever anybody sets.
    let nowhere = hospital.at("nowhere").display().to_string();
    hospital.trust(
        "etc/medfocus/trust.toml",
        "open",
        &format!("libtorch = {nowhere:?}"),
    );
    let torch = workspace().join(".libtorch/torch");
    let mut doctor = hospital.user.command(&["doctor", "--set"]);
    doctor
        .arg(format!("libtorch.dir={}", torch.display()))
        .env("LIBTORCH", torch);
    let ran = with_etc(&etc, &doctor).unwrap();
    assert!(
        ran.out
            .contains(&format!("FAIL the config's `libtorch.dir` names {nowhere}")),
        "{ran:?}"
    );

    let file = etc.join("medfocus/trust.toml");
    fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
    with_etc(&etc, &command("seed=1"))
        .unwrap()
        .one_sentence(&["/etc/medfocus/trust.toml may be changed by others than root"]);
}
