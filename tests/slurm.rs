//! A cluster of one machine (Debian's slurm-wlm and munge): an experiment is submitted, its tasks are killed and requeued, the
//! machine's daemon is stopped and started again, and the table is the one of a single process. And what other engines are
//! told.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use medfocus_tests::{Lab, Ran, installed, run, timeless_lines, untimed_table};
use serde_json::Value;
use tempfile::TempDir;

const JOURNALS: [&str; 3] = ["filter.jsonl", "journal.jsonl", "sanity.jsonl"];

/// The demo in small.
fn small() -> Lab {
    Lab::new(|out| {
        format!(
            r#"
            seed = 11
            threads = 1
            [cluster]
            throttle = 2
            minutes = 60
            memory = 600
            [experiment]
            name = "lab"
            out = {out}
            models = ["phantom-gemma3"]
            modes = ["direct", "reasoning"]
            keep = "all"
            gallery = 1
            sanity = {{ samples = 1 }}
            [[experiment.datasets]]
            component = "phantom"
            samples = 16
            [[experiment.filter.editors]]
            component = "phantom_oracle"
            [[experiment.methods]]
            component = "occlusion"
            [[experiment.methods]]
            component = "random_boxes"
            "#
        )
    })
}

fn results(lab: &Lab) -> (Vec<Vec<Value>>, Vec<Vec<String>>) {
    let lines = JOURNALS.map(|name| timeless_lines(&lab.text(name)));
    (lines.to_vec(), untimed_table(&lab.text("table.csv")))
}

/// Lines of all sealed journals.
fn done(lab: &Lab) -> usize {
    let shards = fs::read_dir(lab.out().join("shards/8"));
    let shards = shards.into_iter().flatten().flatten();
    let files = shards.flat_map(|shard| {
        ["filter", "journal"].map(|name| shard.path().join(name).with_extension("sealed"))
    });
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    texts.map(|text| text.lines().count()).sum()
}

