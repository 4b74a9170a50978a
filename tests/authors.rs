//! A stranger's afternoon: a plugin of each kind is written, tested, built, installed, used and removed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use medfocus::{
    config::{Filling, Layers},
    workbench::Workbench,
};
use medfocus_plugin_api::{DetectRequest, Detector, GrayImage, Kind};
use medfocus_tests::{Ran, User, built, run, workspace};
use ndarray::Array2;
use serde_json::Value;

const KINDS: [&str; 6] = [
    "method",
    "model",
    "dataset",
    "editor",
    "segmenter",
    "detector",
];

/// Where all written crates are built, so that what they depend on is compiled once.
fn target() -> PathBuf {
    built().join("authors")
}

fn interface() -> PathBuf {
    workspace().join("plugin-api")
}

/// `cargo` as an author without a network runs it, with the versions that are here.
fn cargo(krate: &Path, arguments: &[&str]) -> Ran {
    fs::copy(workspace().join("Cargo.lock"), krate.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--release", "--offline"]);
    cargo.current_dir(krate).env("CARGO_TARGET_DIR", target());
    run(cargo.env_remove("CARGO_BUILD_TARGET_DIR"))
}

/// A grey film with a white cell in row 2 and column 5 of an 8 x 8 grid.
fn film(folder: &Path) -> PathBuf {
    let white = |x: u32, y: u32| (140..168).contains(&x) && (56..84).contains(&y);
    let film = image::GrayImage::from_fn(224, 224, |x, y| {
        image::Luma([if white(x, y) { 255 } else { 120 }])
    });
    let path = folder.join("film.png");
    film.save(&path).unwrap();
    path
}

fn attribution(user: &User, arguments: &[&str]) -> Value {
    let out = user.data().join("out");
    let ran = run(user
        .command(&["attribute", "--model", "my_model=nowhere", "--image"])
        .arg(film(user.data()))
        .args(["--question", "Is it bright?", "--out"])
        .arg(&out)
        .args(arguments));
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_slice(&fs::read(out.join("attribution.json")).unwrap()).unwrap()
}

#[test]
fn a_plugin_of_each_kind_is_written_tested_built_installed_used_and_removed() {
    let user = User::new();
    for kind in KINDS {
        let name = format!("my-{kind}");
        let krate = user.data().join(&name);
        let written = run(user
            .command(&["plugin", "new", kind, &name, "--path"])
            .arg(&krate)
            .arg("--plugin-api")
            .arg(interface()));
        assert_eq!(written.code, 0, "{written:?}");

        let tested = cargo(&krate, &["test"]);
        assert_eq!(tested.code, 0, "{tested:?}");
        for test in ["it_conforms ... ok", "2 passed"] {
            assert!(tested.out.contains(test), "{tested:?}");
        }
        assert!(!tested.err.contains("warning"), "{tested:?}");
        let made = cargo(&krate, &["build"]);
        assert_eq!(made.code, 0, "{made:?}");

        // The line that the program itself suggests.
        let line = written.out.lines().last().unwrap().trim();
        let library = line
            .strip_prefix("medfocus plugins install target/")
            .unwrap();
        let installed = user.installs(&target().join(library), &[]);
        assert_eq!(installed.code, 0, "{installed:?}");
        assert!(
            installed
                .out
                .starts_with(&format!("installed {name} 0.1.0\n"))
        );
        let listed = user.says(&["plugins", "list"]);
        assert_eq!(listed.code, 0, "{listed:?}");
        let entry = format!("{name} 0.1.0 (installed)\n  {kind:<10} my_{kind}");
        assert!(listed.out.contains(&entry), "{listed:?}");
    }

    // The method finds the cell that makes the model say yes.
    let record = attribution(&user, &["--method", "my_method"]);
    assert_eq!(record["answer"], "Yes");
    let boxes = record["boxes"].as_array().unwrap();
    assert_eq!(boxes.len(), 1, "{record}");
    let corners: Vec<u64> = serde_json::from_value(boxes[0]["working"]["corners"].clone()).unwrap();
    let [x1, y1, x2, y2] = corners[..] else {
        panic!("{record}")
    };
    assert!(140 <= x1 && x2 <= 168 && 56 <= y1 && y2 <= 84, "{record}");
    assert_eq!(record["method"]["plugin"]["name"], "my-method");
    assert_eq!(record["model"]["plugin"]["name"], "my-model");

    // Editor and segmenter serve a method that is not theirs.
    let record = attribution(
        &user,
        &[
            "--method",
            "medfocus",
            "--set",
            "slots.editor.component=my_editor",
            "--set",
            "slots.segmenter.component=my_segmenter",
            "--set",
            "replacement=editor",
            "--set",
            "agreement=0",
        ],
    );
    for call in ["editor.edit", "segmenter.segment"] {
        assert!(
            record["calls"][call]["calls"].as_u64() > Some(0),
            "{record}"
        );
    }

    let checked = user.says(&["dataset", "check", "my_dataset"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.out.contains("8 of 8 samples read"), "{checked:?}");

    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![user.folder()];
    let bench = Workbench::new(layers);
    let filling = Filling {
        component: "my_detector".to_owned(),
        params: Default::default(),
        slots: Default::default(),
    };
    let recipe = bench.plan_component(Kind::Detector, &filling).unwrap();
    let detector = bench.make(&recipe, None).unwrap().instance.client();
    let image = GrayImage::from_array(Array2::zeros((224, 224))).unwrap();
    let request = DetectRequest::new(image, vec!["right lung".to_owned()], 0.1, 5);
    let found = detector.detect(&request).unwrap();
    assert_eq!(found[0][0].label.as_deref(), Some("right lung"));

    for kind in KINDS {
        let removed = user.says(&["plugins", "remove", &format!("my-{kind}")]);
        assert_eq!(removed.code, 0, "{removed:?}");
    }
    assert!(user.files().is_empty());
    let gone = user.says(&["dataset", "check", "my_dataset"]);
    gone.one_sentence(&["there is no dataset `my_dataset`"]);
}

#[test]
fn a_crate_that_cannot_be_is_not_written() {
    let user = User::new();
    let new = |name: &str, more: &[&str]| {
        let mut command = user.command(&["plugins", "new", "method", name]);
        run(command.args(more).current_dir(user.data()))
    };
    for name in [
        "My-Method",
        "4cells",
        "a/b",
        "..",
        "fn",
        "std",
        "méthode",
        "",
    ] {
        new(name, &[]).one_sentence(&["cannot be the name of a crate"]);
    }
    new("mine", &["--plugin-api", "/nonexistent"])
        .one_sentence(&["/nonexistent is not the folder of medfocus-plugin-api"]);
    let host = workspace().join("host");
    new("mine", &["--plugin-api", host.to_str().unwrap()]).one_sentence(&["is not the folder of"]);
    assert!(!user.data().join("mine").exists());

    // Without a folder of the interface it is the release of this program; what is there is never touched.
    let written = new("mine", &[]);
    assert_eq!(written.code, 0, "{written:?}");
    let manifest = fs::read_to_string(user.data().join("mine/Cargo.toml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(manifest.contains(&format!(
        "medfocus-plugin-api = {{ version = \"{version}\" }}"
    )));
    for text in ["template", "0.0.0"] {
        assert!(!manifest.contains(text), "{manifest}");
    }
    new("mine", &[]).one_sentence(&["`mine` is there and is no empty folder"]);
}

/// A block of commands of the page, whether they are to fail, and what the page says that they print.
struct Step<'a> {
    commands: &'a str,
    fails: bool,
    shown: Option<&'a str>,
}

