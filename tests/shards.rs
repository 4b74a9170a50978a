//! An experiment cut into shards, as a cluster runs it: each shard a process of its own, killed and resumed, and all of them
//! merged.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use medfocus_tests::{Lab, run, timeless_lines, untimed_table};
use serde_json::Value;

const JOURNALS: [&str; 4] = [
    "filter.jsonl",
    "tuning.jsonl",
    "journal.jsonl",
    "sanity.jsonl",
];

/// An experiment with every phase that there is.
fn everything() -> Lab {
    Lab::new(|out| {
        format!(
            r#"
            seed = 7
            threads = 1
            [experiment]
            name = "lab"
            out = {out}
            models = ["phantom-gemma3", "phantom-qwen2_5_vl"]
            modes = ["direct", "reasoning"]
            keep = "all"
            gallery = 1
            curves = {{ samples = 1 }}
            sanity = {{ samples = 2 }}
            [[experiment.datasets]]
            component = "phantom"
            samples = 5
            [[experiment.filter.editors]]
            component = "phantom_oracle"
            [experiment.tuning.dataset]
            component = "phantom"
            params = {{ split = "train" }}
            samples = 3
            [[experiment.methods]]
            component = "gradcam"
            sweep = {{ layer = [0, 1] }}
            [[experiment.methods]]
            component = "occlusion"
            params = {{ cells = 3 }}
            [[experiment.methods]]
            component = "random_boxes"
            "#
        )
    })
}

