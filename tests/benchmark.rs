//! Benchmarks as a researcher builds them: edited, filtered, killed, resumed, written in the published format, explained.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use medfocus_tests::{Ran, built, kill_at_random, medfocus, run, timeless_lines, workspace};
use serde_json::Value;
use tempfile::TempDir;

const SAMPLES: usize = 26;
/// Enough for a kill to come in the middle.
const KILLED: usize = 12;

/// A folder with a config whose results go to `out` in it.
struct Lab {
    folder: TempDir,
}

impl Lab {
    /// The first phantoms, put to a small trained model; `more` lines end the `experiment` section, `rest` the file.
    fn new(more: &str, rest: &str) -> Self {
        Self::of(SAMPLES, more, rest)
    }

    fn of(samples: usize, more: &str, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let config = format!(
            "seed = 3\nthreads = 1\n[experiment]\nname = \"lab\"\nout = {out:?}\nmodels = [\"phantom-gemma3\"]\n{more}\n\
             [[experiment.datasets]]\ncomponent = \"phantom\"\nsamples = {samples}\n{rest}"
        );
        std::fs::write(folder.path().join("lab.toml"), config).unwrap();
        Self { folder }
    }

    fn command(&self, verb: &[&str]) -> Command {
        let mut command = medfocus();
        command.args(verb).arg(self.folder.path().join("lab.toml"));
        command
    }

