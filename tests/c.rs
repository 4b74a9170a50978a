//! Plugins in plain C, built with `cc`, through the real loader: a whole one, and one that breaks every rule of the header.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    path::Path,
    sync::atomic::{AtomicI64, Ordering::SeqCst},
    thread,
};

use medfocus::{
    config::Layers,
    workbench::{Ready, Workbench},
};
use medfocus_plugin_api::{AttributionMethod, Error, ErrorKind, Task, Tensor, testkit};
use medfocus_tests::{bright_cell, built, c_plugin, medfocus, outside_plugin, run, workspace};
use ndarray::Array2;
use serde_json::{Value, json};

/// The system's allocator, which counts what this thread holds.
struct Watched;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn count(by: i64) {
    // A thread that ends frees what was in its locals.
    let _ = HELD.try_with(|held| held.set(held.get() + by));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1);
        // SAFETY: as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-1);
        // SAFETY: as it came.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Allocations in C, as `held.c` counts them: held now, and ever.
type Counts = [AtomicI64; 2];

/// A plugin whose allocations are counted there.
fn counted(folder: &Path, source: &str, counts: &'static Counts) -> std::path::PathBuf {
    let place = format!("-DCOUNTS={:#x}", counts.as_ptr().addr());
    let wrap = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=free";
    c_plugin(folder, &[source, "held.c"], &[&place, wrap])
}

fn bench(plugin: &Path) -> (Workbench, Ready) {
    let bench = workbench(&[plugin, &outside_plugin()]);
    let model = bench.model("toy=nowhere", None).unwrap();
    (bench, model)
}

fn workbench(plugins: &[&Path]) -> Workbench {
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = plugins.iter().map(|path| path.to_path_buf()).collect();
    Workbench::new(layers)
}

fn method(bench: &mut Workbench, model: &Ready, name: &str, params: Value) -> Result<Ready, Error> {
    bench.layers.config.method = serde_json::from_value(params).unwrap();
    bench.method(name, model)
}

fn task() -> Task {
    testkit::toy_task(Array2::from_shape_fn((224, 224), |(y, x)| {
        ((3 * x + 5 * y) % 251) as u8
    }))
    .unwrap()
}

#[test]
fn it_is_listed_without_being_opened() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = c_plugin(folder.path(), &["occlusion.c"], &[]);
    let ran = |arguments: &[&str]| {
        let ran = run(medfocus()
            .args(arguments)
            .arg(&plugin)
            .env("LD_DEBUG", "files"));
        assert_eq!(ran.code, 0, "{ran:?}");
        (ran.err.contains("/proc/self/fd/"), ran.out)
    };
    let (opened, listed) = ran(&["plugins", "list", "--plugins"]);
    assert!(!opened && listed.contains("c_occlusion"), "{listed}");
    let (opened, described) = ran(&["plugins", "describe", "c_occlusion", "--plugins"]);
    assert!(!opened, "{described}");
    assert!(described.contains("cells = 8, 1 to 224"), "{described}");
    let (opened, checked) = ran(&["plugins", "check"]);
    assert!(
        opened && checked.starts_with("ok medfocus-c-occlusion 1.0.0"),
        "{checked}"
    );
}

#[test]
fn a_build_that_is_not_pinned_stays_shut() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = c_plugin(folder.path(), &["occlusion.c"], &[]);
    let check = |pin: &str| {
        run(medfocus()
            .args(["plugins", "check", "--set"])
            .arg(format!("plugins.pins.medfocus-c-occlusion=\"{pin}\""))
            .arg(&plugin))
    };
    let digest = format!("blake3:{}", blake3::hash(&fs::read(&plugin).unwrap()));
    assert_eq!(check(&digest).code, 0);
    let refused = check("blake3:00");
    assert_eq!(refused.code, 1);
    assert!(refused.out.contains(&digest), "{refused:?}");
}

#[test]
fn the_program_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = c_plugin(folder.path(), &["occlusion.c"], &[]);
    let out = folder.path().join("out");
    let attribute = |set: &str, log: &str| {
        run(medfocus()
            .args([
                "attribute",
                "--model",
                "toy=nowhere",
                "--method",
                "c_occlusion",
            ])
            .args([
                "--question",
                "Is there a bright spot?",
                "--set",
                set,
                "--plugins",
            ])
            .arg(&plugin)
            .arg("--plugins")
            .arg(outside_plugin())
            .arg("--image")
            .arg(bright_cell(folder.path(), 2, 5))
            .arg("--out")
            .arg(&out)
            .env("MEDFOCUS_LOG", log)
            .env("NO_COLOR", "1"))
    };
    attribute("cells=0", "warn").one_sentence(&["`cells`", "lie in 1 to 224"]);
    let ran = attribute("cells=8", "medfocus=debug");
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = |line: &&str| line.contains("all images are scored");
    let line = ran.err.lines().find(line).expect("the line is shown");
    assert!(
        line.contains("c_occlusion") && line.contains("occlusion.c"),
        "{line}"
    );
    let record: Value =
        serde_json::from_slice(&fs::read(out.join("attribution.json")).unwrap()).unwrap();
    assert_eq!(
        record["boxes"][0]["native"]["corners"],
        json!([140, 56, 168, 84]),
        "{record}"
    );
    assert_eq!(record["boxes"].as_array().unwrap().len(), 1);
    assert_eq!(record["method"]["params"]["cells"], 8);
    assert_eq!(record["method"]["plugin"]["name"], "medfocus-c-occlusion");
    assert_eq!(record["evidence"]["images_scored"], 65);
    let scored = record["calls"]["model.score"]["tensors"].as_u64();
    assert!(scored.unwrap() >= 65, "{record}");
}

