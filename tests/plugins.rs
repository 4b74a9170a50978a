//! A plugin's way from its author to its user: installed, listed, used, removed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use medfocus_tests::{User, built, medfocus, outside_plugin, run};
use serde_json::Value;

/// A copy of the outside plugin with one text in it replaced by another of its length.
fn doctored(folder: &Path, name: &str, from: &str, to: &str) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(outside_plugin()).unwrap();
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let places: Vec<_> = bytes
        .windows(from.len())
        .enumerate()
        .filter_map(|(at, window)| (window == from).then_some(at))
        .collect();
    assert!(!places.is_empty(), "the text is there");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_plugin_is_installed_listed_used_and_removed() {
    let user = User::new();
    let before = user.says(&["plugins", "list"]);
    assert_eq!(before.code, 0, "{before:?}");
    assert!(!before.out.contains("medfocus-outside"), "{before:?}");

    let installed = user.installs(&outside_plugin(), &[]);
    assert_eq!(installed.code, 0, "{installed:?}");
    assert!(
        installed
            .out
            .starts_with("installed medfocus-outside 3.1.4\n")
    );
    assert!(installed.out.contains("  method     outside_centre\n"));
    assert_eq!(user.files(), ["libmedfocus_outside.so"]);
    assert_eq!(
        fs::read(user.folder().join("libmedfocus_outside.so")).unwrap(),
        fs::read(outside_plugin()).unwrap()
    );

    // Both spellings of the group; where each comes from.
    for group in ["plugin", "plugins"] {
        let listed = user.says(&[group, "list"]);
        assert_eq!(listed.code, 0, "{listed:?}");
        let lines: Vec<_> = listed.out.lines().collect();
        assert!(
            lines.contains(&"medfocus-outside 3.1.4 (installed)"),
            "{listed:?}"
        );
        let beside = lines
            .iter()
            .filter(|line| line.ends_with("(beside the program)"));
        assert!(beside.count() > 5, "{listed:?}");
    }
    let listed: Value =
        serde_json::from_str(&user.says(&["plugins", "list", "--json"]).out).unwrap();
    let plugins = listed["plugins"].as_array().unwrap();
    let ours = plugins
        .iter()
        .find(|plugin| plugin["manifest"]["name"] == "medfocus-outside");
    assert_eq!(ours.unwrap()["source"], "installed");

    // It runs without being named anywhere.
    let out = user.data().join("out");
    let image = medfocus_tests::bright_cell(user.data(), 2, 5);
    let used = run(user
        .command(&[
            "attribute",
            "--method",
            "outside_centre",
            "--model",
            "toy=nowhere",
        ])
        .args(["--question", "Is there a bright spot?", "--image"])
        .arg(&image)
        .arg("--out")
        .arg(&out));
    assert_eq!(used.code, 0, "{used:?}");
    assert!(out.join("attribution.json").is_file());

    // Once more changes nothing; another user does not have it.
    let again = user.installs(&outside_plugin(), &[]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(
        again
            .out
            .starts_with("installed already: medfocus-outside 3.1.4\n")
    );
    assert!(
        !User::new()
            .says(&["plugins", "list"])
            .out
            .contains("medfocus-outside")
    );

    let removed = user.says(&["plugins", "remove", "medfocus-outside"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert!(user.files().is_empty());
    let gone = user.says(&["plugins", "remove", "medfocus-outside"]);
    gone.one_sentence(&["no plugin `medfocus-outside` is installed"]);
}

#[test]
fn what_cannot_be_a_plugin_is_not_installed() {
    let user = User::new();
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let whole = fs::read(outside_plugin()).unwrap();
    for (name, keep) in [
        ("empty.so", 0),
        ("head.so", 500),
        ("half.so", whole.len() / 2),
    ] {
        fs::write(at(name), &whole[..keep]).unwrap();
        user.installs(&at(name), &[])
            .one_sentence(&[name, "copy it again"]);
    }
    fs::write(at("text.so"), "no library at all").unwrap();
    user.installs(&at("text.so"), &["--force"])
        .one_sentence(&["text.so"]);
    user.installs(&at("nowhere.so"), &[])
        .one_sentence(&["nowhere.so"]);
    let newer = doctored(
        place.path(),
        "newer.so",
        "\"abi_epoch\":1",
        "\"abi_epoch\":9",
    );
    user.installs(&newer, &["--force"])
        .one_sentence(&["epoch 9", "update this host"]);
    let stranger = doctored(
        place.path(),
        "stranger.so",
        ".medfocus.manifest\0",
        ".somebody.elsewhat\0",
    );
    user.installs(&stranger, &[]).one_sentence(&["no manifest"]);
    assert!(user.files().is_empty());
}

#[test]
fn names_that_are_taken_are_said_before_anything_is_written() {
    let user = User::new();
    let place = tempfile::tempdir().unwrap();
    let path = place.path();

    // The same plugin in another build: only with --force, and then it is the other one.
    assert_eq!(user.installs(&outside_plugin(), &[]).code, 0);
    let next = doctored(
        path,
        "next.so",
        "\"version\":\"3.1.4\"",
        "\"version\":\"3.1.5\"",
    );
    let refused = user.installs(&next, &[]);
    refused.one_sentence(&["another build of plugin `medfocus-outside`", "--force"]);
    let listed = user.says(&["plugins", "list"]);
    assert!(
        listed.out.contains("medfocus-outside 3.1.4 (installed)"),
        "{listed:?}"
    );
    let forced = user.installs(&next, &["--force"]);
    assert!(
        forced
            .out
            .starts_with("replaced by medfocus-outside 3.1.5\n"),
        "{forced:?}"
    );
    let listed = user.says(&["plugins", "list"]);
    assert!(
        listed.out.contains("medfocus-outside 3.1.5 (installed)"),
        "{listed:?}"
    );
    assert_eq!(user.files(), ["libmedfocus_outside.so"]);

    // Another plugin with one of its components.
    let rival = doctored(
        path,
        "rival.so",
        "\"medfocus-outside\"",
        "\"medfocus-inside_\"",
    );
    for more in [&[][..], &["--force"]] {
        user.installs(&rival, more)
            .one_sentence(&["`toy` is offered already by plugin `medfocus-outside`"]);
    }

    // One that lies beside the program.
    let user = User::new();
    let bundled = doctored(
        path,
        "bundled.so",
        "\"medfocus-outside\"",
        "\"medfocus-dataset\"",
    );
    assert_eq!(user.installs(&bundled, &[]).code, 0);
    let shipped = built().join("plugins/libmedfocus_method_controls.so");
    let copy = path.join("controls.so");
    fs::copy(&shipped, &copy).unwrap();
    user.installs(&copy, &["--force"])
        .one_sentence(&["`medfocus-method-controls` lies beside the program"]);
}

#[test]
fn what_is_there_twice_is_said_and_the_first_counts() {
    let user = User::new();
    let place = tempfile::tempdir().unwrap();
    assert_eq!(user.installs(&outside_plugin(), &[]).code, 0);

    // The same plugin under work: what the command line names counts.
    let next = doctored(
        place.path(),
        "next.so",
        "\"version\":\"3.1.4\"",
        "\"version\":\"3.1.5\"",
    );
    let next = next.to_str().unwrap();
    let listed = user.says(&["plugins", "list", "--plugins", next]);
    assert_eq!(listed.code, 1, "{listed:?}");
    let installed = user.folder().join("libmedfocus_outside.so");
    let sentence = format!(
        "plugin `medfocus-outside` is found twice: {next} (3.1.5) counts, {} (3.1.4) is not used",
        installed.display()
    );
    assert!(listed.err.contains(&sentence), "{listed:?}");
    assert!(
        listed
            .out
            .contains("medfocus-outside 3.1.5 (named by config or --plugins)")
    );
    assert!(!listed.out.contains("medfocus-outside 3.1.4"), "{listed:?}");

    // Another plugin with the same components.
    let rival = doctored(
        place.path(),
        "rival.so",
        "\"medfocus-outside\"",
        "\"medfocus-inside_\"",
    );
    let rival = rival.to_str().unwrap();
    let listed = user.says(&["plugins", "list", "--json", "--plugins", rival]);
    assert_eq!(listed.code, 1, "{listed:?}");
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let shadowed = listed["shadowed"].as_array().unwrap();
    let expected = format!(
        "model `toy` is offered twice: that of {rival} counts, that of {} is not used",
        installed.display()
    );
    assert!(
        shadowed.iter().any(|sentence| *sentence == *expected),
        "{shadowed:?}"
    );
    let described = user.says(&["plugins", "describe", "toy", "--plugins", rival]);
    assert!(described.out.contains(rival), "{described:?}");
    assert!(
        !described.out.contains(installed.to_str().unwrap()),
        "{described:?}"
    );
}

#[test]
fn only_the_users_own_folder_is_ever_cleared() {
    let user = User::new();
    let outside = outside_plugin();
    let outside = outside.to_str().unwrap();
    user.says(&[
        "plugins",
        "remove",
        "medfocus-outside",
        "--plugins",
        outside,
    ])
    .one_sentence(&["was not installed by `medfocus plugins install`", outside]);
    user.says(&["plugins", "remove", "medfocus-method-controls"])
        .one_sentence(&["was not installed by `medfocus plugins install`"]);
    assert!(
        built()
            .join("plugins/libmedfocus_method_controls.so")
            .is_file()
    );

    // Neither by a way that leads out of the folder, nor by a link within it.
    fs::create_dir_all(user.folder()).unwrap();
    let treasure = user.data().join("treasure.so");
    fs::write(&treasure, "kept").unwrap();
    for name in ["../../treasure.so", treasure.to_str().unwrap()] {
        user.says(&["plugins", "remove", name])
            .one_sentence(&["is installed"]);
    }
    std::os::unix::fs::symlink(&treasure, user.folder().join("link.so")).unwrap();
    assert_eq!(user.says(&["plugins", "remove", "link.so"]).code, 0);
    assert_eq!(fs::read_to_string(&treasure).unwrap(), "kept");

    // A broken file goes by its own name; a component's name leads to its plugin's.
    fs::write(user.folder().join("broken.so"), "half a librar").unwrap();
    assert_eq!(user.says(&["plugins", "remove", "broken.so"]).code, 0);
    assert_eq!(user.installs(Path::new(outside), &[]).code, 0);
    user.says(&["plugins", "remove", "outside_centre"])
        .one_sentence(&["did you mean `medfocus-outside`?"]);
    assert_eq!(
        user.says(&["plugins", "remove", "libmedfocus_outside.so"])
            .code,
        0
    );
    assert!(user.files().is_empty());
}

#[test]
fn a_config_that_leaves_the_folder_out_is_said() {
    let user = User::new();
    let elsewhere = r#"plugins.paths=["/nonexistent"]"#;
    let installed = user.installs(&outside_plugin(), &["--set", elsewhere]);
    assert_eq!(installed.code, 0, "{installed:?}");
    assert!(installed.err.contains("is not used"), "{installed:?}");
    let pinned = r#"plugins.pins.another="blake3:00""#;
    let installed = user.installs(&outside_plugin(), &["--set", pinned]);
    assert!(installed.err.contains("is not pinned"), "{installed:?}");
    // Without a home there is no such folder: nothing to search, nothing to install into.
    let homeless = |arguments: &[&str]| {
        let mut command = medfocus();
        command
            .args(arguments)
            .env_remove("HOME")
            .env("XDG_DATA_HOME", "relative");
        run(&mut command)
    };
    assert_eq!(homeless(&["plugins", "list"]).code, 0);
    homeless(&["plugins", "remove", "x"]).one_sentence(&["set HOME or XDG_DATA_HOME"]);
}
