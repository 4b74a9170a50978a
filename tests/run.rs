//! Experiments as a researcher meets them: planned, run, killed, resumed, reported. The model is one with closed-form
//! answers, so no libtorch takes part.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use medfocus_tests::{
    Ran, built, kill_at_random, medfocus, outside_plugin, run, timeless_lines, untimed_table,
};
use serde_json::Value;
use tempfile::TempDir;

const METHODS: &[&str] = &["occlusion", "gradcam", "whole_image", "random_boxes"];

/// A folder with a config whose results go to `out` in it.
struct Lab {
    folder: TempDir,
}

impl Lab {
    /// An experiment on so many phantoms; `more` lines end the `experiment` section, `rest` the file.
    fn new(samples: u64, model: &str, methods: &[&str], more: &str, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let plugins = [outside_plugin(), built().join("plugins")];
        let methods: String = methods
            .iter()
            .map(|name| format!("[[experiment.methods]]\ncomponent = \"{name}\"\n"))
            .collect();
        let config = format!(
            "seed = 7\n[plugins]\npaths = {plugins:?}\n[experiment]\nname = \"lab\"\nout = {out:?}\nmodels = [\"{model}=nowhere\"]\n\
             gallery = 1\n{more}\n[[experiment.datasets]]\ncomponent = \"phantom\"\nsamples = {samples}\n{methods}\n{rest}"
        );
        std::fs::write(folder.path().join("lab.toml"), config).unwrap();
        Self { folder }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = medfocus();
        command.arg(verb).arg(self.folder.path().join("lab.toml"));
        command
    }

    fn run(&self) -> Ran {
        run(&mut self.command("run"))
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.out().join(file)).unwrap()
    }

    /// All that was found, whatever it took: the table and the journals without their seconds.
    fn results(&self) -> (Vec<Vec<String>>, Vec<Value>) {
        let mut lines = Vec::new();
        for file in ["journal.jsonl", "tuning.jsonl", "sanity.jsonl"] {
            if self.out().join(file).is_file() {
                lines.extend(timeless_lines(&self.text(file)));
            }
        }
        lines.sort_by_key(Value::to_string);
        (untimed_table(&self.text("table.csv")), lines)
    }
}

const SANITY: &str = "sanity = { samples = 3 }";
const TUNED: &str = r#"
[experiment.tuning.dataset]
component = "phantom"
params = { split = "train" }
samples = 6
[[experiment.methods]]
component = "gradcam"
name = "tuned"
sweep = { layer = [0, 1] }
"#;

#[test]
fn an_experiment_is_run_to_a_report() {
    let lab = Lab::new(6, "toy", METHODS, "curves = { samples = 2 }", "");
    let ran = lab.run();
    assert_eq!(ran.code, 0, "{ran:?}");
    for file in [
        "plan.json",
        "journal.jsonl",
        "table.md",
        "table.csv",
        "results.parquet",
        "report.html",
    ] {
        assert!(lab.out().join(file).is_file(), "{file} is missing");
    }
    assert!(
        lab.out()
            .join("gallery/phantom-toy_nowhere-direct/0/occlusion.png")
            .is_file()
    );
    let journal = lab.text("journal.jsonl");
    assert_eq!(journal.lines().count(), 6);
    let record: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    let results = record["results"].as_array().unwrap();
    assert_eq!(results.len(), METHODS.len());
    for result in results {
        assert_eq!(result["status"], "scored", "{result}");
        let metrics = &result["metrics"];
        let iou = metrics["iou"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&iou));
        let has_map = result["method"] == "occlusion" || result["method"] == "gradcam";
        assert_eq!(metrics.get("auprc").is_some(), has_map, "{result}");
    }
    // The whole image finds everything, and whatever else there is.
    let whole = &results[2]["metrics"];
    assert_eq!(whole["recall"], 1.0);
    assert_eq!(whole["iou"], whole["precision"]);

    // Once more changes nothing; nor does the report alone.
    let before = lab.results();
    let again = lab.run();
    assert!(
        again.out.contains("6 samples were there already"),
        "{again:?}"
    );
    assert_eq!(lab.results(), before);
    let html = lab.text("report.html");
    std::fs::remove_file(lab.out().join("report.html")).unwrap();
    let reported = run(medfocus().arg("report").arg(lab.out()));
    assert_eq!(reported.code, 0, "{reported:?}");
    assert_eq!(lab.text("report.html"), html);
}

