//! Plugins in processes of their own, and what ends such a process.

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use medfocus::{
    config::Layers,
    isolation::{Isolated, Isolation},
    workbench::{Ready, Workbench},
};
use medfocus_plugin_api::{
    AttributionMethod, Error, ErrorKind, ScoreRequest, Task, VisionLanguageModel, testkit,
};
use medfocus_tests::{
    built, c_plugin, children, confines, medfocus, outside_plugin, run, timeless_lines,
};
use ndarray::{Array2, Ix2};
use serde_json::Value;

fn bench(isolation: Isolation) -> Workbench {
    let mut layers = Layers::load(None, &[]).unwrap();
    let plugins = &mut layers.config.plugins;
    plugins.paths = vec![outside_plugin(), built().join("plugins")];
    plugins.isolation = Isolation {
        program: Some(built().join("medfocus")),
        ..isolation
    };
    Workbench::new(layers)
}

fn everybody() -> Isolation {
    Isolation {
        of: Isolated::Everybody,
        sandbox: confines(),
        ..Isolation::default()
    }
}

fn toy(bench: &Workbench) -> Ready {
    bench.model("toy=nowhere", None).unwrap()
}

fn task() -> Task {
    let pixels = Array2::from_shape_fn((224, 224), |(y, x)| ((x * 3 + y * 5) % 251) as u8);
    testkit::toy_task(pixels).unwrap()
}

#[test]
fn what_runs_apart_finds_the_same() {
    let found = |isolation: Isolation| {
        let bench = bench(isolation);
        let model = toy(&bench);
        let mut found = Vec::new();
        for name in ["occlusion", "gradcam", "rise", "outside_centre"] {
            let method = bench.method(name, &model).unwrap();
            bench.session.take_ledger();
            let attribution = method.client().attribute(&task()).unwrap();
            let calls = bench.session.take_ledger().into_iter();
            let calls: Vec<_> = calls.map(|(name, n)| (name, n.calls, n.tensors)).collect();
            let heat = attribution.heat.map(|heat| heat.view().to_owned());
            found.push((
                heat,
                attribution.evidence,
                attribution.boxes.is_some(),
                calls,
            ));
        }
        found
    };
    assert_eq!(found(everybody()), found(Isolation::default()));
}

#[test]
fn what_a_component_says_wrong_comes_back_as_it_was_said() {
    let bench = bench(everybody());
    let model = toy(&bench);
    let asked = |name: &str| {
        bench
            .method(name, &model)
            .unwrap()
            .client()
            .attribute(&task())
    };
    let error = bench.method("panics_in_new", &model).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Panicked);
    assert!(error.message.contains("no construction today"), "{error}");
    let error = asked("panics_in_call").unwrap_err();
    assert!(error.message.contains("lost the thread"), "{error}");
    asked("panics_in_drop").unwrap();
    let request = ScoreRequest::new(vec![task().image], "?", "Maybe");
    let error = model.client().score(&request).unwrap_err();
    assert_eq!(error.message, "the toy model only knows the answer `Yes`");
}

/// What comes of asking a misbehaving method, and that all else goes on.
fn fate(isolation: Isolation, name: &str) -> Error {
    let bench = bench(isolation);
    let model = toy(&bench);
    let error = match bench.method(name, &model) {
        Ok(method) => method.client().attribute(&task()).unwrap_err(),
        Err(error) => error,
    };
    let centre = bench.method("outside_centre", &model).unwrap();
    assert!(centre.client().attribute(&task()).unwrap().boxes.is_some());
    let request = ScoreRequest::new(vec![task().image], "?", "Yes");
    let scores = model.client().score(&request).unwrap();
    assert_eq!(
        scores.log_probs.view_nd::<f32, Ix2>().unwrap().dim(),
        (1, 1)
    );
    error
}