#[test]
fn its_map_is_that_of_the_method_in_rust() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = workbench(&[
        &c_plugin(folder.path(), &["occlusion.c"], &[]),
        &outside_plugin(),
        &built().join("plugins"),
    ]);
    // The toy looks at one cell; random weights answer in several tokens, to which hiding a cell may also add.
    let random = workspace().join("tests/fixtures/gemma3/hub");
    let random = format!("gemma3={}", random.display());
    // 13 and 23 do not divide the image evenly.
    for (model, answer, cells) in [
        ("toy=nowhere", "Yes", 1_u64),
        ("toy=nowhere", "Yes", 8),
        ("toy=nowhere", "Yes", 23),
        (&random, "No, there is none", 4),
        (&random, "No, there is none", 13),
    ] {
        let model = bench.model(model, Some("cpu")).unwrap();
        let mut task = task();
        task.answer = answer.into();
        let map = |bench: &mut Workbench, name| {
            let method = method(bench, &model, name, json!({"cells": cells})).unwrap();
            method.client().attribute(&task).unwrap().heat.unwrap()
        };
        let rust = map(&mut bench, "occlusion");
        assert!(!rust.is_zero() || cells == 1);
        bench.session.take_ledger();
        let c = map(&mut bench, "c_occlusion");
        let scored = bench.session.take_ledger()["model.score"];
        let images = 1 + cells * cells;
        assert_eq!(
            (scored.calls, scored.tensors),
            (images.div_ceil(16), images)
        );
        let difference = (&c.view() - &rust.view()).fold(0f32, |most, d| most.max(d.abs()));
        assert!(
            difference <= 1e-6,
            "{answer}, {cells} cells: {difference:e}"
        );
    }
}

#[test]
fn several_threads_use_one_component() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, model) = bench(&c_plugin(folder.path(), &["occlusion.c"], &[]));
    let method = method(&mut bench, &model, "c_occlusion", json!({})).unwrap();
    let task = task();
    let alone = method.client().attribute(&task).unwrap().heat.unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let heat = method.client().attribute(&task).unwrap().heat.unwrap();
                    assert_eq!(heat.view(), alone.view());
                }
            });
        }
    });
}

#[test]
fn a_models_error_comes_through() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, model) = bench(&c_plugin(folder.path(), &["occlusion.c"], &[]));
    let method = method(&mut bench, &model, "c_occlusion", json!({})).unwrap();
    let mut task = task();
    task.answer = "No \"doubt\"".into();
    let error = method.client().attribute(&task).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(error.message, "the toy model only knows the answer `Yes`");
}

#[test]
fn cancelling_reaches_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, model) = bench(&c_plugin(folder.path(), &["faults.c"], &[]));
    let method = method(&mut bench, &model, "c_faults", json!({"fault": "wait"})).unwrap();
    // It asks the host whether to stop after each step it shows.
    let session = bench.session.clone();
    bench.session.on_progress(move |progress| {
        assert_eq!(progress.note, "waiting");
        if progress.done == 3 {
            session.cancel();
        }
    });
    let error = method.client().attribute(&task()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert_eq!(error.message, "put away half read");
}

#[test]
fn a_tensor_is_sent_on_without_a_copy() {
    static COUNTS: Counts = [const { AtomicI64::new(0) }; 2];
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, model) = bench(&counted(folder.path(), "faults.c", &COUNTS));
    let echo = method(&mut bench, &model, "c_faults", json!({"fault": "echo"})).unwrap();
    let task = task();
    let mask = echo.client().attribute(&task).unwrap().mask.unwrap();
    assert_eq!(mask.image().bytes().as_ptr(), task.image.bytes().as_ptr());
    // What it made itself was given back when the answer was read, although the tensor lives on.
    drop((echo, task));
    assert_eq!(COUNTS[0].load(SeqCst), 0);
    assert_eq!(mask.view()[(10, 20)], 3 * 20 + 5 * 10);
}