/// A daemon that does not outlive its test.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        let command = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap());
        Self(command.stderr(log).spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Slurm with one machine of two cores.
struct Cluster {
    machine: Option<Daemon>,
    _others: [Daemon; 2],
    folder: TempDir,
    name: String,
}

fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Cluster {
    /// Starts it; nothing if it is not installed, or only root could.
    fn start() -> Option<Self> {
        let programs = ["munged", "slurmctld", "slurmd", "runuser"];
        let root = rustix::process::geteuid().is_root();
        if !root || programs.iter().any(|program| installed(program).is_none()) {
            eprintln!(
                "Slurm (slurm-wlm, munge) is not installed, or this is not root: nothing is tested with it"
            );
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let name = host.trim().to_owned();
        let keeper = fs::read_to_string("/etc/passwd").unwrap();
        let keeper = keeper
            .lines()
            .find(|line| line.starts_with("munge:"))
            .unwrap();
        let ids: Vec<u32> = keeper
            .split(':')
            .filter_map(|field| field.parse().ok())
            .collect();
        fs::create_dir(at("munge")).unwrap();
        fs::write(at("munge/key"), [7; 1024]).unwrap();
        for file in ["munge", "munge/key"] {
            chown(at(file), Some(ids[0]), Some(ids[1])).unwrap();
        }
        fs::set_permissions(at("munge/key"), fs::Permissions::from_mode(0o400)).unwrap();
        let socket = at("munge/socket");
        let option = |name: &str, file: &str| format!("--{name}={}", at(file).display());
        let mut command = Command::new("runuser");
        command.args(["-u", "munge", "--", "munged", "--foreground", "--force"]);
        command.args([
            option("key-file", "munge/key"),
            option("socket", "munge/socket"),
        ]);
        command.args([
            option("pid-file", "munge/pid"),
            option("log-file", "munge/log"),
        ]);
        command.arg(option("seed-file", "munge/seed"));
        let munge = Daemon::start(&mut command, &at("munged.log"));
        await_that("munged listens", || socket.exists());

        let conf = format!(
            "ClusterName=lab\nSlurmctldHost={name}(127.0.0.1)\nSlurmUser=root\nAuthType=auth/munge\n\
             AuthInfo=socket={socket}\nSlurmctldPort={}\nSlurmdPort={}\nStateSaveLocation={at}/state\n\
             SlurmdSpoolDir={at}/spool\nSlurmctldPidFile={at}/slurmctld.pid\nSlurmdPidFile={at}/slurmd.pid\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nReturnToService=2\nMaxArraySize=5\n\
             KillWait=1\nSlurmdTimeout=10\n\
             AccountingStorageType=accounting_storage/none\nJobAcctGatherType=jobacct_gather/none\n\
             NodeName={name} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN\n\
             PartitionName=main Nodes={name} Default=YES MaxTime=INFINITE State=UP\n",
            port(),
            port(),
            at = folder.path().display(),
            socket = socket.display(),
        );
        fs::create_dir(at("state")).unwrap();
        fs::create_dir(at("spool")).unwrap();
        fs::write(at("slurm.conf"), conf).unwrap();
        let mut command = Command::new("slurmctld");
        command.args(["-D", "-f"]).arg(at("slurm.conf"));
        let control = Daemon::start(&mut command, &at("slurmctld.log"));
        let mut cluster = Self {
            machine: None,
            _others: [control, munge],
            folder,
            name,
        };
        cluster.power();
        Some(cluster)
    }

    /// Starts the machine's daemon, and waits until the cluster sees it.
    fn power(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("slurmd");
        command
            .args(["-D", "-N", &self.name, "-f"])
            .arg(at("slurm.conf"));
        self.machine = Some(Daemon::start(&mut command, &at("slurmd.log")));
        await_that("the machine is up", || {
            let said = self.says("sinfo", &["--noheader", "-o", "%T"]);
            ["idle", "mixed", "allocated"].contains(&said.trim())
        });
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.folder.path().join("slurm.conf"));
        command
    }

    fn says(&self, program: &str, arguments: &[&str]) -> String {
        let said = self.command(program).args(arguments).output().unwrap();
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Tasks that run now, by their names.
    fn running(&self) -> Vec<String> {
        let said = self.says("squeue", &["--noheader", "-r", "-t", "RUNNING", "-o", "%i"]);
        said.lines().map(str::to_owned).collect()
    }

    /// The program, as it is run on this cluster.
    fn on(&self, mut command: Command) -> Ran {
        run(command.env("SLURM_CONF", self.folder.path().join("slurm.conf")))
    }
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < Duration::from_secs(200),
            "{what}: not after 200 s"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_cluster_that_loses_tasks_finds_what_one_process_finds() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let alone = small();
    assert_eq!(alone.says("run", &[]).code, 0);

    let lab = small();
    let submitted = cluster.on(lab.command("submit", &["--engine", "slurm", "--shards", "8"]));
    assert_eq!(submitted.code, 0, "{submitted:?}");
    // Three waves of two arrays, for an array holds five tasks here; and the merge.
    let jobs = fs::read_to_string(lab.out().join("cluster.json")).unwrap();
    let jobs: Value = serde_json::from_str(&jobs).unwrap();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 7, "{jobs}");

    // Tasks are requeued while they run, and killed.
    for lost in 1..=3 {
        let before = done(&lab);
        await_that("a sample is done", || done(&lab) > before);
        let Some(task) = cluster.running().pop() else {
            continue;
        };
        if lost == 2 {
            cluster.says("scancel", &["--signal=KILL", &task]);
        } else {
            cluster.says("scontrol", &["requeue", &task]);
        }
    }
    // A requeued task waits two minutes unless it is let go.
    let release = |cluster: &Cluster| {
        let said = cluster.says("squeue", &["--noheader", "-r", "-t", "PENDING", "-o", "%i"]);
        for task in said.lines() {
            cluster.says(
                "scontrol",
                &["update", &format!("JobId={task}"), "StartTime=now"],
            );
        }
    };
    // The machine's daemon is lost and comes back.
    cluster.machine = None;
    thread::sleep(Duration::from_secs(2));
    cluster.power();
    await_that("the cluster has nothing left to do", || {
        release(&cluster);
        cluster.says("squeue", &["--noheader"]).trim().is_empty()
    });
    let status = cluster.on(lab.command("status", &[]));
    assert!(status.out.contains("the explanations: "), "{status:?}");

    // What was killed and not requeued is missing, and said to be; handing it in once more does the rest.
    let again = cluster.on(lab.command("submit", &["--engine", "slurm", "--shards", "8"]));
    assert_eq!(again.code, 0, "{again:?}");
    await_that("the cluster has nothing left to do", || {
        release(&cluster);
        cluster.says("squeue", &["--noheader"]).trim().is_empty()
    });
    let logs = fs::read_dir(lab.out().join("shards/8/log"))
        .unwrap()
        .flatten();
    let logs: Vec<String> = logs
        .map(|log| fs::read_to_string(log.path()).unwrap())
        .collect();
    assert!(
        logs.iter().any(|log| log.contains("The report is")),
        "{logs:#?}"
    );
    assert_eq!(results(&lab), results(&alone), "{logs:#?}");

    // What is submitted can be taken back.
    let more = cluster.on(lab.command("submit", &["--engine", "slurm", "--shards", "8"]));
    assert_eq!(more.code, 0, "{more:?}");
    let cancelled = cluster.on(lab.command("cancel", &[]));
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    await_that("nothing is left", || {
        cluster.says("squeue", &["--noheader"]).trim().is_empty()
    });
}

#[test]
fn what_is_handed_in_can_be_read_before() {
    let lab = small();
    let said = lab.says(
        "submit",
        &["--engine", "slurm", "--shards", "3", "--dry-run"],
    );
    assert_eq!(said.code, 0, "{said:?}");
    for line in [
        "#SBATCH --array=0-2%2",
        "#SBATCH --time=60",
        "#SBATCH --mem=600M",
        "--shard auto/3",
        "merge",
    ] {
        assert!(said.out.contains(line), "no `{line}` in {}", said.out);
    }
    assert!(!lab.out().exists(), "nothing is written");
    // A shell reads every script without a complaint.
    let checked = Command::new("sh")
        .args(["-n", "-c", &said.out])
        .status()
        .unwrap();
    assert!(checked.success());

    let line = lab.says(
        "submit",
        &["--engine", "hyperqueue", "--shards", "3", "--dry-run"],
    );
    assert!(
        line.out
            .starts_with("hq submit --name=medfocus-lab --array=0-2 --cpus=1"),
        "{line:?}"
    );
    lab.says("submit", &["--engine", "hyperqueue"])
        .one_sentence(&["--dry-run"]);
    let bad = [
        "--engine",
        "slurm",
        "--dry-run",
        "--set",
        "cluster.partition=a b\n#SBATCH",
    ];
    lab.says("submit", &bad)
        .one_sentence(&["`cluster.partition`", "no name on a cluster"]);
    lab.says("status", &[])
        .one_sentence(&["cluster.json", "medfocus submit"]);
}

/// What Kubernetes takes for an Indexed Job, as its reference has it: batch/v1, JobSpec and PodSpec.
#[test]
fn kubernetes_is_told_an_indexed_job() {
    let lab = small();
    let dry = ["--engine", "kubernetes", "--shards", "4", "--dry-run"];
    lab.says("submit", &dry).one_sentence(&["cluster.image"]);
    let set = [
        "--set",
        "cluster.image=registry/medfocus:1",
        "--set",
        "cluster.volume=films",
    ];
    let said = lab.says("submit", &[&dry[..], &set].concat());
    let job: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&job["apiVersion"], &job["kind"]),
        (&"batch/v1".into(), &"Job".into())
    );
    let name = job["metadata"]["name"].as_str().unwrap();
    let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(name.len() <= 63 && name.chars().all(label), "{name}");
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let spec = &job["spec"];
    assert_eq!(
        keys(spec),
        [
            "backoffLimitPerIndex",
            "completionMode",
            "completions",
            "parallelism",
            "template"
        ]
    );
    assert_eq!(
        (&spec["completionMode"], &spec["completions"]),
        (&"Indexed".into(), &4.into())
    );
    let pod = &spec["template"]["spec"];
    assert_eq!(
        keys(pod),
        [
            "activeDeadlineSeconds",
            "containers",
            "restartPolicy",
            "volumes"
        ]
    );
    // A limit of failures for each index is allowed with this policy only.
    assert_eq!(pod["restartPolicy"], "Never");
    let container = &pod["containers"][0];
    assert_eq!(
        keys(container),
        [
            "command",
            "image",
            "name",
            "resources",
            "volumeMounts",
            "workingDir"
        ]
    );
    let command = container["command"].as_array().unwrap();
    assert_eq!(command.last().unwrap(), "auto/4");
    assert!(command.iter().all(Value::is_string));
    assert_eq!(container["resources"]["limits"]["memory"], "600Mi");
    assert_eq!(
        container["volumeMounts"][0]["name"],
        pod["volumes"][0]["name"]
    );
}
