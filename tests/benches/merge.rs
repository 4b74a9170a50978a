//! What `medfocus merge` takes: `RECORDS=10000000 cargo xtask bench -p medfocus-tests --bench merge`.
//!
//! One sample is explained; its record, under other numbers, of two samples an image, fills the journals of 64 shards. Then
//! they are joined, and reported.

use std::{
    env, fs,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};

use medfocus::{
    config::Layers,
    experiment::{merge, plan::Plan, results::Results},
    output::OutDir,
    report,
    workbench::Workbench,
};
use medfocus_tests::{built, medfocus, run, workspace};
use serde_json::Value;

const SHARDS: u32 = 64;

fn config(folder: &Path, name: &str, samples: u64) -> std::path::PathBuf {
    let out = folder.join(name);
    let text = format!(
        r#"
        threads = 1
        model_folders = [{models:?}]
        [experiment]
        name = "many"
        out = {out:?}
        models = ["phantom-gemma3"]
        keep = "all"
        gallery = 0
        [[experiment.datasets]]
        component = "phantom"
        samples = {samples}
        params = {{ len = {samples} }}
        [[experiment.methods]]
        component = "centre_box"
        "#,
        models = workspace().join("configs/models"),
    );
    let path = folder.join(format!("{name}.toml"));
    fs::write(&path, text).expect("a config can be written");
    path
}

fn done(arguments: &[&str], config: &Path) {
    let ran = run(medfocus().args(arguments).arg(config));
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// The largest memory that this process has had, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the system says");
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.expect("it is a number") >> 10
}

fn main() {
    let records = env::var("RECORDS").map_or(100_000, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir_in(built()).expect("there is a disk");
    let folder = folder.path();
    done(&["run"], &config(folder, "one", 1));
    let journal = fs::read_to_string(folder.join("one/journal.jsonl")).expect("it is there");
    let mut record: Value = serde_json::from_str(&journal).expect("a line is JSON");

    let many = config(folder, "many", records);
    done(&["plan", "--shards", "64"], &many);
    let shards = folder.join(format!("many/shards/{SHARDS}"));
    let manifest = fs::read(shards.join("shards.json")).expect("it was written");
    let manifest: Value = serde_json::from_slice(&manifest).expect("it is JSON");
    for piece in manifest["pieces"].as_array().expect("it has pieces") {
        let shard = shards.join(piece["shard"].to_string());
        fs::create_dir_all(&shard).expect("there is a disk");
        let file = File::create(shard.join("journal.sealed")).expect("there is a disk");
        let mut file = BufWriter::new(file);
        let [from, to] = ["from", "to"].map(|key| piece[key].as_u64().expect("a place"));
        for index in from..to {
            record["case"]["index"] = index.into();
            record["subject"]["image"] = format!("blake3:{:064x}", index / 2).into();
            record["results"][0]["metrics"]["iou"] = ((index % 97) as f64 / 97.0).into();
            let text = serde_json::to_string(&record).expect("it is JSON");
            let seal = blake3::hash(text.as_bytes()).to_hex();
            writeln!(file, "{} {text}", &seal[..16]).expect("there is a disk");
        }
        file.flush().expect("there is a disk");
    }

    let mut layers = Layers::load(Some(&many), &[]).expect("the config is valid");
    layers.config.plugins.paths = vec![built().join("plugins")];
    let plan = Plan::new(&Workbench::new(layers)).expect("it was planned before");
    let before = peak();
    let began = Instant::now();
    let merged = merge::merge(&plan, false).expect("nothing is missing");
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!((merged.samples, merged.failed), (records, 0));
    let bytes = fs::metadata(folder.join("many/journal.jsonl")).map_or(0, |about| about.len());
    println!(
        "{records} records of {SHARDS} shards, {:.1} GB: merged in {seconds:.1} s, at most {} MiB ({before} before)",
        bytes as f64 / 1e9,
        peak()
    );
    let began = Instant::now();
    let results = Results::read(plan.folder().as_ref()).expect("it was merged");
    let read = began.elapsed().as_secs_f64();
    let out = OutDir::create(plan.folder()).expect("it is there");
    let table = report::write(&out, &results).expect("there is a disk");
    let seconds = began.elapsed().as_secs_f64();
    let row = &table.sections[0].leading().rows[0];
    assert_eq!(row.scored as u64, records);
    println!(
        "reported in {seconds:.1} s, of these {read:.1} s to find the records, at most {} MiB",
        peak()
    );
}