    fn build(&self) -> Ran {
        run(&mut self.command(&["benchmark", "build"]))
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        let path = self.out().join(file);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn lines(&self, file: &str) -> Vec<Value> {
        let text = String::from_utf8(self.bytes(file)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    /// The published records of a mode.
    fn published(&self, file: &str) -> Vec<Value> {
        serde_json::from_slice(&self.bytes(&format!("benchmark/{file}"))).unwrap()
    }
}

const ORACLE: &str = "[[experiment.filter.editors]]\ncomponent = \"phantom_oracle\"\n";
const BOTH: &str = "[experiment.filter]\nreference = \"oracle\"\n\
    [[experiment.filter.editors]]\ncomponent = \"inpaint\"\n\
    [[experiment.filter.editors]]\ncomponent = \"phantom_oracle\"\nname = \"oracle\"\ndraws = 2\n";

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            files.push((PathBuf::from(name), std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn fifty_kills_change_nothing() {
    let config = || Lab::of(KILLED, "workers = 2", ORACLE);
    let whole = config();
    let begin = Instant::now();
    let ran = whole.build();
    assert_eq!(ran.code, 0, "{ran:?}");
    let span = begin.elapsed();

    let killed = config();
    let command = || killed.command(&["benchmark", "build"]);
    kill_at_random(50, command, span, &killed.out(), "filter.jsonl", KILLED);
    let ran = killed.build();
    assert_eq!(ran.code, 0, "{ran:?}");
    for folder in ["benchmark", "edits"] {
        let [ours, theirs] = [&killed, &whole].map(|lab| files(&lab.out().join(folder)));
        let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&ours), names(&theirs), "{folder}");
        assert!(ours == theirs, "the files of {folder} differ");
    }
}

/// Two datasets and two models, so that the order of the plan is not the order in which models are loaded.
#[test]
fn shards_build_the_same_benchmark() {
    let config = || {
        let editor = "[[experiment.filter.editors]]\ncomponent = \"inpaint\"\n";
        let lab = Lab::of(5, "modes = [\"direct\", \"reasoning\"]", editor);
        let path = lab.folder.path().join("lab.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(
            "[\"phantom-gemma3\"]",
            "[\"phantom-gemma3\", \"phantom-qwen2_5_vl\"]",
        );
        let more = "[[experiment.datasets]]\ncomponent = \"phantom\"\nsamples = 3\nparams = { split = \"train\" }\n";
        std::fs::write(&path, text + more).unwrap();
        lab
    };
    let alone = config();
    let ran = alone.build();
    assert_eq!(ran.code, 0, "{ran:?}");
    let lab = config();
    for number in 0..3 {
        let shard = format!("{number}/3");
        let ran = run(lab.command(&["run"]).args(["--shard", &shard]));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let merged = run(&mut lab.command(&["merge"]));
    assert_eq!(merged.code, 0, "{merged:?}");
    for title in ["Retention", "What the edits prove"] {
        assert!(merged.out.contains(title), "{merged:?}");
    }
    for folder in ["benchmark", "edits"] {
        let [ours, theirs] = [&lab, &alone].map(|lab| files(&lab.out().join(folder)));
        assert!(!ours.is_empty());
        assert!(ours == theirs, "the files of {folder} differ");
    }
    for file in ["table.md", "table.csv"] {
        assert!(lab.bytes(file) == alone.bytes(file), "{file} differs");
    }
    let journal =
        |lab: &Lab| timeless_lines(&String::from_utf8(lab.bytes("filter.jsonl")).unwrap());
    assert_eq!(journal(&lab), journal(&alone));
}

#[test]
fn what_is_published_was_proven() {
    let lab = Lab::new("", BOTH);
    let ran = lab.build();
    assert_eq!(ran.code, 0, "{ran:?}");
    let journal = lab.lines("filter.jsonl");
    assert_eq!(journal.len(), SAMPLES);
    let published = lab.published("direct.json");
    let mut kept = Vec::new();
    for record in &published {
        let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 8, "{keys:?}");
        let index = record["index"].as_u64().unwrap();
        let judged = journal.iter().find(|line| line["case"]["index"] == index);
        let judged = judged.unwrap();
        assert_eq!(judged["group"], "grounded");
        let images = &judged["editors"][0]["draws"][0]["images"];
        for (key, answer) in [
            ("prediction_direct", &judged["original"]["answer"]),
            ("prediction_edited_direct", &images["edited"]["answer"]),
            (
                "prediction_edited_kept_direct",
                &images["edited_kept"]["answer"],
            ),
            (
                "prediction_edited_kept_normal_direct",
                &images["edited_kept_normal"]["answer"],
            ),
        ] {
            assert_eq!(&record[key], answer, "{key} of {index}");
        }
        assert_eq!(images["edited"]["verdict"], "no");
        kept.push(index);
    }
    let grounded = journal.iter().filter(|line| line["group"] == "grounded");
    let mut grounded: Vec<u64> = grounded
        .map(|line| line["case"]["index"].as_u64().unwrap())
        .collect();
    grounded.sort_unstable();
    assert_eq!(kept, grounded);
    assert!(kept.len() > SAMPLES / 2, "{kept:?}");
    let provenance = lab.lines("benchmark/provenance.jsonl");
    assert_eq!(provenance.len(), SAMPLES);
    for line in provenance {
        let dropped = line["dropped"].as_array().unwrap();
        assert_eq!(dropped.is_empty(), line["outcome"]["group"] == "grounded");
    }
    for words in ["Retention", "Editors", "oracle"] {
        assert!(ran.out.contains(words), "no `{words}` in {ran:?}");
    }
}

/// The toy model says and scores `Yes` alone.
#[test]
fn a_model_that_cannot_score_no_is_filtered_without_probabilities() {
    let lab = Lab::of(2, "", ORACLE);
    let build = |more: &[&str]| {
        let mut command = lab.command(&["benchmark", "build"]);
        command.arg("--plugins").arg(built().join("plugins"));
        command
            .arg("--plugins")
            .arg(workspace().join("tests/plugins/golden"));
        let toy = [
            "--set",
            "experiment.models=[\"toy=nowhere\"]",
            "--retry-failed",
        ];
        run(command.args(toy).args(more))
    };
    assert_eq!(build(&[]).code, 1);
    let filtered = String::from_utf8(lab.bytes("filter.jsonl")).unwrap();
    for line in filtered.lines() {
        assert!(line.contains("how probable the answer `No` is"), "{line}");
        assert!(line.contains("`experiment.filter.probabilities`"), "{line}");
    }
    std::fs::remove_dir_all(lab.out()).unwrap();
    let without = build(&["--set", "experiment.filter.probabilities=false"]);
    assert_eq!(without.code, 0, "{without:?}");
}

#[test]
fn a_damaged_edit_is_made_again() {
    let lab = Lab::new("", ORACLE);
    assert_eq!(lab.build().code, 0);
    let edits = lab.out().join("edits");
    let before = files(&edits);
    assert!(!before.is_empty());
    for (name, bytes) in &before {
        std::fs::write(edits.join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    for file in ["filter.jsonl", "plan.json"] {
        std::fs::remove_file(lab.out().join(file)).unwrap();
    }
    assert_eq!(lab.build().code, 0);
    assert!(files(&edits) == before, "the edits differ");
}

#[test]
fn only_proven_samples_are_explained() {
    let methods = "[[experiment.methods]]\ncomponent = \"whole_image\"\n\
        [[experiment.methods]]\ncomponent = \"centre_box\"\n\
        [experiment.flips]\nsamples = 4\neditor = { component = \"phantom_oracle\" }\n";
    let lab = Lab::new(
        "keep = \"grounded\"\ngallery = 2",
        &format!("{ORACLE}{methods}"),
    );
    let ran = run(&mut lab.command(&["run"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    let published = lab.published("direct.json");
    let kept: Vec<&Value> = published.iter().map(|record| &record["index"]).collect();
    let journal = lab.lines("journal.jsonl");
    let mut explained: Vec<&Value> = journal
        .iter()
        .filter(|line| line["outcome"] == "attributed")
        .map(|line| &line["case"]["index"])
        .collect();
    explained.sort_by_key(|index| index.as_u64());
    assert_eq!(explained, kept);
    // The model was not asked again, and the first four kept samples have flips.
    let of = |metric: &str| -> Vec<f64> {
        let results = journal.iter().filter_map(|line| line["results"].as_array());
        let whole = results
            .flatten()
            .filter(|result| result["method"] == "whole_image");
        whole
            .filter_map(|result| result["metrics"][metric].as_f64())
            .collect()
    };
    // Without the finding anywhere the answer is no; with nothing edited it stays.
    assert_eq!(of("keep"), [1.0; 4]);
    assert_eq!(of("flip"), [1.0; 4]);
    assert_eq!(of("flip_gain"), [0.0; 4]);
    let page = String::from_utf8(lab.bytes("report.html")).unwrap();
    assert!(
        page.contains("region without the finding"),
        "no edits in the gallery"
    );
}

#[test]
fn a_benchmark_is_explained_as_it_was_built() {
    let built = Lab::new("modes = [\"direct\", \"reasoning\"]", ORACLE);
    assert_eq!(built.build().code, 0);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("view.toml");
    let (out, benchmark) = (folder.path().join("out"), built.out().join("benchmark"));
    let text = format!(
        "seed = 3\nthreads = 1\n[experiment]\nname = \"view\"\nout = {out:?}\nmodels = [\"phantom-gemma3\"]\n\
         modes = [\"direct\", \"reasoning\"]\nanswer = \"recorded\"\n[[experiment.datasets]]\n\
         component = \"medground_bench\"\nparams = {{ path = {benchmark:?} }}\n\
         slots.source.component = \"phantom\"\n[[experiment.methods]]\ncomponent = \"centre_box\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let ran = run(medfocus().arg("run").arg(&config));
    assert_eq!(ran.code, 0, "{ran:?}");
    let journal = std::fs::read_to_string(out.join("journal.jsonl")).unwrap();
    let journal: Vec<Value> = (journal.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (mode, file, key) in [
        ("direct", "direct.json", "prediction_direct"),
        ("reasoning", "reasoning.json", "prediction_cot"),
    ] {
        let published = built.published(file);
        let explained = journal.iter().filter(|line| line["case"]["mode"] == mode);
        let mut explained: Vec<(u64, &Value)> = explained
            .map(|line| {
                assert_eq!(line["outcome"], "attributed");
                (
                    line["case"]["index"].as_u64().unwrap(),
                    &line["subject"]["answer"],
                )
            })
            .collect();
        explained.sort_by_key(|(index, _)| *index);
        let kept = published.iter();
        let kept: Vec<(u64, &Value)> = kept
            .map(|record| (record["index"].as_u64().unwrap(), &record[key]))
            .collect();
        assert_eq!(explained, kept);
        assert!(kept.len() > SAMPLES / 2);
    }
}

#[test]
fn what_cannot_be_built_is_refused_before_anything_runs() {
    for (more, rest, words) in [
        ("", "", &["`experiment.methods` is empty"][..]),
        (
            "keep = \"grounded\"",
            "[[experiment.methods]]\ncomponent = \"whole_image\"\n",
            &["keep", "filter.editors"],
        ),
        (
            "",
            "[experiment.filter]\neditors = []\n",
            &["`experiment.filter.editors` is empty"],
        ),
        (
            "",
            "[[experiment.filter.editors]]\ncomponent = \"inpiant\"\n",
            &["inpiant", "inpaint"],
        ),
        (
            "",
            "[experiment.filter]\nreference = \"orcale\"\n[[experiment.filter.editors]]\ncomponent = \"phantom_oracle\"\nname = \"oracle\"\n",
            &["orcale", "did you mean `oracle`?"],
        ),
        (
            "",
            "[[experiment.filter.editors]]\ncomponent = \"inpaint\"\ndraws = 0\n",
            &["no draws"],
        ),
    ] {
        let lab = Lab::new(more, rest);
        lab.build().one_sentence(words);
        assert!(!lab.out().join("filter.jsonl").exists(), "{words:?}");
    }
    let without = Lab::new("", "[[experiment.methods]]\ncomponent = \"whole_image\"\n");
    without
        .build()
        .one_sentence(&["no causal filter", "experiment.filter.editors"]);
}

/// A folder with the paper's configs and copies of the archives as small as their tests have them.
fn paper() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let workspace = medfocus_tests::workspace();
    let link = |from: PathBuf, to: PathBuf| std::os::unix::fs::symlink(from, to).unwrap();
    link(workspace.join("configs"), folder.path().join("configs"));
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("medground_bench")).unwrap();
    for dataset in ["imagenome", "vindr_cxr", "padchest_gr"] {
        let fixtures = format!("plugins/datasets/{dataset}/tests/fixtures/archive");
        for entry in std::fs::read_dir(workspace.join(fixtures)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_owned();
            link(path, data.join(name));
        }
    }
    for (file, mode) in [("direct.json", "direct"), ("reasoning.json", "cot")] {
        let record = |model: &str, dataset: &str, index: u64| {
            let prediction = |key: &str| format!("prediction_{key}{mode}");
            serde_json::json!({
                "model": model, "dataset": dataset, "index": index, "answer": "Yes",
                prediction(""): "Yes\n", prediction("edited_"): "No\n",
                prediction("edited_kept_"): "Yes\n", prediction("edited_kept_normal_"): "Yes\n",
            })
        };
        let records = serde_json::json!([
            record("gemma3_4b", "imagenome", 1),
            record("gemma3_4b", "padchest_gr", 0),
            record("gemma3_4b", "padchest_gr", 3),
            record("medgemma1_5", "vindr_cxr", 2),
        ]);
        std::fs::write(data.join("medground_bench").join(file), records.to_string()).unwrap();
    }
    folder
}

#[test]
fn the_papers_configs_walk_the_whole_path_but_the_models() {
    let folder = paper();
    let plan = |config: &str| {
        // Relative paths of a config start at its folder, which is a link here: hence a copy.
        let text = std::fs::read_to_string(folder.path().join("configs/paper").join(config));
        // References are patients' films: phantoms stand in for them.
        let pool = "component = \"reference_pool\"\nparams = { path = \"../../data/pool\" }";
        let text = text
            .unwrap()
            .replace(pool, "component = \"phantom\"")
            .replace("../../", &format!("{}/", folder.path().display()));
        let copy = folder.path().join(config);
        std::fs::write(&copy, text).unwrap();
        let out = format!(
            "experiment.out={:?}",
            folder.path().join("out").join(config)
        );
        let ran = run(medfocus()
            .args(["plan", "--no-estimate", "--set", &out])
            .arg(&copy));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    let built = plan("benchmark.toml");
    assert_eq!(built.matches("0 methods").count(), 3 * 6 * 2, "{built}");
    assert!(built.contains("editor radedit  1 draws"), "{built}");
    let explained = plan("medground.toml");
    for words in [
        "1 samples  imagenome  gemma3_4b  direct  17 methods",
        "2 samples  padchest_gr  gemma3_4b  reasoning  17 methods",
        "1 samples  vindr_cxr  medgemma1_5_4b  direct  17 methods",
        "0 samples  imagenome  qwen2_5_vl_7b  direct  17 methods",
    ] {
        assert!(explained.contains(words), "no `{words}` in {explained}");
    }
}