#[test]
fn an_ablation_shows_every_value_beside_the_default() {
    let ablated = "[[experiment.methods]]\ncomponent = \"occlusion\"\nablate = { baseline = [\"zero\", \"mean\", \"blur\"] }\n";
    let lab = Lab::new(6, "toy", &["whole_image", "gradcam"], "", ablated);
    let ran = lab.run();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out
            .contains("occlusion baseline=mean  as occlusion, but {\"baseline\":\"mean\"}"),
        "{ran:?}"
    );
    let before = lab.results();
    let column = |table: &[Vec<String>], name: &str| {
        let csv = lab.text("table.csv");
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let names = reader
            .headers()
            .unwrap()
            .iter()
            .filter(|n| !n.contains("seconds"));
        let at = names.clone().position(|column| column == name).unwrap();
        table.iter().map(|row| row[at].clone()).collect::<Vec<_>>()
    };
    let methods = [
        "gradcam",
        "occlusion",
        "occlusion baseline=mean",
        "occlusion baseline=blur",
        "whole_image",
    ];
    assert_eq!(column(&before.0, "method"), methods, "zero is the default");
    let beside = ["", "", "occlusion", "occlusion", ""];
    assert_eq!(column(&before.0, "reference"), beside);

    // What is compared may change later: no sample runs again.
    let again = run(lab
        .command("run")
        .args(["--set", "experiment.compare=\"occlusion\""]));
    assert_eq!(again.code, 0, "{again:?}");
    assert!(
        again.out.contains("6 samples were there already"),
        "{again:?}"
    );
    let after = lab.results();
    assert_eq!(after.1, before.1);
    let beside = ["occlusion", "", "occlusion", "occlusion", ""];
    assert_eq!(column(&after.0, "reference"), beside);
}

