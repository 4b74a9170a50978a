//! The program opens no network unless it is told to send, to listen or to serve: its jobs run under a filter of the kernel that
//! kills whoever asks for a socket. A plugin that could open one says so.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output},
    thread,
};

use medfocus::plugin::inspect;
use medfocus_tests::{built, medfocus, workspace};
use object::{Endianness, Object, ObjectSymbol, read::elf::ElfFile64};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Functions of the C library by which another machine is found and reached. (`bind` is not among them: the sandbox of a
/// plugin tries it, in the plugin's process, to see that it fails.)
const REACHING: [&str; 6] = [
    "connect",
    "getaddrinfo",
    "gethostbyname",
    "accept",
    "accept4",
    "listen",
];

/// Sockets but those between processes of this machine end the process; so does the other way to open one.
fn filter() -> BpfProgram {
    let local = libc::AF_UNIX as u64;
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, local);
    let other = SeccompRule::new(vec![other.unwrap()]).unwrap();
    let killed = BTreeMap::from([
        (libc::SYS_socket, vec![other]),
        (libc::SYS_io_uring_setup, Vec::new()),
    ]);
    let filter = SeccompFilter::new(
        killed,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        TargetArch::try_from(std::env::consts::ARCH).unwrap(),
    );
    filter.unwrap().try_into().unwrap()
}

/// Runs a command that cannot open a network and live. A process inherits the filter of the thread that starts it.
fn offline(mut command: Command) -> Output {
    let run = move || {
        seccompiler::apply_filter(&filter()).unwrap();
        command.output().expect("it starts")
    };
    thread::spawn(run).join().unwrap()
}

#[test]
fn whoever_opens_a_network_is_killed() {
    for family in ["AF_INET", "AF_INET6", "AF_NETLINK"] {
        let mut python = Command::new("python3");
        python.args([
            "-c",
            &format!("import socket; socket.socket(socket.{family})"),
        ]);
        let ended = offline(python);
        assert_eq!(
            ended.status.signal(),
            Some(libc::SIGSYS),
            "{family}: {ended:?}"
        );
    }
    let mut python = Command::new("python3");
    python.args(["-c", "import socket; socket.socket(socket.AF_UNIX)"]);
    assert!(offline(python).status.success());
}

/// An experiment of everything: tuned, filtered, in both modes, with curves and sanity checks.
fn experiment(out: &Path) -> String {
    let segmenter = workspace().join("configs/checkpoints/phantom-medsam");
    format!(
        r#"
        threads = 1
        [slots.segmenter]
        component = "medsam"
        params = {{ path = {segmenter:?} }}
        [slots.detector]
        component = "atlas"
        [experiment]
        name = "lab"
        out = {out:?}
        models = ["phantom-gemma3", "phantom-qwen2_5_vl"]
        modes = ["direct", "reasoning"]
        keep = "all"
        workers = 2
        gallery = 1
        curves = {{ samples = 1 }}
        sanity = {{ samples = 1 }}
        [[experiment.datasets]]
        component = "phantom"
        samples = 2
        [[experiment.filter.editors]]
        component = "phantom_oracle"
        [experiment.flips]
        samples = 1
        editor = {{ component = "phantom_oracle" }}
        [experiment.tuning.dataset]
        component = "phantom"
        params = {{ split = "train" }}
        samples = 2
        [[experiment.methods]]
        component = "gradcam"
        sweep = {{ layer = [0, 1] }}
        [[experiment.methods]]
        component = "attention_rollout"
        [[experiment.methods]]
        component = "occlusion"
        params = {{ cells = 3 }}
        [[experiment.methods]]
        component = "prompting_medsam"
        [[experiment.methods]]
        component = "random_boxes"
        "#
    )
}

/// What the program is for, one job a line. `@NAME` is a file in the folder, `?` the question.
const JOBS: &str = "\
    doctor
    plugins list
    plugins describe medfocus
    sample --dataset phantom --index 1 --out @sample
    dataset check phantom --samples 3
    pool build --dataset phantom --set dataset.presence=never --count 2 --out @pool
    pool check @pool
    model generate --model phantom-gemma3 --question ? --image @sample/image.png
    attribute --config configs/demo.toml --model phantom-gemma3 --method medfocus --question ? --image @sample/image.png --out @explained
    plan @lab.toml
    run @lab.toml
    report @out
    benchmark build @bench.toml";

#[test]
fn every_job_is_done_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    for (config, out) in [("lab.toml", "out"), ("bench.toml", "bench")] {
        let text = experiment(&folder.path().join(out));
        fs::write(folder.path().join(config), text).unwrap();
    }
    for job in JOBS.lines() {
        let mut command = medfocus();
        for word in job.split_whitespace() {
            match word.strip_prefix('@') {
                Some(name) => command.arg(folder.path().join(name)),
                None if word == "?" => {
                    command.arg("Is there evidence of pleural effusion in the image?")
                }
                None => command.arg(word),
            };
        }
        let ended = offline(command);
        assert_eq!(ended.status.code(), Some(0), "{job}: {ended:?}");
    }
    assert!(folder.path().join("out/report.html").is_file());
    assert!(folder.path().join("bench/benchmark/direct.json").is_file());
}

/// What a program or a library asks of others.
fn asks_for(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap();
    let elf = ElfFile64::<Endianness>::parse(&*bytes).unwrap();
    let symbols = elf.dynamic_symbols().filter(ObjectSymbol::is_undefined);
    symbols
        .map(|symbol| symbol.name().unwrap().to_owned())
        .collect()
}

#[test]
fn no_plugin_reaches_another_machine_but_those_that_say_so() {
    let plugins = fs::read_dir(built().join("plugins")).unwrap();
    let mut outspoken = Vec::new();
    for plugin in plugins {
        let file = plugin.unwrap().path();
        let Some(plugin) = inspect(&file).unwrap() else {
            continue;
        };
        let names = asks_for(&file);
        let reaching = names.iter().any(|name| REACHING.contains(&name.as_str()));
        assert_eq!(reaching, plugin.manifest.network, "{}", file.display());
        outspoken.extend(reaching.then_some(plugin.manifest.name));
    }
    assert_eq!(outspoken, ["medfocus-model-openai-compatible"]);
}