#[test]
fn broken_rules_are_refused_in_a_sentence_and_nothing_is_lost() {
    static COUNTS: Counts = [const { AtomicI64::new(0) }; 2];
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, model) = bench(&counted(folder.path(), "faults.c", &COUNTS));
    let task = task();
    let cases = [
        ("no answer", "`c_faults`: a message is missing"),
        ("no error", "`c_faults`: a message is missing"),
        ("error", "this film is too dark; expose it again"),
        ("unreadable error", "`c_faults`: an error cannot be read"),
        ("dtype", "a tensor handle has an unknown element type"),
        ("far dtype", "a tensor handle has an unknown element type"),
        ("overflow", "a tensor handle is larger than memory"),
        ("wide", "a tensor handle is larger than memory"),
        ("backwards", "a tensor handle runs backwards"),
        ("null data", "null or unaligned memory"),
        ("unaligned", "null or unaligned memory"),
        ("null shape", "the axes of a tensor are null or too many"),
        ("null strides", "the axes of a tensor are null or too many"),
        ("rank", "the axes of a tensor are null or too many"),
        ("small map", "a heat map has 224 x 224 values"),
        (
            "null tensors",
            "the tensors of a message are null or too many",
        ),
        (
            "many tensors",
            "the tensors of a message are null or too many",
        ),
        ("index", "the message has no tensor 2"),
        ("not json", "cannot read a message"),
        ("not utf-8", "a text is not UTF-8"),
        ("empty body", "a message is empty"),
        ("null body", "a text is null or too long"),
        ("long body", "a text is null or too long"),
        ("kept tensor", "a tensor has no release function"),
        ("kept message", "a message has no release function"),
        ("call with nothing", "a message is missing"),
        ("call of latin-1", "a text is not UTF-8"),
        ("call of null", "a text is null or too long"),
        ("call of nobody", "a call of the host lacks its `self`"),
        ("call for nothing", "the host refuses to answer nowhere"),
        ("create", "method `c_faults`: parameter `fault` asks for it"),
        (
            "create in silence",
            "method `c_faults`: a message is missing",
        ),
        (
            "create nothing",
            "method `c_faults`: its component lacks `invoke` or `drop`",
        ),
    ];
    for (fault, sentence) in cases {
        let made = method(&mut bench, &model, "c_faults", json!({"fault": fault}));
        let result = made.and_then(|faults| faults.client().attribute(&task));
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains(sentence) && error.lines().count() == 1,
            "{fault}: {error}"
        );
        assert_eq!(
            COUNTS[0].load(SeqCst),
            0,
            "{fault}: something is still held"
        );
    }
    assert!(COUNTS[1].load(SeqCst) > 50);
}

#[test]
fn a_root_that_breaks_the_rules_is_refused() {
    for (flag, words) in [
        ("-DEPOCH=9", ["root of epoch 9", "epoch 1"]),
        ("-DSIZE=8", ["root of 8 bytes", "sizeof(medfocus_root)"]),
        ("-DDESCRIBE=NULL", ["without `describe` or `create`", ""]),
        ("-DCREATE=NULL", ["without `describe` or `create`", ""]),
        ("-DDESCRIBE=lie", ["differently from its manifest", ""]),
        ("-DDESCRIBE=nothing", ["a text is null or too long", ""]),
        (
            "-Dmedfocus_plugin_root_c1=another_root",
            ["exports no root module", "in C define"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let plugin = c_plugin(folder.path(), &["faults.c"], &[flag]);
        let checked = run(medfocus().args(["plugins", "check"]).arg(&plugin));
        assert_eq!(checked.code, 1, "{flag}: {checked:?}");
        assert_eq!(checked.out.lines().count(), 1, "{flag}: {checked:?}");
        for word in words {
            assert!(checked.out.contains(word), "{flag}: {checked:?}");
        }
    }
}

/// What tells when a tensor's memory is no longer used.
struct Owner(&'static AtomicI64, Box<[u8]>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn nothing_is_left_of_many_rounds() {
    static COUNTS: Counts = [const { AtomicI64::new(0) }; 2];
    static OWNERS: AtomicI64 = AtomicI64::new(0);
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, model) = bench(&counted(folder.path(), "occlusion.c", &COUNTS));
    let round = |bench: &mut Workbench, cells: i64| {
        let method = method(bench, &model, "c_occlusion", json!({"cells": cells})).unwrap();
        OWNERS.fetch_add(1, SeqCst);
        let owner = Owner(&OWNERS, vec![100; 224 * 224].into());
        let data = owner.1.as_ptr();
        // SAFETY: the owner keeps the pixels.
        let image = unsafe { Tensor::from_raw(data, &[224, 224], &[224, 1], owner) };
        let mut task = task();
        let message = medfocus_plugin_api::Message::pack(&image).unwrap();
        task.image = message.unpack().unwrap();
        drop(image);
        assert!(method.client().attribute(&task).is_ok());
        // An error gives all back as well.
        task.answer = "No".into();
        assert!(method.client().attribute(&task).is_err());
        drop((method, task));
        assert_eq!(OWNERS.load(SeqCst), 0, "the image is still held");
        assert_eq!(COUNTS[0].load(SeqCst), 0, "C still holds memory");
    };
    // What is made once, such as the counts of calls, is there after the first rounds.
    (0..3).for_each(|_| round(&mut bench, 5));
    let before = HELD.get();
    (0..300).for_each(|_| round(&mut bench, 5));
    assert_eq!(
        HELD.get(),
        before,
        "the host holds more from round to round"
    );
    // Each round allocates at least an image for each of 26 variants.
    assert!(COUNTS[1].load(SeqCst) > 300 * 26);
}
