//! The demo model behind a server that speaks as vLLM does, asked by the program: it must find what it finds with the model itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use medfocus::{config::Layers, workbench::Workbench};
use medfocus_model_server::{Authority, Plan, Server};
use medfocus_tests::{built, confines, medfocus, read_npy, run, workspace};
use serde_json::Value;

const QUESTION: &str = "Is there evidence of pleural effusion in the image?";
/// By how much a number may differ: log-probabilities go through decimal digits, and threads add in another order.
const TOLERANCE: f64 = 1e-4;

/// The demo model, to be put behind a server.
fn demo() -> Plan {
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![built().join("plugins")];
    layers.config.model_folders = vec![workspace().join("configs/models")];
    let model = Workbench::new(layers).model("phantom-gemma3", Some("cpu"));
    Plan::of(model.unwrap().client())
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn film(folder: &Path) -> PathBuf {
    let film = folder.join("film");
    let drawn = run(medfocus()
        .args(["sample", "--dataset", "phantom", "--index", "1", "--out"])
        .arg(&film));
    assert_eq!(drawn.code, 0, "{drawn:?}");
    film.join("image.png")
}

/// The program with the committed file of the model, at the server's address.
fn asking(server: &Server, arguments: &[&str]) -> Command {
    let mut command = medfocus();
    command.args(arguments).args(["--set", "model.model=local"]);
    command.args(["--set", &format!("model.url={}", server.url())]);
    command
}

fn attribute(command: &mut Command, method: &str, folder: &Path) -> Value {
    let out = folder.join("out");
    let ran = run(command
        .args(["--method", method, "--question", QUESTION, "--image"])
        .arg(film(folder))
        .arg("--out")
        .arg(&out));
    assert_eq!(ran.code, 0, "{ran:?}");
    read(&out.join("attribution.json"))
}

/// Both records say the same, numbers up to the tolerance.
fn same(at: &str, a: &Value, b: &Value) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            for (key, a) in a {
                same(&format!("{at}.{key}"), a, &b[key]);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                same(&format!("{at}.{i}"), a, b);
            }
        }
        (Value::Number(a), Value::Number(b)) => {
            let difference = a.as_f64().unwrap() - b.as_f64().unwrap();
            assert!(difference.abs() <= TOLERANCE, "{at}: {a} and {b}");
        }
        _ => assert_eq!(a, b, "{at}"),
    }
}

#[test]
fn a_model_behind_a_server_is_explained_as_the_model_itself() {
    let server = demo().start();
    for method in ["medfocus", "occlusion", "prompting"] {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let local = attribute(
            medfocus().args(["attribute", "--model", "phantom-gemma3"]),
            method,
            here.path(),
        );
        let remote = attribute(
            &mut asking(&server, &["attribute", "--model", "openai_compatible"]),
            method,
            there.path(),
        );
        for key in ["answer", "tokens", "boxes", "evidence", "warnings", "image"] {
            same(&format!("{method}.{key}"), &local[key], &remote[key]);
        }
        let info = &remote["model_info"];
        assert_eq!(info["device"], server.host());
        let digest = info["digest"].as_str().unwrap();
        assert!(digest.starts_with("weights unseen: local at "), "{digest}");
        if method == "prompting" {
            continue;
        }
        let heat = |folder: &Path| read_npy(&folder.join("out/heatmap.npy"));
        let (local, remote) = (heat(here.path()), heat(there.path()));
        assert!(
            local.iter().any(|&value| value != 0.0),
            "{method} found nothing to compare"
        );
        let difference = (&local - &remote).mapv(f32::abs);
        let most = difference.fold(0.0, |most: f32, &d| most.max(d));
        assert!(
            f64::from(most) <= TOLERANCE,
            "{method}: maps differ by {most:e}"
        );
    }
}

