//! Methods in Python, as their authors meet them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use medfocus_tests::{
    Ran, User, bright_cell, built, confines, medfocus, outside_plugin, python, read_npy, run,
    workspace,
};
use ndarray::Array2;
use serde_json::Value;
use tempfile::TempDir;

/// A folder of plugins with a file of methods in it.
struct Author {
    folder: TempDir,
}

impl Author {
    fn new(file: &str, source: &str) -> Self {
        let author = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let path = author.folder.path().join(file);
        fs::write(&path, source).unwrap();
        let installed = author.install(&path);
        assert_eq!(installed.code, 0, "{installed:?}");
        author
    }

    fn install(&self, file: &Path) -> Ran {
        let mut command = Command::new(python());
        command.args(["-m", "medfocus", "install"]).arg(file);
        run(command.arg("--to").arg(self.plugins()))
    }

    fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn medfocus(&self, arguments: &[&str]) -> Command {
        let mut command = medfocus();
        command.args(arguments);
        let sandbox = format!("plugins.isolation.sandbox={}", confines());
        command.args(["--set", &sandbox]);
        for path in [self.plugins(), outside_plugin(), built().join("plugins")] {
            command.arg("--plugins").arg(path);
        }
        command
    }

    /// Explains the toy's answer about one bright cell.
    fn attribute(&self, method: &str, more: &[&str]) -> Ran {
        let image = bright_cell(self.folder.path(), 2, 5);
        let mut command =
            self.medfocus(&["attribute", "--model", "toy=nowhere", "--method", method]);
        command.args([
            "--question",
            "Is there evidence of a bright spot in the image?",
        ]);
        command
            .arg("--image")
            .arg(image)
            .arg("--out")
            .arg(self.out(method));
        run(command.args(more))
    }