/// Every shard in turn, once a phase that waits for others.
fn run_shards(lab: &Lab, of: u32) {
    for _ in 0..3 {
        for number in 0..of {
            let ran = lab.says("run", &["--shard", &format!("{number}/{of}")]);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
    }
}

/// The folder of a shard.
fn folder(lab: &Lab, shard: &str) -> PathBuf {
    let (number, of) = shard.split_once('/').unwrap();
    lab.out().join("shards").join(of).join(number)
}

/// All that was found, whatever it took: the journals line by line in their order, the table, the chosen parameters.
fn results(lab: &Lab) -> (Vec<Vec<Value>>, Vec<Vec<String>>, String, String) {
    (
        JOURNALS
            .map(|name| timeless_lines(&lab.text(name)))
            .to_vec(),
        untimed_table(&lab.text("table.csv")),
        lab.text("tuned.json"),
        lab.text("benchmark/direct.json"),
    )
}

/// What one process finds.
fn alone() -> Lab {
    let lab = everything();
    let ran = lab.says("run", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    lab
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

#[test]
fn any_number_of_shards_gives_what_one_process_gives() {
    let alone = alone();
    for of in [1, 3, 7] {
        let lab = everything();
        run_shards(&lab, of);
        let merged = lab.says("merge", &[]);
        assert_eq!(merged.code, 0, "{merged:?}");
        assert_eq!(results(&lab), results(&alone), "{of} shards");
        // Twice changes nothing, down to the seconds.
        let files = |lab: &Lab| JOURNALS.map(|name| fs::read(lab.out().join(name)).unwrap());
        let before = files(&lab);
        assert_eq!(lab.says("merge", &[]).code, 0);
        assert!(before == files(&lab));
        assert_eq!(results(&lab), results(&alone));
    }
}

#[test]
fn a_shard_waits_for_what_others_must_do_first() {
    let lab = everything();
    let ran = lab.says("run", &["--shard", "0/2"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("10 more samples of the causal filter"),
        "{ran:?}"
    );
    assert_eq!(size(&folder(&lab, "0/2").join("journal.sealed")), 0);
    let ran = lab.says("run", &["--shard", "1/2"]);
    assert!(
        ran.out.contains("10 more samples of the explanations"),
        "{ran:?}"
    );
}

#[test]
fn another_number_of_shards_goes_on_from_there() {
    let alone = alone();
    let lab = everything();
    for shard in ["0/3", "1/3"] {
        assert_eq!(lab.says("run", &["--shard", shard]).code, 0);
    }
    run_shards(&lab, 2);
    // What the three shards had filtered, the two did not do again.
    let lines = |shard: &str| {
        let text = fs::read_to_string(folder(&lab, shard).join("filter.sealed")).unwrap();
        text.lines().count()
    };
    let count = |shards: &[&str]| shards.iter().map(|shard| lines(shard)).sum::<usize>();
    assert_eq!(count(&["0/3", "1/3"]) + count(&["0/2", "1/2"]), 20);
    assert_eq!(lab.says("merge", &[]).code, 0);
    assert_eq!(results(&lab), results(&alone));
}

#[test]
fn the_scheduler_tells_which_shard() {
    let lab = everything();
    let told = |name: &str, offset: &str| {
        let mut command = lab.command("run", &["--shard", "auto/4"]);
        run(command.env(name, "1").env("MEDFOCUS_SHARD_OFFSET", offset))
    };
    for name in ["SLURM_ARRAY_TASK_ID", "HQ_TASK_ID", "JOB_COMPLETION_INDEX"] {
        let ran = told(name, "2");
        assert!(ran.out.contains("Shard 3/4"), "{ran:?}");
    }
    told("SLURM_ARRAY_TASK_ID", "3").one_sentence(&["auto/4", "beyond the last shard"]);
    told("SLURM_ARRAY_TASK_ID", "x").one_sentence(&["MEDFOCUS_SHARD_OFFSET", "no number"]);
    told("NOTHING", "0").one_sentence(&["no scheduler tells one", "0/8"]);
    lab.says("run", &["--shard", "four"])
        .one_sentence(&["is no shard", "0/8"]);
}

#[test]
fn what_is_missing_is_counted_and_named() {
    let lab = everything();
    for shard in ["0/4", "1/4", "3/4"] {
        assert_eq!(lab.says("run", &["--shard", shard]).code, 0);
    }
    let refused = lab.says("merge", &[]);
    refused.one_sentence(&[
        "5 samples of the causal filter are missing (shards 2 of 4)",
        "20 samples of the explanations are missing (shards 0, 1, 2, 3 of 4)",
        "--partial",
    ]);
    assert_eq!(size(&lab.out().join("filter.jsonl")), 0);
    let merged = lab.says("merge", &["--partial"]);
    assert!(
        merged
            .out
            .contains("Partial: 5 samples of the causal filter"),
        "{merged:?}"
    );
    let filtered = fs::read_to_string(lab.out().join("filter.jsonl")).unwrap();
    assert_eq!(filtered.lines().count(), 15);
}

#[test]
fn a_damaged_shard_is_one_sentence_and_loses_nothing() {
    let lab = everything();
    run_shards(&lab, 2);
    let whole = lab.says("merge", &[]);
    assert_eq!(whole.code, 0, "{whole:?}");
    let found = results(&lab);

    // One bit of one digit.
    let file = folder(&lab, "1/2").join("journal.sealed");
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    let second = good.iter().position(|&b| b == b'\n').unwrap() + 1;
    bad[second + 100] ^= 1;
    fs::write(&file, &bad).unwrap();
    let named = file.to_str().unwrap();
    lab.says("merge", &[])
        .one_sentence(&["line 2 of", named, "is damaged", "delete that line"]);
    lab.says("run", &["--shard", "0/2"])
        .one_sentence(&["line 2 of", named]);
    assert_eq!(results(&lab), found);

    // Without the line its work is done again, once the merged journal does not hold it either.
    let lines: Vec<&[u8]> = good.split_inclusive(|&b| b == b'\n').collect();
    fs::write(&file, [&lines[..1], &lines[2..]].concat().concat()).unwrap();
    fs::remove_file(lab.out().join("journal.jsonl")).unwrap();
    lab.says("merge", &[])
        .one_sentence(&["1 samples of the explanations", "shards 1 of 2"]);
    assert_eq!(lab.says("run", &["--shard", "1/2"]).code, 0);
    assert_eq!(lab.says("merge", &[]).code, 0);
    assert_eq!(results(&lab), found);

    // A last line that a kill cut short is no damage, but a sample that is missing.
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() - 20]).unwrap();
    fs::remove_file(lab.out().join("journal.jsonl")).unwrap();
    lab.says("merge", &[])
        .one_sentence(&["1 samples of the explanations", "shards 1 of 2"]);
    assert_eq!(lab.says("run", &["--shard", "1/2"]).code, 0);
    assert_eq!(lab.says("merge", &[]).code, 0);
    assert_eq!(results(&lab), found);

    // A manifest of another experiment, or of another version.
    let manifest = lab.out().join("shards/2/shards.json");
    let good = fs::read_to_string(&manifest).unwrap();
    let mut value: Value = serde_json::from_str(&good).unwrap();
    value["plan"] = "blake3:0".into();
    fs::write(&manifest, value.to_string()).unwrap();
    lab.says("merge", &[])
        .one_sentence(&["shards.json is of another experiment", "delete the folder"]);
    fs::write(
        &manifest,
        good.replacen("\"version\": 1", "\"version\": 2", 1),
    )
    .unwrap();
    lab.says("merge", &[])
        .one_sentence(&["has version 2, and this program reads 1"]);
    assert_eq!(results(&lab), found);
}

#[test]
fn a_killed_shard_loses_what_was_in_flight() {
    let alone = alone();
    let lab = everything();
    let file = folder(&lab, "0/1").join("filter.sealed");
    for kill in 1..=4 {
        let mut command = lab.command("run", &["--shard", "0/1"]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let begin = Instant::now();
        let before = size(&file);
        while size(&file) == before && child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(60), "kill {kill}");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The owner that was killed is followed at once.
    let ran = lab.says("run", &["--shard", "0/1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(lab.says("merge", &[]).code, 0);
    assert_eq!(results(&lab), results(&alone));
}

#[test]
fn two_workers_on_one_shard_are_told_apart() {
    let lab = everything();
    let owner = folder(&lab, "0/2").join("owner.json");
    assert_eq!(lab.says("run", &["--shard", "0/2"]).code, 0);
    assert!(!owner.exists(), "who is done owns nothing");
    let living = serde_json::json!({ "host": "far", "pid": 1, "task": "77_0", "mark": "m" });
    let living = living.to_string();
    fs::write(&owner, &living).unwrap();
    // It shows that it lives.
    let refused = std::thread::scope(|scope| {
        let run = scope.spawn(|| lab.says("run", &["--shard", "0/2"]));
        while !run.is_finished() {
            fs::write(&owner, &living).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
        run.join().unwrap()
    });
    refused.one_sentence(&["task 77_0 on far does this shard already", "let it"]);
    assert!(owner.exists());
    // The same task, requeued elsewhere.
    let mut again = lab.command("run", &["--shard", "auto/2"]);
    again
        .env("SLURM_ARRAY_JOB_ID", "77")
        .env("SLURM_ARRAY_TASK_ID", "0");
    let ran = run(&mut again);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("the same task, requeued"), "{ran:?}");
    // One that has been silent for long.
    fs::write(&owner, &living).unwrap();
    let file = fs::File::options().write(true).open(&owner).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(300))
        .unwrap();
    let ran = lab.says("run", &["--shard", "0/2"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("not been seen for two minutes"), "{ran:?}");
}

#[test]
fn shards_follow_the_cost_and_the_plan_says_whose_is_what() {
    let lab = everything();
    let planned = lab.says("plan", &["--no-estimate", "--shards", "3"]);
    assert_eq!(planned.code, 0, "{planned:?}");
    let text = fs::read_to_string(lab.out().join("shards/3/shards.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["version"], 1);
    let pieces = manifest["pieces"].as_array().unwrap().iter();
    let explain = pieces.filter(|piece| piece["phase"] == "explain");
    let short = explain.map(|piece| {
        let model = piece["model"]
            .as_str()
            .unwrap()
            .trim_start_matches("phantom-");
        let text = |key: &str| piece[key].to_string().replace('"', "");
        format!(
            "{} {model} {} {}..{}",
            text("shard"),
            text("mode"),
            text("from"),
            text("to")
        )
    });
    assert_eq!(
        short.collect::<Vec<_>>(),
        [
            "0 gemma3 direct 0..5",
            "0 gemma3 reasoning 0..2",
            "1 gemma3 reasoning 2..5",
            "1 qwen2_5_vl direct 0..3",
            "2 qwen2_5_vl direct 3..5",
            "2 qwen2_5_vl reasoning 0..5",
        ]
    );
    // More samples are cut anew, on demand; what is done stays.
    assert_eq!(lab.says("run", &["--shard", "0/3"]).code, 0);
    let config = lab.config();
    let text = fs::read_to_string(&config)
        .unwrap()
        .replacen("samples = 5", "samples = 6", 1);
    fs::write(&config, text).unwrap();
    lab.says("run", &["--shard", "0/3"])
        .one_sentence(&["was cut for other samples", "--shards 3"]);
    assert_eq!(
        lab.says("plan", &["--no-estimate", "--shards", "3"]).code,
        0
    );
    let done = size(&folder(&lab, "0/3").join("filter.sealed"));
    assert_eq!(lab.says("run", &["--shard", "0/3"]).code, 0);
    assert!(size(&folder(&lab, "0/3").join("filter.sealed")) > done);
    lab.says("plan", &["--no-estimate", "--shards", "0"])
        .one_sentence(&["at least one shard"]);
}

#[test]
fn workers_compute_on_the_devices_in_turn() {
    let alone = alone();
    let lab = everything();
    let on = |devices: &str| {
        let devices = format!("experiment.devices={devices}");
        lab.says("run", &["--set", &devices])
    };
    // The second worker is refused what the first one is not.
    on(r#"["cpu", "abacus"]"#).one_sentence(&["abacus"]);
    let ran = on(r#"["cpu", "cpu"]"#);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(results(&lab).1, results(&alone).1);
}