#[test]
fn an_experiment_with_its_filter_finds_on_the_server_what_it_finds_here() {
    let server = demo().start();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let served = format!(
        "component = \"openai_compatible\"\n[params]\nurl = {:?}\nmodel = \"local\"\ncoordinates = \"yxyx_1000\"\n",
        server.url()
    );
    fs::write(at("served.toml"), served).unwrap();
    let config = format!(
        "model_folders = [{:?}, {:?}]\nthreads = 1\n\
         [slots.pool]\ncomponent = \"phantom\"\n\
         params = {{ split = \"train\", offset = 2000000, len = 4, presence = \"never\" }}\n\
         [experiment]\nname = \"served\"\nout = {:?}\nmodels = [\"phantom-gemma3\", \"served\"]\nkeep = \"all\"\nworkers = 2\n\
         [[experiment.datasets]]\ncomponent = \"phantom\"\nsamples = 4\n\
         [[experiment.filter.editors]]\ncomponent = \"phantom_oracle\"\n\
         [[experiment.methods]]\ncomponent = \"medfocus\"\n\
         [[experiment.methods]]\ncomponent = \"occlusion\"\nparams = {{ cells = 4 }}\n",
        workspace().join("configs/models"),
        folder.path(),
        at("out"),
    );
    fs::write(at("served.config"), config).unwrap();
    let ran = run(medfocus().arg("run").arg(at("served.config")));
    assert_eq!(ran.code, 0, "{ran:?}");
    for file in ["filter.jsonl", "journal.jsonl"] {
        let text = fs::read_to_string(at("out").join(file)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let of = |records: &[Value], model: &str| {
            let ours = records
                .iter()
                .filter(|record| record["case"]["model"] == model);
            ours.map(told).collect::<Vec<_>>()
        };
        let mut records: Vec<Value> = lines.collect();
        records.sort_by_key(|record| record["case"]["index"].as_u64());
        let (here, there) = (of(&records, "phantom-gemma3"), of(&records, "served"));
        assert_eq!(here.len(), 4, "{file}");
        same(file, &Value::Array(here), &Value::Array(there));
    }
}

/// A record less what must differ: who answered, in which time, with how many calls.
fn told(record: &Value) -> Value {
    match record {
        Value::Object(entries) => {
            let differs = ["case", "model_digest", "seconds", "calls", "computed"];
            let entries = entries
                .iter()
                .filter(|(key, _)| !differs.contains(&key.as_str()));
            Value::Object(
                entries
                    .map(|(key, value)| (key.clone(), told(value)))
                    .collect(),
            )
        }
        Value::Array(values) => values.iter().map(told).collect(),
        value => value.clone(),
    }
}

#[test]
fn what_a_server_cannot_is_refused_before_anything_runs() {
    let server = demo()
        .edit(|_, answer| answer["prompt_logprobs"] = Value::Null)
        .start();
    let folder = tempfile::tempdir().unwrap();
    let image = film(folder.path());
    let mut command = asking(&server, &["attribute", "--model", "openai_compatible"]);
    let ran = run(command
        .args(["--method", "occlusion", "--question", QUESTION, "--image"])
        .arg(&image)
        .arg("--out")
        .arg(folder.path().join("refused")));
    assert_eq!(ran.code, 2, "{ran:?}");
    let (why, refusal) = ran.err.trim().split_once('\n').expect("two lines");
    assert!(why.contains("scores no given answers: "), "{ran:?}");
    assert!(
        refusal
            .contains("`occlusion` needs a model that can score, which `openai_compatible` cannot"),
        "{ran:?}"
    );
    let asked = server.asked();
    let said = |request: &Value| request.to_string().contains("effusion");
    assert!(!asked.iter().any(said), "nothing of the patient was sent");
    // What only needs answers goes on.
    let mut command = asking(&server, &["attribute", "--model", "openai_compatible"]);
    let record = attribute(&mut command, "prompting", folder.path());
    assert_eq!(
        record["model_info"]["abilities"],
        serde_json::json!(["generate"])
    );
}

#[test]
fn a_check_says_whether_the_server_is_there() {
    let server = demo().start();
    let check = ["model", "check", "openai_compatible"];
    let ran = run(&mut asking(&server, &check));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.starts_with("openai_compatible is there\n"),
        "{ran:?}"
    );
    assert!(ran.out.contains(&server.host()), "{ran:?}");
    assert!(server.asked().is_empty(), "nothing is asked of the model");
    let ran = run(asking(&server, &check).args(["--set", "model.model=other"]));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out.contains(
            "does not serve `other` (set in `--set model.model=other`); it serves `local`"
        ),
        "{ran:?}"
    );
    let gone = server.url();
    drop(server);
    let ran = run(medfocus().args(check).args([
        "--set",
        &format!("model.url={gone}"),
        "--set",
        "model.retries=0",
    ]));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("cannot be reached"), "{ran:?}");
    // A checkpoint's folder is nothing to ask a server about.
    let ran = run(medfocus().args(["model", "check", "configs/checkpoints/phantom-gemma3"]));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn neither_key_nor_question_is_in_the_log_and_the_way_is_that_of_the_config() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let pem = folder.path().join("hospital.pem");
    fs::write(&pem, authority.pem()).unwrap();
    let server = demo().key("s3cret").identity(authority.identity()).start();
    let ran = run(
        asking(&server, &["attribute", "--model", "openai_compatible"])
            .args(["--set", &format!("model.ca_file={}", pem.display())])
            .args(["--set", "model.api_key_env=OUR_KEY"])
            .args(["--method", "prompting", "--question", QUESTION, "--image"])
            .arg(film(folder.path()))
            .arg("--out")
            .arg(folder.path().join("out"))
            .env("OUR_KEY", "s3cret")
            // Nobody listens there.
            .envs(["HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:9")))
            .env("MEDFOCUS_LOG", "trace"),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let record = fs::read_to_string(folder.path().join("out/attribution.json")).unwrap();
    assert!(
        record.contains("OUR_KEY"),
        "the record says where the key was"
    );
    for text in [&ran.out, &ran.err, &record] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    assert!(!ran.err.contains("effusion"), "{}", ran.err);
}