    fn record(&self, method: &str) -> Value {
        let text = fs::read_to_string(self.out(method).join("attribution.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn heat(&self, method: &str) -> Array2<f32> {
        read_npy(&self.out(method).join("heatmap.npy"))
    }
}

fn occlusion() -> Author {
    let example = workspace().join("plugins/python/examples/py_occlusion.py");
    Author::new("py_occlusion.py", &fs::read_to_string(example).unwrap())
}

#[test]
fn a_method_in_python_finds_what_the_one_in_rust_finds() {
    let author = occlusion();
    for method in ["py_occlusion", "occlusion"] {
        let ran = author.attribute(method, &["--set", "cells=16"]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let (ours, theirs) = (author.heat("py_occlusion"), author.heat("occlusion"));
    let most = (&ours - &theirs)
        .mapv(f32::abs)
        .into_iter()
        .fold(0.0, f32::max);
    assert!(most < 1e-6, "{most}");
    let (ours, theirs) = (author.record("py_occlusion"), author.record("occlusion"));
    assert_eq!(ours["boxes"], theirs["boxes"]);
    assert_eq!(ours["method"]["params"]["cells"], 16);
    assert_eq!(ours["calls"]["model.score"]["tensors"], 2 + 257);
}

/// Needs an interpreter in which `captum` and `plugins/python` are installed: two gigabytes, so it is named by whoever has one.
#[test]
fn captum_integrates_the_gradients_of_a_backend() {
    let Some(python) = std::env::var_os("CAPTUM_PYTHON") else {
        eprintln!("nothing is tried: CAPTUM_PYTHON names no Python with Captum");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let example = workspace().join("plugins/python/examples/captum_gradients.py");
    let mut install = Command::new(python);
    install.args(["-m", "medfocus", "install"]).arg(example);
    let installed = run(install.arg("--to").arg(folder.path()));
    assert_eq!(installed.code, 0, "{installed:?}");
    let evidence = |method: &str| {
        let out = folder.path().join(method);
        let mut command = medfocus();
        command.args(["attribute", "--model", "phantom-gemma3", "--method", method]);
        command.args([
            "--set",
            "steps=36",
            "--question",
            "Is there evidence of a bright spot in the image?",
        ]);
        command.arg("--image").arg(bright_cell(folder.path(), 2, 5));
        let sandbox = format!("plugins.isolation.sandbox={}", confines());
        command
            .args(["--set", &sandbox, "--plugins"])
            .arg(folder.path());
        let ran = run(command.arg("--out").arg(&out));
        assert_eq!(ran.code, 0, "{ran:?}");
        let text = fs::read_to_string(out.join("attribution.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["evidence"].clone()
    };
    let sum = evidence("captum_gradients")["sum"].as_f64().unwrap();
    let ours = evidence("integrated_gradients");
    let difference = ours["completeness"]["difference"].as_f64().unwrap();
    // Complete but for the grey levels to which each step is rounded.
    assert!(
        (sum - difference).abs() < 0.2 * difference.abs(),
        "{sum} {difference}"
    );
}

#[test]
fn it_is_installed_like_a_library() {
    let author = occlusion();
    let described = |name: &str| author.plugins().join(format!("{name}.medfocus.json"));
    let user = User::new();
    for word in ["installed py-occlusion", "installed already: py-occlusion"] {
        let installed = user.installs(&described("py_occlusion"), &[]);
        assert!(installed.out.contains(word), "{installed:?}");
        assert_eq!(
            user.files(),
            ["py_occlusion.medfocus.json", "py_occlusion.py"]
        );
    }
    assert!(user.says(&["plugins", "list"]).out.contains("py_occlusion"));

    // Another one that would bring a file of the same name.
    let text = fs::read_to_string(described("py_occlusion")).unwrap();
    let other = text.replace("\"py-occlusion\"", "\"other\"");
    let other = other.replace("\"name\": \"py_occlusion\"", "\"name\": \"other\"");
    fs::write(described("other"), other).unwrap();
    user.installs(&described("other"), &[])
        .one_sentence(&["py_occlusion.py belongs to another plugin", "another name"]);

    let source = author.plugins().join("py_occlusion.py");
    fs::write(&source, "raise SystemExit").unwrap();
    user.installs(&described("py_occlusion"), &[])
        .one_sentence(&["another build", "--force"]);
    let replaced = user.installs(&described("py_occlusion"), &["--force"]);
    assert_eq!(replaced.code, 0, "{replaced:?}");
    let copy = user.folder().join("py_occlusion.py");
    assert_eq!(fs::read_to_string(copy).unwrap(), "raise SystemExit");
    assert_eq!(user.says(&["plugins", "remove", "py-occlusion"]).code, 0);
    assert!(user.files().is_empty());
}

#[test]
fn its_manifest_is_read_without_python() {
    let author = occlusion();
    let listed = run(author.medfocus(&["plugins", "list"]).env("PATH", ""));
    assert!(listed.out.contains("py_occlusion"), "{listed:?}");
    let described = run(&mut author.medfocus(&["plugins", "describe", "py_occlusion"]));
    for words in ["can score in slot `model`", "cells = 8, 1 to 224", "Zeiler"] {
        assert!(described.out.contains(words), "{described:?}");
    }
    author
        .attribute("py_occlusion", &["--set", "cells=0"])
        .one_sentence(&["py_occlusion", "cells", "1"]);
}

const ODD: &str = r#"
import os, socket, sys
import numpy as np
import medfocus

class Odd(medfocus.Method):
    "Misbehaves, for tests."
    name = "odd"
    how = medfocus.param("prints", "In which way.")

    def attribute(self, task):
        print("no part of the output")
        heat = np.zeros((224, 224))
        heat[56:84, 140:168] = 1
        if self.how == "raises":
            raise ValueError("no luck today")
        if self.how == "shape":
            heat = heat[:100]
        if self.how == "nan":
            heat[0, 0] = np.nan
        if self.how == "nothing":
            return None
        if self.how == "json":
            return medfocus.Attribution(heat=heat, evidence={"x": float("nan")})
        if self.how == "exits":
            sys.exit(0)
        if self.how == "ends":
            os._exit(0)
        if self.how == "spins":
            while True:
                pass
        if self.how == "calls":
            socket.create_connection(("127.0.0.1", 9))
        if self.how == "writes":
            open("/tmp/medfocus-python-writes", "w")
        if self.how == "asks":
            task.model.score([task.image], answer="Maybe")
        return medfocus.Attribution(heat=heat)
"#;

#[test]
fn what_goes_wrong_in_python_is_one_sentence() {
    let author = Author::new("odd.py", ODD);
    let fine = author.attribute("odd", &[]);
    assert_eq!(fine.code, 0, "{fine:?}");
    assert!(!fine.out.contains("no part of"), "{fine:?}");
    assert!(fine.err.contains("no part of"), "{fine:?}");
    for (how, words) in [
        (
            "raises",
            "`odd` raised ValueError: no luck today at odd.py:16",
        ),
        (
            "shape",
            "ValueError: a map of the working image is 224 x 224, not 100 x 224",
        ),
        ("nan", "negative or non-finite"),
        ("nothing", "TypeError: attribute() returned NoneType"),
        (
            "json",
            "ValueError: Out of range float values are not JSON compliant",
        ),
        ("exits", "SystemExit: 0 at odd.py:26"),
        ("ends", "`odd` ended its process with exit code 0"),
        ("spins", "`odd` took longer than 10 s"),
        ("calls", "Operation not permitted"),
        ("writes", "Permission denied"),
        ("asks", "the toy model only knows the answer `Yes`"),
    ] {
        if ["calls", "writes"].contains(&how) && !confines() {
            continue;
        }
        let how = format!("how={how}");
        let ran = author.attribute(
            "odd",
            &["--set", &how, "--set", "plugins.isolation.seconds=10"],
        );
        assert_eq!(ran.code, 2, "{how}: {ran:?}");
        assert!(ran.err.contains(words), "{how}: {ran:?}");
        assert!(!ran.err.contains("Traceback"), "{how}: {ran:?}");
    }
}

#[test]
fn the_guides_method_runs() {
    let guide = fs::read_to_string(workspace().join("docs/python.md")).unwrap();
    let (_, rest) = guide.split_once("```python\n").unwrap();
    let (source, _) = rest.split_once("```").unwrap();
    let author = Author::new("brightness.py", source);
    let ran = author.attribute("py_brightness", &["--set", "power=2.0"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let heat = author.heat("py_brightness");
    let grey = |level: f32| (level / 255.0).powi(2);
    assert!((heat[(70, 150)] - grey(200.0)).abs() < 1e-6);
    assert!((heat[(10, 10)] - grey(10.0)).abs() < 1e-6);
}

const INSIDE: &str = r#"
import numpy as np
import medfocus

class Inside(medfocus.Method):
    "Gradient times input."
    name = "inside"
    needs = ("generate", "trace", "gradient")

    def attribute(self, task):
        said = task.model.generate()
        trace = task.model.trace(["gradient:pixels", "attention:0"])
        gradient = trace.captures["gradient:pixels"]
        heat = np.abs(gradient * trace.pixel_values).sum(axis=0)
        task.step(1, 1, "looked")
        evidence = {
            "said": said.text,
            "same": bool(np.isclose(said.log_probs.sum(), trace.log_probs.sum())),
            "attention": list(trace.captures["attention:0"].shape),
            "family": task.model.info()["family"],
            "finding": task.finding,
        }
        return medfocus.Attribution(heat=heat, evidence=evidence, warnings=["from Python"])
"#;

#[test]
fn a_model_shows_its_inside_to_python() {
    let author = Author::new("inside.py", INSIDE);
    let ran = author.attribute("inside", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let record = author.record("inside");
    let evidence = &record["evidence"];
    assert_eq!(
        (&evidence["said"], &evidence["same"]),
        (&"Yes".into(), &true.into())
    );
    assert_eq!(evidence["family"], "toy");
    assert_eq!(evidence["attention"].as_array().unwrap().len(), 2);
    assert_eq!(record["warnings"], serde_json::json!(["from Python"]));
    // The toy looks at this cell alone.
    let heat = author.heat("inside");
    for ((y, x), &value) in heat.indexed_iter() {
        let inside = (56..84).contains(&y) && (140..168).contains(&x);
        assert_eq!(value > 0.0, inside, "({y}, {x})");
    }
}

#[test]
fn a_pin_is_of_the_python_file_too() {
    let author = occlusion();
    let descriptor = author.plugins().join("py_occlusion.medfocus.json");
    let checked = run(medfocus().args(["plugins", "check"]).arg(&descriptor));
    assert_eq!(checked.code, 0, "{checked:?}");
    let digest = checked.out.trim().rsplit(' ').next().unwrap().to_owned();
    let file = author.folder.path().join("pins.toml");
    let pins = |more: &str| {
        fs::write(
            &file,
            format!("[plugins.pins]\npy-occlusion = \"{digest}\"\n{more}"),
        )
        .unwrap();
        let config = file.display().to_string();
        author.attribute("py_occlusion", &["--config", &config])
    };
    let toy = run(medfocus().args(["plugins", "check"]).arg(outside_plugin()));
    let words: Vec<_> = toy.out.split_whitespace().collect();
    let toy = format!("{} = \"{}\"\n", words[1], words[3]);
    let pinned = pins(&toy);
    assert_eq!(pinned.code, 0, "{pinned:?}");
    let source = author.plugins().join("py_occlusion.py");
    let changed = fs::read_to_string(&source).unwrap() + "\n# another\n";
    fs::write(&source, changed).unwrap();
    pins(&toy).one_sentence(&["py_occlusion.medfocus.json", "has digest", "pins"]);
}

#[test]
fn what_is_no_method_is_not_installed() {
    let author = occlusion();
    for (source, words) in [
        ("import medfocus\n", "holds no class of medfocus.Method"),
        (
            "import medfocus\nclass A(medfocus.Method):\n    name = 'a'\n",
            "docstring",
        ),
        (
            "import medfocus\nclass A(medfocus.Method):\n    'A.'\n    name = 'a'\n    x = medfocus.param([1], 'List.')\n",
            "a bool, an int, a float or a str",
        ),
    ] {
        let path = author.folder.path().join("wrong.py");
        fs::write(&path, source).unwrap();
        let ran = author.install(&path);
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(ran.err.contains(words), "{ran:?}");
        assert!(!author.plugins().join("wrong.medfocus.json").exists());
    }
}

#[test]
fn results_are_read_back_as_arrays() {
    let author = occlusion();
    let (out, file) = (author.out("lab"), author.folder.path().join("lab.toml"));
    let config = format!(
        "[experiment]\nname = \"lab\"\nout = {out:?}\nmodels = [\"toy=nowhere\"]\ngallery = 0\nheatmaps = true\nkeep = \"all\"\n\
         [[experiment.datasets]]\ncomponent = \"phantom\"\nsamples = 3\n[[experiment.methods]]\ncomponent = \"py_occlusion\"\n"
    );
    fs::write(&file, config).unwrap();
    let ran = run(author.medfocus(&["run"]).arg(&file));
    assert_eq!(ran.code, 0, "{ran:?}");
    let script = "import sys, medfocus, json\n\
        run = medfocus.read(sys.argv[1])\n\
        for record in run.records:\n    \
            heat = run.heat(record['case'], 'py_occlusion')\n    \
            print(json.dumps([record['case']['index'], list(heat.shape), float(heat.max()), run.boxes(record, 'py_occlusion').tolist()]))\n";
    let read = run(Command::new(python()).args(["-c", script]).arg(&out));
    assert_eq!(read.code, 0, "{read:?}");
    let journal = fs::read_to_string(out.join("journal.jsonl")).unwrap();
    let mut lines = 0;
    for (line, record) in read.out.lines().zip(journal.lines()) {
        let found: Value = serde_json::from_str(line).unwrap();
        let record: Value = serde_json::from_str(record).unwrap();
        let boxes = record["results"][0]["boxes"].as_array().unwrap();
        let corners = boxes.iter().map(|found| found["native"]["corners"].clone());
        assert_eq!(found[0], record["case"]["index"]);
        assert_eq!(found[1], serde_json::json!([224, 224]));
        assert_eq!(found[3], corners.collect::<Value>());
        lines += 1;
    }
    assert_eq!(lines, 3);
}