#[test]
fn what_ends_a_process_ends_that_one_alone() {
    let short = Isolation {
        seconds: 10,
        memory_mib: 512,
        ..everybody()
    };
    for (name, words) in [
        ("exits", "`exits` ended its process with exit code 0"),
        ("aborts", "`aborts` was ended by signal 6 (abort)"),
        (
            "aborts_in_new",
            "`aborts_in_new` was ended by signal 6 (abort)",
        ),
        ("overflows", "`overflows` was ended by signal"),
        ("hangs", "`hangs` took longer than 10 s"),
        ("spins", "`spins` took longer than 10 s"),
        ("devours", "`devours` was ended by signal 6 (abort)"),
    ] {
        let begin = Instant::now();
        let error = fate(short.clone(), name);
        assert_eq!(error.kind, ErrorKind::Panicked, "{name}: {error}");
        assert!(error.message.contains(words), "{name}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(120), "{name}");
    }
}

#[test]
fn the_next_call_finds_another_process_until_it_is_too_much() {
    let bench = bench(everybody());
    let model = toy(&bench);
    let exits = bench.method("exits", &model).unwrap();
    let mut ends: Vec<String> = (0..6)
        .map(|_| exits.client().attribute(&task()).unwrap_err().message)
        .collect();
    let last = ends.pop().unwrap();
    assert!(
        ends.iter().all(|end| end.ends_with("exit code 0")),
        "{ends:?}"
    );
    assert!(
        last.ends_with("5 times in a row and is not started again"),
        "{last}"
    );
}

#[test]
fn whoever_does_not_stop_is_stopped() {
    let bench = bench(everybody());
    let model = toy(&bench);
    let hangs = bench.method("hangs", &model).unwrap();
    let session = bench.session.clone();
    let user = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        session.cancel();
    });
    let begin = Instant::now();
    let error = hangs.client().attribute(&task()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert!(begin.elapsed() < Duration::from_secs(15));
    user.join().unwrap();
}

#[test]
fn a_sandbox_has_no_files_no_network_and_no_programs() {
    let open = Isolation {
        sandbox: false,
        ..everybody()
    };
    if !confines() {
        // A sandbox with a hole is none: nothing runs in it.
        let whole = Isolation {
            sandbox: true,
            ..everybody()
        };
        let error = bench(whole).model("toy=nowhere", None).err().unwrap();
        assert!(
            error.to_string().contains("cannot confine plugins"),
            "{error}"
        );
        return;
    }
    let secret = std::env::temp_dir().join("medfocus-outside-writes");
    for name in ["writes", "calls", "runs"] {
        let error = fate(everybody(), name);
        assert!(
            error.message.starts_with("it was kept from that"),
            "{name}: {error}"
        );
        assert!(!secret.exists());
        let error = fate(open.clone(), name);
        assert_eq!(error.message, "nobody kept it from that", "{name}");
        let _ = std::fs::remove_file(&secret);
    }
    let named = Isolation {
        writable: vec![std::env::temp_dir()],
        ..everybody()
    };
    assert_eq!(fate(named, "writes").message, "nobody kept it from that");
    std::fs::remove_file(&secret).unwrap();
}

#[test]
fn a_flood_of_words_is_cut() {
    let bench = bench(everybody());
    let model = toy(&bench);
    let chatters = bench.method("chatters", &model).unwrap();
    let begin = Instant::now();
    assert!(
        chatters
            .client()
            .attribute(&task())
            .unwrap()
            .boxes
            .is_some()
    );
    assert!(begin.elapsed() < Duration::from_secs(60));
}

/// A config with these methods on three phantoms.
fn config(folder: &Path, isolation: &str, methods: &[&str]) -> std::path::PathBuf {
    let (out, file) = (folder.join("out"), folder.join("lab.toml"));
    let plugins = [outside_plugin(), built().join("plugins")];
    let methods: String = methods
        .iter()
        .map(|name| format!("[[experiment.methods]]\ncomponent = \"{name}\"\n"))
        .collect();
    let text = format!(
        "[plugins]\npaths = {plugins:?}\nisolation = {{ {isolation} }}\n[experiment]\nname = \"lab\"\nout = {out:?}\n\
         models = [\"toy=nowhere\"]\ngallery = 0\n[[experiment.datasets]]\ncomponent = \"phantom\"\nsamples = 3\n{methods}"
    );
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_run_survives_what_its_methods_do_to_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = confines();
    let of = format!("of = \"third_party\", seconds = 10, memory_mib = 512, sandbox = {sandbox}");
    let methods = ["occlusion", "exits", "hangs", "devours", "outside_centre"];
    let file = config(folder.path(), &of, &methods);
    let ran = run(medfocus().arg("run").arg(file));
    assert_eq!(ran.code, 1, "{ran:?}");
    let journal = std::fs::read_to_string(folder.path().join("out/journal.jsonl")).unwrap();
    let records = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records: Vec<_> = records.collect();
    assert_eq!(records.len(), 3);
    for record in &records {
        let status = |at: usize| record["results"][at]["status"].as_str().unwrap();
        let found = [0, 1, 2, 3, 4].map(status);
        assert_eq!(
            found,
            ["scored", "failed", "failed", "failed", "scored"],
            "{record}"
        );
    }
}

