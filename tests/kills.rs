//! A run that is killed again and again, and its plugins with it or without it; and one whose disk is full: nothing is lost,
//! nothing is there twice.
//!
//! `cargo xtask kills --times 1000` kills more often than the tests of every day.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use medfocus_tests::{Lab, children, confines, run, timeless_lines, untimed_table, workspace};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;

/// How often processes are killed, unless this variable says otherwise.
const TIMES: (&str, u64) = ("KILLS", 30);
/// Seed of the moments and the victims.
const SEED: u64 = 14;

const SAMPLES: usize = 4;

/// The demo in small, in which these plugins run in processes of their own.
fn isolating(isolated: &str) -> Lab {
    let sandbox = confines();
    Lab::new(|out| {
        format!(
            r#"
            seed = 11
            threads = 1
            [plugins.isolation]
            of = {isolated:?}
            sandbox = {sandbox}
            [experiment]
            name = "lab"
            out = {out}
            models = ["phantom-gemma3"]
            keep = "all"
            workers = 2
            gallery = 1
            sanity = {{ samples = 1, randomise = [1] }}
            [[experiment.datasets]]
            component = "phantom"
            samples = {SAMPLES}
            [[experiment.filter.editors]]
            component = "phantom_oracle"
            [[experiment.methods]]
            component = "gradcam"
            [[experiment.methods]]
            component = "occlusion"
            params = {{ cells = 3 }}
            [[experiment.methods]]
            component = "random_boxes"
            "#
        )
    })
}

/// A run in an environment by which its processes are known.
fn command(lab: &Lab, more: &[&str]) -> Command {
    let mut command = lab.command("run", more);
    command.env("XDG_DATA_HOME", lab.path());
    command
}

/// Whether any process has the environment of its runs.
fn has_processes(lab: &Lab) -> bool {
    let mark = format!("XDG_DATA_HOME={}\0", lab.path().display());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let environments = processes.filter_map(|entry| fs::read(entry.path().join("environ")).ok());
    let mut texts = environments.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    texts.any(|text| text.contains(&mark))
}

fn lines(lab: &Lab, file: &str) -> Vec<Value> {
    timeless_lines(&lab.text(file))
}

/// All that was found, whatever it took: the table, what the page says of sanity checks, and the journals.
///
/// While a sample has failed, the sanity checks are of another; the page leaves that out once it is not wanted.
fn results(lab: &Lab) -> (Vec<Vec<String>>, String, Vec<Value>) {
    let (table, page) = (lab.text("table.csv"), lab.text("table.md"));
    let checks = page
        .split("\n## ")
        .find(|section| section.starts_with("Sanity checks"));
    let mut sanity = lines(lab, "sanity.jsonl");
    sanity.retain(|line| line[0]["case"]["index"] == 0);
    let filter = lines(lab, "filter.jsonl");
    let mut lines = [filter, lines(lab, "journal.jsonl"), sanity].concat();
    lines.retain(|line| !failed(line));
    lines.sort_by_key(Value::to_string);
    (untimed_table(&table), checks.unwrap().to_owned(), lines)
}

/// Whether a line of a journal tells of a failure anywhere.
fn failed(line: &Value) -> bool {
    match line {
        Value::Object(object) => {
            let here = ["status", "outcome"]
                .iter()
                .any(|key| object.get(*key).is_some_and(|word| word == "failed"));
            here || object.values().any(failed)
        }
        Value::Array(values) => values.iter().any(failed),
        _ => false,
    }
}

/// Runs of a lab, and what befalls them.
struct Storm<'a> {
    lab: &'a Lab,
    random: StdRng,
    /// Longest time between two kills: some runs come through.
    span: Duration,
    /// Killed runs, killed plugins.
    kills: [u64; 2],
}