/// The shell blocks of a page, each with the block of text that follows it at once.
fn steps(page: &str) -> Vec<Step<'_>> {
    let blocks = page.split("```sh").skip(1);
    let steps = blocks.map(|block| {
        let (kind, rest) = block.split_once('\n').unwrap();
        let (commands, after) = rest.split_once("```").unwrap();
        let shown = after.trim_start().strip_prefix("```text\n");
        Step {
            commands,
            fails: kind.trim() == "fails",
            shown: shown.and_then(|shown| Some(shown.split_once("```")?.0)),
        }
    });
    steps.collect()
}

/// Whether a line is as shown: `...` before and after stands for anything.
fn is(line: &str, shown: &str) -> bool {
    let (shown, open) = match shown.strip_prefix("... ") {
        Some(rest) => (rest, true),
        None => (shown, false),
    };
    match shown
        .strip_suffix("...")
        .filter(|start| start.ends_with(' '))
    {
        Some(middle) if open => line.contains(middle),
        Some(start) => line.starts_with(start),
        None if open => line.ends_with(shown),
        None => line == shown,
    }
}

/// Whether lines are as shown; a line of `...` stands for any number of them.
fn are(lines: &[&str], shown: &[&str]) -> bool {
    match shown {
        [] => lines.is_empty(),
        ["...", rest @ ..] => (0..=lines.len()).any(|at| are(&lines[at..], rest)),
        [first, rest @ ..] => {
            lines.first().is_some_and(|line| is(line, first)) && are(&lines[1..], rest)
        }
    }
}