#[test]
fn a_process_of_its_own_reaches_the_network_if_it_is_named() {
    let server = demo().start();
    let folder = tempfile::tempdir().unwrap();
    let sandbox = format!("plugins.isolation.sandbox={}", confines());
    let apart = |more: &[&str]| {
        let mut command = asking(&server, &["model", "score", "--model", "openai_compatible"]);
        command.args(["--set", "plugins.isolation.of=everybody", "--set", &sandbox]);
        command.args(more.iter().flat_map(|setting| ["--set", setting]));
        command.args([
            "--question",
            QUESTION,
            "--answer",
            "Yes",
            "--json",
            "--image",
        ]);
        run(command.arg(film(folder.path())))
    };
    let named = apart(&[r#"plugins.isolation.network=["medfocus-model-openai-compatible"]"#]);
    assert_eq!(named.code, 0, "{named:?}");
    let scores: Value = serde_json::from_str(&named.out).unwrap();
    assert!(
        scores["images"][0]["sum"].as_f64().unwrap() < 0.0,
        "{scores}"
    );
    if confines() {
        apart(&[]).one_sentence(&[
            "plugin `medfocus-model-openai-compatible` opens the network",
            "name it under `plugins.isolation.network`",
        ]);
    }
    // No other plugin has it by being named.
    let listed = run(medfocus().args(["plugins", "list"]));
    let lines = listed
        .out
        .lines()
        .filter(|line| line.contains("opens the network"));
    let lines: Vec<_> = lines.collect();
    assert!(
        matches!(&lines[..], [line] if line.starts_with("medfocus-model-openai-compatible ")),
        "{listed:?}"
    );
}