#[test]
fn a_run_goes_on_beside_methods_that_crash() {
    let folder = tempfile::tempdir().unwrap();
    let of = format!("of = \"third_party\", sandbox = {}", confines());
    let methods = ["occlusion", "overflows", "panics_elsewhere"];
    let file = config(folder.path(), &of, &methods);
    let faults = ["segmentation", "exit at once"].map(|fault| {
        format!("[[experiment.methods]]\ncomponent = \"c_faults\"\nname = {fault:?}\nparams = {{ fault = {fault:?} }}\n")
    });
    let text = std::fs::read_to_string(&file).unwrap() + &faults.concat();
    std::fs::write(&file, text).unwrap();
    let plugin = c_plugin(folder.path(), &["faults.c"], &[]);
    let ran = run(medfocus().arg("run").arg(file).arg("--plugins").arg(plugin));
    assert_eq!(ran.code, 1, "{ran:?}");
    let journal = std::fs::read_to_string(folder.path().join("out/journal.jsonl")).unwrap();
    assert_eq!(journal.lines().count(), 3);
    for record in timeless_lines(&journal) {
        let result = |at: usize| &record["results"][at];
        let status = |at: usize| result(at)["status"].as_str().unwrap();
        let found = [0, 1, 2, 3, 4].map(status);
        let expected = ["scored", "failed", "scored", "failed", "failed"];
        assert_eq!(found, expected, "{record}");
        for (at, words) in [
            (3, "ended by signal 11 (segmentation fault)"),
            (4, "ended its process with exit code 0"),
        ] {
            let error = result(at)["error"].to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}

#[test]
fn a_run_goes_through_all_its_stages_apart() {
    let found = |of: &str| {
        let folder = tempfile::tempdir().unwrap();
        let isolation = format!("of = \"{of}\", sandbox = {}", confines());
        let file = config(folder.path(), &isolation, &["occlusion"]);
        let tuned = "[[experiment.methods]]\ncomponent = \"gradcam\"\nsweep = { layer = [0, 1] }\n\
                     [experiment.tuning.dataset]\ncomponent = \"phantom\"\nparams = { split = \"train\" }\nsamples = 4\n\
                     [experiment.sanity]\nsamples = 2\n";
        let text = std::fs::read_to_string(&file).unwrap() + tuned;
        std::fs::write(&file, text).unwrap();
        let ran = run(medfocus().arg("run").arg(file));
        assert_eq!(ran.code, 0, "{ran:?}");
        let read = |name: &str| {
            timeless_lines(&std::fs::read_to_string(folder.path().join("out").join(name)).unwrap())
        };
        ["journal.jsonl", "tuning.jsonl", "sanity.jsonl"].map(read)
    };
    assert_eq!(found("everybody"), found("nobody"));
}

#[test]
fn a_host_that_is_killed_takes_its_plugins_along() {
    let folder = tempfile::tempdir().unwrap();
    let isolation = format!("of = \"third_party\", sandbox = {}", confines());
    let file = config(folder.path(), &isolation, &["hangs"]);
    let mut host = medfocus().arg("run").arg(file).spawn().unwrap();
    let until = |done: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !done() {
            assert!(begin.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(20));
        }
    };
    // The model's and the method's.
    until(&|| children(host.id()).len() == 2);
    let plugins = children(host.id());
    host.kill().unwrap();
    host.wait().unwrap();
    let lives = |number: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        stat.contains("(medfocus)") && !stat.contains(") Z")
    };
    until(&|| !plugins.iter().any(lives));
}

#[test]
fn a_plugin_does_not_end_a_run_in_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = config(folder.path(), "", &["occlusion", "exits"]);
    let ended = |command: &mut Command| {
        let ran = run(command);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("a plugin ended the program"), "{ran:?}");
    };
    ended(medfocus().arg("run").arg(&file));

    // Nor by `_exit`, after which nothing of the program runs.
    let plugin = c_plugin(folder.path(), &["faults.c"], &[]);
    let methods = "experiment.methods=[{component=\"c_faults\", params={fault=\"exit at once\"}}]";
    let out = format!("experiment.out={:?}", folder.path().join("other"));
    let mut command = medfocus();
    command.arg("run").arg(&file).arg("--plugins").arg(plugin);
    ended(command.args(["--set", methods, "--set", &out]));
}

#[test]
fn the_host_of_a_plugin_is_nothing_to_call_by_hand() {
    let ran = run(medfocus()
        .arg("plugin-host")
        .stdin(std::process::Stdio::null()));
    ran.one_sentence(&["`plugin-host` is started by medfocus itself"]);
}