#[test]
fn shown_lines_are_compared_with_what_is_printed() {
    let holds = |lines: &str, shown: &str| {
        let [lines, shown] = [lines, shown].map(|text| text.lines().collect::<Vec<_>>());
        are(&lines, &shown)
    };
    assert!(holds("a\nb 1 c\nd", "a\nb ...\nd"));
    assert!(holds("a\nb\nc\nd", "...\nd") && holds("a\nb", "...\na\n...\nb\n..."));
    assert!(holds("x WARN y", "... WARN y") && holds("x WARN y z", "... WARN y ..."));
    assert!(holds("t ... ok", "t ... ok"));
    for (lines, shown) in [
        ("a\nb", "a"),
        ("a", "a\nb"),
        ("a\nc", "...\nb"),
        ("b 1", "c ..."),
    ] {
        assert!(!holds(lines, shown), "{lines} is not {shown}");
    }
}

#[test]
fn the_plugin_tutorial_does_what_it_says() {
    let page = fs::read_to_string(workspace().join("docs/plugin-tutorial.md")).unwrap();
    let user = User::new();
    let place = user.data().join("sources");
    fs::create_dir_all(place.join("target")).unwrap();
    symlink(built(), place.join("target/release")).unwrap();
    for part in ["configs", "plugin-api"] {
        symlink(workspace().join(part), place.join(part)).unwrap();
    }

    // One shell goes through the page, so that a change of folder lasts.
    let mut script = String::new();
    let steps = steps(&page);
    for step in &steps {
        let commands = step.commands;
        script += "echo '@@@'\n";
        script += &match step.fails {
            true => format!("if ( {} ); then exit 99; fi\n", commands.trim_end()),
            false => commands.to_owned(),
        };
        if commands.contains("plugins new") {
            let (lock, target) = (workspace().join("Cargo.lock"), target());
            fs::create_dir_all(&target).unwrap();
            script += &format!("cp {lock:?} my-occlusion\nln -s {target:?} my-occlusion/target\n");
        }
    }
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &script]).current_dir(&place);
    // As the program is run elsewhere in the tests.
    for (name, value) in user.command(&[]).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let cargo = Path::new(env!("CARGO")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", cargo.display()));
    shell.env("CARGO_NET_OFFLINE", "true");
    shell
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET_DIR");
    shell.env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
    let ran = run(&mut shell);
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);

    let printed: Vec<&str> = ran.out.split("@@@\n").skip(1).collect();
    assert_eq!(printed.len(), steps.len(), "{ran:?}");
    let mut compared = 0;
    for (step, printed) in steps.iter().zip(printed) {
        let Some(shown) = step.shown else { continue };
        let lines: Vec<&str> = printed.lines().collect();
        let shown_lines: Vec<&str> = shown.lines().collect();
        assert!(
            are(&lines, &shown_lines),
            "`{}` prints\n{printed}\nand not\n{shown}",
            step.commands.trim()
        );
        compared += 1;
    }
    assert!(compared > 8, "only {compared} outputs are shown");

    // The Rust that is shown is what was written.
    let krate = place.join("my-occlusion");
    let written = ["src/lib.rs", "tests/conformance.rs"]
        .map(|file| fs::read_to_string(krate.join(file)).unwrap())
        .concat();
    let blocks: Vec<&str> = page.split("```rust\n").skip(1).collect();
    assert!(blocks.len() > 4);
    for block in blocks {
        let (block, _) = block.split_once("```").unwrap();
        assert!(
            written.contains(block),
            "this is not in the crate:\n{block}"
        );
    }
    assert!(place.join("out/mine/overlay.png").is_file());
    assert!(user.files().is_empty());
}