impl Storm<'_> {
    /// One run with its kills; its exit code if it came to an end by itself.
    fn run(&mut self) -> Option<i32> {
        let mut host = command(self.lab, &["--retry-failed"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut wounded = false;
        loop {
            thread::sleep(self.span.mul_f64(self.random.random_range(0.0..1.0)));
            if host.try_wait().unwrap().is_some() {
                let ended = host.wait_with_output().unwrap();
                let (code, said) = (ended.status.code(), String::from_utf8_lossy(&ended.stderr));
                // Only what befell a plugin makes a run fail, and it says so in a sentence.
                match code {
                    Some(0) => {}
                    Some(1) if wounded => {}
                    Some(2) if wounded => assert!(said.contains("ended by signal 9"), "{said}"),
                    _ => panic!("{ended:?}"),
                }
                return code;
            }
            let plugin = children(host.id()).choose(&mut self.random).copied();
            match plugin.filter(|_| self.random.random()) {
                Some(plugin) => {
                    kill(plugin);
                    self.kills[1] += 1;
                    wounded = true;
                }
                None => {
                    host.kill().unwrap();
                    host.wait().unwrap();
                    self.kills[0] += 1;
                    return None;
                }
            }
        }
    }

    fn total(&self) -> u64 {
        self.kills.iter().sum()
    }
}

fn kill(process: u32) {
    let mut kill = Command::new("kill");
    kill.args(["-KILL", &process.to_string()]);
    // It may have ended meanwhile.
    let _ = kill.stderr(Stdio::null()).status().unwrap();
}

/// Waits until no process of the lab is left.
fn nobody_is_left(lab: &Lab) {
    let begin = Instant::now();
    while has_processes(lab) {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "a process outlives its run"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn kills_lose_nothing_and_double_nothing() {
    let times = std::env::var(TIMES.0).map_or(TIMES.1, |times| times.parse().unwrap());
    let whole = isolating("everybody");
    let begin = Instant::now();
    let ran = run(&mut command(&whole, &[]));
    assert_eq!(ran.code, 0, "{ran:?}");
    let expected = results(&whole);

    let lab = isolating("everybody");
    let mut storm = Storm {
        lab: &lab,
        random: StdRng::seed_from_u64(SEED),
        span: begin.elapsed() / 2,
        kills: [0, 0],
    };
    let mut through = 0;
    while storm.total() < times || through == 0 {
        let code = storm.run();
        nobody_is_left(&lab);
        if code == Some(0) {
            // A failed sanity check does not make a run fail.
            let ran = run(&mut command(&lab, &["--retry-failed"]));
            assert_eq!(ran.code, 0, "{ran:?}");
            let found = results(&lab);
            for (found, expected) in found.2.iter().zip(&expected.2) {
                assert_eq!(found, expected);
            }
            assert!(found == expected, "{found:?} is not {expected:?}");
            through += 1;
            fs::remove_dir_all(lab.out()).unwrap();
        }
    }
    println!(
        "{} runs and {} plugins killed; {through} times it came through",
        storm.kills[0], storm.kills[1]
    );
}

/// Runs a command while this folder is on a disk of so many KiB: a namespace of its own has one in memory there.
const ON_A_SMALL_DISK: &str = r#"
    out=$1 disk=$2 size=$3
    shift 3
    mount -t tmpfs -o size="$size"k none "$disk" && cp -a "$out/." "$disk" && mount --bind "$disk" "$out" || exit 99
    "$@"
    code=$?
    umount "$out" && find "$out" -mindepth 1 -delete && cp -a "$disk/." "$out" || exit 99
    exit $code
"#;

#[test]
fn a_disk_that_is_full_at_any_moment_loses_nothing() {
    let alone = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount"]);
        unshare
    };
    if !alone()
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("nothing is tried: nobody may mount a disk here");
        return;
    }
    let whole = isolating("nobody");
    let ran = run(&mut command(&whole, &[]));
    assert_eq!(ran.code, 0, "{ran:?}");
    let expected = results(&whole);

    let lab = isolating("nobody");
    let disk = lab.path().join("disk");
    fs::create_dir(&disk).unwrap();
    fs::create_dir(lab.out()).unwrap();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut failures = 0;
    while failures < 8 {
        let held = lines(&lab, "journal.jsonl");
        // What is there fits, and some of the next.
        let size = used(&lab.out()) + random.random_range(8..160);
        let command = command(&lab, &["--retry-failed"]);
        let mut limited = alone();
        limited.args(["sh", "-c", ON_A_SMALL_DISK, "sh"]);
        limited.arg(lab.out()).arg(&disk).arg(size.to_string());
        limited.arg(command.get_program()).args(command.get_args());
        let ran = run(limited.current_dir(workspace()));
        if ran.code == 0 {
            assert!(results(&lab) == expected, "on {size} KiB");
            fs::remove_dir_all(lab.out()).unwrap();
            fs::create_dir(lab.out()).unwrap();
            continue;
        }
        failures += 1;
        assert_eq!(ran.code, 2, "{ran:?}");
        let said = ran.err.lines();
        let said = said.filter(|line| line.starts_with("medfocus: "));
        assert_eq!(said.count(), 1, "{ran:?}");
        assert!(ran.err.contains("No space left"), "{ran:?}");
        let holds = lines(&lab, "journal.jsonl");
        assert!(holds.starts_with(&held), "something is lost");
    }
    let ran = run(&mut command(&lab, &["--retry-failed"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(results(&lab) == expected);
}

/// KiB that a folder takes on a disk of pages.
fn used(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let sizes = entries.map(|entry| match entry.path().is_dir() {
        true => used(&entry.path()),
        false => entry.metadata().unwrap().len().div_ceil(4096) * 4,
    });
    sizes.sum()
}
