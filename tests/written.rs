//! Pages and pictures that the program writes, or that show what it does: they are what it says today.
//!
//! With `WRITE_DOCS=1` in the environment these tests write the files instead of comparing them.

use std::{
    fmt::Write,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use image::{RgbImage, imageops};
use medfocus_tests::{built, medfocus, run, workspace};
use serde_json::Value;

/// Whether the files are to be written.
fn writes() -> bool {
    std::env::var_os("WRITE_DOCS").is_some()
}

fn docs(name: &str) -> PathBuf {
    workspace().join("docs").join(name)
}

/// Compares a page with what it should be, or writes it.
fn page(name: &str, expected: &str) {
    same(&format!("docs/{name}"), expected);
}

/// Compares a file of the repository with what it should be, or writes it.
fn same(name: &str, expected: &str) {
    let path = workspace().join(name);
    if writes() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    let differs = found
        .lines()
        .zip(expected.lines())
        .position(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{name} is not what the program says, from line {} on: run the tests with WRITE_DOCS=1",
        differs.unwrap_or(found.lines().count()) + 1
    );
}

/// What the program prints.
fn says(arguments: &[&str]) -> String {
    let ran = run(medfocus().args(arguments));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out
}

#[test]
fn every_parameter_is_on_its_page() {
    let listed: Value = serde_json::from_str(&says(&["plugins", "list", "--json"])).unwrap();
    let mut components: Vec<(String, String)> = Vec::new();
    for plugin in listed["plugins"].as_array().unwrap() {
        for component in plugin["manifest"]["components"].as_array().unwrap() {
            let text = |key: &str| component[key].as_str().unwrap().to_owned();
            components.push((text("kind"), text("name")));
        }
    }
    components.sort();
    let mut expected =
        "# Parameters\n\nEvery component with its parameters, their defaults and ranges, as \
                        `medfocus plugins describe NAME` prints them.\n"
            .to_owned();
    let mut last = "";
    for (kind, name) in &components {
        if kind != last {
            let _ = write!(expected, "\n## Kind `{kind}`\n");
            last = kind;
        }
        let described = says(&["plugins", "describe", name]);
        // The file that a component is from, and its digest, are another on each machine.
        let lines = described.lines().skip(1);
        let lines: Vec<&str> = lines
            .take_while(|line| !line.starts_with("from "))
            .collect();
        let _ = write!(
            expected,
            "\n### {name}\n\n```text\n{}\n```\n",
            lines.join("\n")
        );
    }
    page("parameters.md", &expected);
}

/// The help of a command and of those below it.
fn help(command: &[&str], into: &mut String) {
    let text = says(&[command, &["--help"]].concat());
    let name = ["medfocus"].iter().chain(command);
    let name = name.copied().collect::<Vec<_>>().join(" ");
    let _ = write!(into, "\n## {name}\n\n```text\n{}\n```\n", text.trim_end());
    let below = text.split_once("\nCommands:\n").map(|(_, below)| below);
    let below = below.unwrap_or_default().lines();
    for line in below.take_while(|line| !line.is_empty()) {
        let named = line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with(' '));
        match named.and_then(|line| line.split_whitespace().next()) {
            None | Some("help") => {}
            Some(next) => help(&[command, &[next]].concat(), into),
        }
    }
}

#[test]
fn every_command_is_on_its_page() {
    let mut expected =
        "# Commands\n\nWhat `medfocus` and each of its commands say of themselves with `--help`.\n"
            .to_owned();
    help(&[], &mut expected);
    page("commands.md", &expected);
}

/// Shards may be resumed by a later version: a change of their manifest is a change of its version.
#[test]
fn the_manifest_of_shards_is_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace().join("tests/fixtures/shards/lab.toml");
    let out = format!("experiment.out={}", folder.path().join("out").display());
    let plan = ["plan", "--no-estimate", "--shards", "3", "--set", &out];
    let ran = run(medfocus().args(plan).arg(config));
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = fs::read_to_string(folder.path().join("out/shards/3/shards.json")).unwrap();
    // The plan's digest holds those of the plugins, which are others on each machine.
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let plan = manifest["plan"].as_str().unwrap();
    let text = text.replacen(plan, "blake3:plan", 1);
    same("tests/fixtures/shards/shards.json", &text);
}

/// The shell blocks of a page.
fn commands(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split_once("```"));
    blocks.map(|(block, _)| block).collect()
}

/// A picture at half its size, as the pages show it.
fn half(path: &Path) -> RgbImage {
    let picture = image::open(path).unwrap().to_rgb8();
    let (width, height) = picture.dimensions();
    imageops::resize(
        &picture,
        width / 2,
        height / 2,
        imageops::FilterType::Triangle,
    )
}

#[test]
fn the_tutorial_does_what_it_says_and_shows_what_comes_out() {
    let text = fs::read_to_string(docs("tutorial.md")).unwrap();
    let place = tempfile::tempdir().unwrap();
    symlink(workspace().join("configs"), place.path().join("configs")).unwrap();
    fs::create_dir(place.path().join("target")).unwrap();
    symlink(built(), place.path().join("target/release")).unwrap();
    // What this test was built by need not be built again.
    let commands = commands(&text).replace("cargo xtask build\n", "");
    let mut shell = Command::new("sh");
    shell
        .args(["-e", "-c", &commands])
        .current_dir(place.path());
    shell.env("OMP_NUM_THREADS", "1");
    let ran = run(&mut shell);
    assert_eq!(ran.code, 0, "{ran:?}");

    let mut shown = 0;
    for picture in ["medfocus", "absent", "occlusion", "gradcam"] {
        let made = half(
            &place
                .path()
                .join("out/tutorial")
                .join(picture)
                .join("overlay.png"),
        );
        let path = docs("pictures").join(format!("{picture}.png"));
        if writes() {
            made.save(&path).unwrap();
        }
        let kept = image::open(&path).unwrap().to_rgb8();
        assert_eq!(made.dimensions(), kept.dimensions(), "{picture}");
        let differences = made.iter().zip(kept.iter());
        let sum: u64 = differences.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = sum as f64 / made.len() as f64;
        // The last bits of a model's numbers depend on the machine.
        assert!(mean < 0.5, "{picture}: {mean} grey levels a pixel");
        assert!(text.contains(&format!("(pictures/{picture}.png)")));
        shown += 1;
    }
    assert_eq!(text.matches("](pictures/").count(), shown);

    // What the page says of the results.
    let record = |name: &str| -> Value {
        let path = place
            .path()
            .join("out/tutorial")
            .join(name)
            .join("attribution.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    assert_eq!(record("medfocus")["answer"], "Yes");
    assert_eq!(
        record("medfocus")["evidence"]["winner"],
        "right costophrenic angle"
    );
    assert_eq!(record("absent")["answer"], "No");
    assert_eq!(record("absent")["evidence"]["fallback"], true);
    assert!(place.path().join("out/tutorial/report.html").is_file());
}