#[test]
fn the_same_config_gives_the_same_results_with_any_number_of_workers() {
    let alone = Lab::new(8, "toy", METHODS, SANITY, TUNED);
    let together = Lab::new(
        8,
        "toy",
        METHODS,
        "workers = 3\nsanity = { samples = 3 }",
        TUNED,
    );
    for lab in [&alone, &together] {
        let ran = lab.run();
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(alone.results(), together.results());
}

#[test]
fn fifty_kills_change_nothing() {
    let whole = Lab::new(
        150,
        "toy",
        METHODS,
        "workers = 2\nsanity = { samples = 3 }",
        TUNED,
    );
    let begin = Instant::now();
    let ran = whole.run();
    assert_eq!(ran.code, 0, "{ran:?}");
    // Kills at any moment of a run, however fast the machine is.
    let span = begin.elapsed();

    let killed = Lab::new(
        150,
        "toy",
        METHODS,
        "workers = 2\nsanity = { samples = 3 }",
        TUNED,
    );
    let command = || killed.command("run");
    kill_at_random(50, command, span, &killed.out(), "journal.jsonl", 150);
    let ran = killed.run();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(killed.results(), whole.results());
}

#[test]
fn an_interrupt_stops_and_the_same_command_goes_on() {
    let whole = Lab::new(200, "toy", METHODS, "", "");
    assert_eq!(whole.run().code, 0);
    let stopped = Lab::new(200, "toy", METHODS, "", "");
    let mut child = stopped
        .command("run")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    written(&mut child, &stopped);
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(
        said.contains("cancelled; the same command goes on from here"),
        "{said}"
    );
    let ran = stopped.run();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(stopped.results(), whole.results());
}

#[test]
fn a_full_disk_loses_nothing() {
    let whole = Lab::new(200, "toy", METHODS, "", "");
    assert_eq!(whole.run().code, 0);
    let full = Lab::new(200, "toy", METHODS, "", "");
    // The shell becomes the program, which then gets an error where others would get a signal.
    let command = full.command("run");
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(medfocus_tests::workspace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // In the middle of a line no file may grow any more.
    let length = written(&mut child, &full);
    let limited = Command::new("prlimit")
        .arg(format!("--pid={}", child.id()))
        .arg(format!("--fsize={}", length + 3000))
        .status();
    assert!(limited.unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let failures = said.lines().filter(|line| line.starts_with("medfocus: "));
    assert_eq!(failures.count(), 1, "{said}");
    assert!(said.contains("cannot write"), "{said}");
    let ran = full.run();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(" samples were there already"), "{ran:?}");
    assert_eq!(full.results(), whole.results());
}

/// Waits for the first samples in the journal of a running lab; the journal's length.
fn written(child: &mut Child, lab: &Lab) -> u64 {
    let journal = lab.out().join("journal.jsonl");
    loop {
        let length = std::fs::metadata(&journal).map_or(0, |file| file.len());
        if length > 0 {
            return length;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn failing_samples_are_records_up_to_a_limit() {
    let methods = ["whole_image", "panics_in_call"];
    let stopped = Lab::new(9, "toy", &methods, "max_failures = 3", "");
    stopped
        .run()
        .one_sentence(&["4 samples failed", "panicked", "max_failures"]);
    assert_eq!(stopped.text("journal.jsonl").lines().count(), 4);

    let patient = Lab::new(4, "toy", &methods, "", "");
    let ran = patient.run();
    assert_eq!(ran.code, 1, "{ran:?}");
    let record: Value =
        serde_json::from_str(patient.text("journal.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(
        record["results"][0]["status"], "scored",
        "one method's failure is not the other's"
    );
    assert_eq!(record["results"][1]["status"], "failed");
    assert!(patient.text("report.html").contains("panicked"));

    let again = run(patient.command("run").arg("--retry-failed"));
    assert_eq!(again.code, 1);
    assert_eq!(
        patient.text("journal.jsonl").lines().count(),
        8,
        "each was done again"
    );
    let rows = untimed_table(&patient.text("table.csv")).len();
    assert_eq!(rows, methods.len(), "and counts once");
}

#[test]
fn what_cannot_be_is_refused_before_anything_runs() {
    let refused = Lab::new(3, "black_box", &["whole_image", "occlusion"], "", "");
    refused
        .run()
        .one_sentence(&["occlusion", "black_box", "can score", "experiment.misfits"]);
    assert!(!refused.out().join("journal.jsonl").exists());

    let skipped = Lab::new(
        3,
        "black_box",
        &["whole_image", "occlusion"],
        "misfits = \"skip\"",
        "",
    );
    let ran = skipped.run();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        skipped
            .text("table.md")
            .contains("needs a model that can score")
    );

    for (more, rest, words) in [
        ("modes = []", "", "`experiment.modes` is empty"),
        ("grid = \"paired\"\nmode = [\"direct\"]", "", "mode"),
        (
            "",
            "[[experiment.methods]]\ncomponent = \"whole_image\"\n",
            "two methods are called `whole_image`",
        ),
        (
            "",
            "[[experiment.methods]]\ncomponent = \"gradcam\"\nsweep = { layer = [0] }\n",
            "experiment.tuning.dataset",
        ),
        (
            "",
            "[experiment.tuning]\nmetric = \"ioo\"\ndataset = { component = \"phantom\" }\n",
            "did you mean `iou`",
        ),
        (
            "",
            "[experiment.tuning]\ndataset = { component = \"phantom\" }\n",
            "two datasets are called `phantom`",
        ),
        (
            "compare = \"whole_imaeg\"",
            "",
            "`experiment.compare` is `whole_imaeg`, but no method is called so; did you mean `whole_image`?",
        ),
        (
            "",
            "[[experiment.methods]]\ncomponent = \"occlusion\"\nablate = { gird = [4] }\n",
            "method `occlusion` ablates `gird`, but `occlusion` has no such parameter",
        ),
        (
            "",
            "[[experiment.methods]]\ncomponent = \"occlusion\"\nparams = { cells = 0 }\n",
            "method `occlusion`: parameter `cells` must lie in",
        ),
        (
            "misfits = \"skip\"",
            "[[experiment.methods]]\ncomponent = \"occlusion\"\nparams = { clels = 4 }\n",
            "did you mean `cells`?",
        ),
        (
            "",
            "[[experiment.methods]]\ncomponent = \"occlusion\"\nsweep = { cells = [4, 0] }\n\
             [experiment.tuning.dataset]\ncomponent = \"phantom\"\nparams = { split = \"train\" }\n",
            "sweep: method `occlusion`: parameter `cells` must lie in",
        ),
        (
            "",
            "[[experiment.methods]]\ncomponent = \"occlusion\"\nsweep = { tokens = ['90..91', '91..92'] }\n\
             [experiment.tuning.dataset]\ncomponent = \"phantom\"\nparams = { split = \"train\" }\n\
             samples = 2\n",
            "the parameters of `occlusion` cannot be chosen for toy=nowhere, direct: no tuning sample was scored by all",
        ),
        (
            "",
            "[[experiment.methods]]\ncomponent = \"anatomy_prior\"\n",
            "slots.tuning.component",
        ),
    ] {
        let lab = Lab::new(3, "toy", &["whole_image"], more, rest);
        lab.run().one_sentence(&[words]);
    }
}

#[test]
fn a_model_is_known_by_its_digest_wherever_it_lies() {
    let lab = Lab::new(3, "toy", METHODS, "", "");
    let models = lab.folder.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let lie = |path: &str, more: &str| {
        let text = format!("component = \"toy\"\nparams = {{ path = {path:?}{more} }}\n");
        std::fs::write(models.join("small.toml"), text).unwrap();
        run(lab
            .command("run")
            .args(["--set", "experiment.models=[\"small\"]", "--set"])
            .arg(format!("model_folders=[{models:?}]")))
    };
    assert_eq!(lie("here", "").code, 0);
    let moved = lie("there", "");
    assert_eq!(moved.code, 0, "{moved:?}");
    assert!(
        moved.out.contains("3 samples were there already"),
        "{moved:?}"
    );
    lie("there", ", row = 3").one_sentence(&["differs in model small"]);

    let record: Value =
        serde_json::from_str(lab.text("journal.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(record["computed"]["device"], "cpu");
    assert_eq!(record["computed"]["dtype"], "f32");
}

#[test]
fn sanity_checks_explain_the_answers_of_the_journal() {
    let lab = Lab::new(4, "toy", &["occlusion"], "", "");
    assert_eq!(lab.run().code, 0);
    // The model would answer "Yes" again, and knows nothing else.
    let journal = lab.out().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(
        &journal,
        text.replace("\"answer\":\"Yes\"", "\"answer\":\"Perhaps\""),
    )
    .unwrap();
    let checked = run(lab
        .command("run")
        .args(["--set", "experiment.sanity={samples=1,randomise=[]}"]));
    assert_eq!(checked.code, 0, "{checked:?}");
    let sanity = lab.text("sanity.jsonl");
    // The model itself still answers without the image.
    let (answers, explained): (Vec<&str>, Vec<&str>) =
        sanity.lines().partition(|line| line.contains("no_image"));
    assert!(!explained.is_empty());
    for line in &explained {
        assert!(line.contains("only knows the answer `Yes`"), "{line}");
    }
    assert!(!answers.is_empty());
    for line in answers {
        assert!(line.contains("\"same\":false"), "{line}");
    }
    assert!(lab.text("report.html").contains("only knows the answer"));

    // What failed is done again on demand, and counts once.
    std::fs::write(&journal, text).unwrap();
    let again = run(lab
        .command("run")
        .arg("--retry-failed")
        .args(["--set", "experiment.sanity={samples=1,randomise=[]}"]));
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(
        lab.text("sanity.jsonl").lines().count(),
        sanity.lines().count() + explained.len()
    );
    assert!(!lab.text("report.html").contains("only knows the answer"));
}

#[test]
fn another_experiment_does_not_go_into_the_same_folder() {
    let lab = Lab::new(3, "toy", METHODS, "", "");
    assert_eq!(lab.run().code, 0);
    let before = lab.results();
    run(lab.command("run").args(["--set", "seed=8"]))
        .one_sentence(&["differs in seed", "experiment.out"]);
    assert_eq!(lab.results(), before);
    // More modes are more cells of the same experiment.
    let more = run(lab
        .command("run")
        .args(["--set", "experiment.modes=[\"direct\", \"reasoning\"]"]));
    assert_eq!(more.code, 0, "{more:?}");
    assert!(
        more.out.contains("3 samples were there already"),
        "{more:?}"
    );
}

#[test]
fn a_plan_says_what_will_be_done_and_what_it_costs() {
    let lab = Lab::new(5, "toy", METHODS, SANITY, TUNED);
    let planned = run(&mut lab.command("plan"));
    assert_eq!(planned.code, 0, "{planned:?}");
    for words in [
        "5 samples  phantom  toy=nowhere  direct  5 methods",
        "\"cells\":8",
        "2 candidates",
        "About",
    ] {
        assert!(planned.out.contains(words), "no `{words}` in {planned:?}");
    }
    assert_eq!(lab.text("tasks.jsonl").lines().count(), 5);
    assert!(
        !lab.out().join("journal.jsonl").exists(),
        "a plan runs nothing"
    );
    let plan: Value = serde_json::from_str(&lab.text("plan.json")).unwrap();
    let methods: BTreeMap<_, _> = plan["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| {
            (
                method["name"].as_str().unwrap(),
                method["control"].as_bool().unwrap(),
            )
        })
        .collect();
    assert!(methods["whole_image"] && methods["random_boxes"] && !methods["occlusion"]);

    // Beside results a plan is shown and not kept.
    assert_eq!(lab.run().code, 0);
    let kept = lab.text("plan.json");
    let more = run(lab
        .command("plan")
        .args(["--no-estimate", "--set", "experiment.gallery=0"]));
    assert_eq!(more.code, 0, "{more:?}");
    assert_eq!(lab.text("plan.json"), kept);
}

#[test]
fn what_was_measured_once_is_planned_with_anywhere() {
    let lab = Lab::new(5, "toy", METHODS, "", TUNED);
    let file = lab.folder.path().join("calibration.json");
    let mut command = medfocus();
    command.args(["bench", "toy=nowhere", "--config"]);
    command.arg(lab.folder.path().join("lab.toml"));
    let measured = run(command.arg("--out").arg(&file));
    assert_eq!(measured.code, 0, "{measured:?}");
    assert!(measured.out.contains("toy=nowhere on "), "{measured:?}");
    assert!(!lab.out().exists(), "it writes its file alone");

    let text = std::fs::read_to_string(&file).unwrap();
    let mut calibration: Value = serde_json::from_str(&text).unwrap();
    assert!(calibration["machine"]["cores"].as_u64() > Some(0));
    assert!(calibration["peak"].as_u64() > Some(1 << 20));
    let cell = &mut calibration["cells"][0];
    cell["answer"] = 0.5.into();
    let methods = cell["methods"].as_array_mut().unwrap();
    let names: Vec<_> = methods
        .iter()
        .map(|m| m["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, [METHODS, &["tuned"]].concat());
    for (method, seconds) in methods.iter_mut().zip([60.0, 6.0, 0.0, 0.0, 30.0]) {
        assert!(method["seconds"].as_f64() > Some(0.0), "{method}");
        method["seconds"] = seconds.into();
    }
    methods[0]["peak"] = (3_u64 << 30).into();
    std::fs::write(&file, calibration.to_string()).unwrap();

    // Five samples of 0.5 + 60 + 6 + 30 seconds, six of tuning of 0.5 + 2 x 30.
    let plan = |more: &[&str]| {
        let mut command = lab.command("plan");
        command.arg("--calibration").arg(&file);
        run(command.args(more))
    };
    let planned = plan(&[]);
    assert_eq!(planned.code, 0, "{planned:?}");
    for words in [
        "8.0 min on one worker, 3072 MiB at most",
        "6.0 min of tuning",
        "About 14.1 min with 1 workers",
    ] {
        assert!(planned.out.contains(words), "no `{words}` in {planned:?}");
    }
    // What does other work was not measured.
    let methods = "experiment.methods=[{component=\"occlusion\", params={cells=3}}]";
    let other = plan(&["--set", methods]);
    assert!(other.out.contains("not measured"), "{other:?}");
    assert!(other.out.contains("About 0.0 min"), "{other:?}");

    let twice = file.to_str().unwrap();
    plan(&["--calibration", twice]).one_sentence(&["toy=nowhere", "in two places"]);
    std::fs::write(&file, "{}").unwrap();
    plan(&[]).one_sentence(&["calibration.json is no calibration", "medfocus bench"]);
}

#[test]
fn a_broken_journal_is_named() {
    let lab = Lab::new(3, "toy", METHODS, "", "");
    assert_eq!(lab.run().code, 0);
    let journal = lab.out().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("\"case\"", "\"cas\"", 1)).unwrap();
    lab.run().one_sentence(&["line 1 of", "journal.jsonl"]);
    run(medfocus().arg("report").arg(Path::new("/nonexistent")))
        .one_sentence(&["/nonexistent", "plan.json"]);
}
