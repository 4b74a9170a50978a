//! What the whole-system tests share: the built program, its plugins, and one built outside.
//!
//! `cargo xtask test` builds program and plugins before it runs these.

mod server;

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use rand::RngExt;
use serde_json::Value;

pub use server::{Answer, Server};

/// The folder of the built program: two above this test's own executable.
pub fn built() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has an executable");
    let folder = exe
        .parent()
        .and_then(Path::parent)
        .expect("tests lie in target/PROFILE/deps");
    assert!(
        folder.join("medfocus").is_file() && folder.join("plugins").is_dir(),
        "program or plugins are not built: run `cargo xtask test`, or `cargo xtask build` before"
    );
    folder.to_owned()
}

/// The workspace's folder.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lie in the workspace")
}

/// The program, run from the workspace's folder without the user's settings.
pub fn medfocus() -> Command {
    let mut command = Command::new(built().join("medfocus"));
    command.current_dir(workspace());
    for (name, _) in std::env::vars() {
        if name.starts_with("MEDFOCUS_") {
            command.env_remove(name);
        }
    }
    command.env("OMP_NUM_THREADS", "1");
    // Whoever runs the tests may have plugins installed.
    command.env("XDG_DATA_HOME", built().join("nobody"));
    command
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs the program to its end.
pub fn run(command: &mut Command) -> Ran {
    Ran::of(command.output().expect("the program starts"))
}

impl Ran {
    /// What a program left that has ended.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts that the run failed with exactly one line that holds these words.
    pub fn one_sentence(&self, words: &[&str]) {
        assert_eq!(self.code, 2, "{self:?}");
        assert_eq!(self.err.trim().lines().count(), 1, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no `{word}` in {self:?}");
        }
    }
}

/// A folder with a config, `lab.toml`; its experiment's results go to `out` in it.
pub struct Lab(tempfile::TempDir);

impl Lab {
    /// With the config that is made of the place of the results, as a string of TOML.
    pub fn new(config: impl FnOnce(&str) -> String) -> Self {
        let lab = Self(tempfile::tempdir().expect("there is a folder for temporary files"));
        let out = format!("{:?}", lab.out());
        std::fs::write(lab.config(), config(&out)).expect("the folder is writable");
        lab
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The config.
    pub fn config(&self) -> PathBuf {
        self.path().join("lab.toml")
    }

    /// The results.
    pub fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// A file of the results as text, empty where there is none.
    pub fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.out().join(file)).unwrap_or_default()
    }

    /// The program with a command, as `benchmark build`, about the config.
    pub fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = medfocus();
        command.args(verb.split(' ')).arg(self.config()).args(more);
        command
    }

    /// What it says.
    pub fn says(&self, verb: &str, more: &[&str]) -> Ran {
        run(&mut self.command(verb, more))
    }
}

/// A user of the program, with a data folder of their own.
pub struct User(tempfile::TempDir);

impl User {
    /// One who has installed nothing yet.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("there is a folder for temporary files"))
    }

    /// The folder of their data, which they may also use as they please.
    pub fn data(&self) -> &Path {
        self.0.path()
    }

    /// The folder of their plugins.
    pub fn folder(&self) -> PathBuf {
        self.data().join("medfocus/plugins")
    }

    /// The program, as they run it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = medfocus();
        command.args(arguments).env("XDG_DATA_HOME", self.data());
        command
    }

    /// What it says to them.
    pub fn says(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// `medfocus plugins install` of this file.
    pub fn installs(&self, file: &Path, more: &[&str]) -> Ran {
        run(self.command(&["plugins", "install"]).arg(file).args(more))
    }

    /// Names of what they have installed.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// A plugin crate that is no member of the workspace and depends on `medfocus-plugin-api` alone;
/// built on first use.
pub fn outside_plugin() -> PathBuf {
    let target = built().join("outside");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked"])
        .current_dir(workspace().join("tests/plugins/outside"))
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the outside plugin does not build");
    target.join("release/libmedfocus_outside.so")
}

/// Whether this kernel can do all that a plugin's sandbox needs. Where it cannot, plugins are refused unless the sandbox is off.
pub fn confines() -> bool {
    let started = medfocus()
        .arg("plugin-host")
        .arg(r#"{"isolation": {}, "command": ["/bin/true"]}"#)
        .output()
        .expect("the program starts");
    started.status.success()
}

/// A Python with the package `medfocus` of `plugins/python`, installed from PyPI's NumPy on first use and whenever the package
/// changes.
pub fn python() -> PathBuf {
    let package = workspace().join("plugins/python");
    let mut sources: Vec<_> = std::fs::read_dir(package.join("src/medfocus"))
        .expect("the package is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|end| end == "py"))
        .collect();
    sources.sort();
    sources.push(package.join("pyproject.toml"));
    let python = python_with("python", &sources, &[package.as_os_str()]);
    let _ = std::fs::remove_dir_all(package.join("build"));
    python
}

/// A Python with the packages from PyPI that a file of requirements in `tests` names.
pub fn python_of(requirements: &str) -> PathBuf {
    let file = workspace().join("tests").join(requirements);
    let name = format!("python-{}", requirements.replace('/', "-"));
    python_with(
        &name,
        std::slice::from_ref(&file),
        &["--requirement".as_ref(), file.as_os_str()],
    )
}

/// A Python of its own in `target`, in which `pip install` of these arguments was done on first use and whenever one of these
/// files changed.
fn python_with(name: &str, files: &[PathBuf], install: &[&OsStr]) -> PathBuf {
    let folder = built().join(name);
    let python = folder.join("bin/python");
    // Tests are processes of their own.
    let lock = File::create(built().join(format!("{name}.lock"))).expect("target is writable");
    lock.lock().expect("a file can be locked");
    let mut wanted = String::new();
    for file in files {
        wanted += &std::fs::read_to_string(file).expect("it can be read");
    }
    let installed = folder.join("installed");
    if std::fs::read_to_string(&installed).ok() != Some(wanted.clone()) {
        let run = |command: &mut Command| {
            let status = command.status().expect("python3 is there");
            assert!(status.success(), "{command:?} failed");
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(install));
        std::fs::write(&installed, wanted).expect("target is writable");
    }
    python
}

/// Where a program of this name is installed; nothing if it is not.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut places = folders.map(|folder| folder.join(program));
    places.find(|place| place.is_file())
}

/// A plugin in plain C of these sources in `tests/plugins/c`, built in the folder as its author would, every warning an error.
pub fn c_plugin(folder: &Path, sources: &[&str], flags: &[&str]) -> PathBuf {
    let path = folder.join(format!("libmedfocus_c_{}.so", sources[0].replace('.', "_")));
    let here = workspace().join("tests/plugins/c");
    let status = Command::new("cc")
        .args([
            "-std=c11",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
        ])
        .args(["-fvisibility=hidden", "-shared", "-fPIC", "-I"])
        .arg(workspace().join("plugin-api/c/include"))
        .arg("-o")
        .arg(&path)
        .args(flags)
        .args(sources.iter().map(|source| here.join(source)))
        .arg("-lm")
        .status()
        .expect("a C compiler is there, as libtorch's bindings need one");
    assert!(status.success(), "{sources:?} do not build");
    path
}

/// A 224 x 224 picture of one bright cell (row, column) of an 8 x 8 grid, as a PNG file.
pub fn bright_cell(folder: &Path, row: usize, column: usize) -> PathBuf {
    let path = folder.join(format!("cell_{row}_{column}.png"));
    let bright = |x: u32, y: u32| x as usize / 28 == column && y as usize / 28 == row;
    let image = image::GrayImage::from_fn(224, 224, |x, y| {
        image::Luma([if bright(x, y) { 200 } else { 10 }])
    });
    image.save(&path).expect("the folder is writable");
    path
}

/// A heat map that the program wrote.
pub fn read_npy(path: &Path) -> ndarray::Array2<f32> {
    let bytes = std::fs::read(path).expect("it was written");
    assert_eq!(&bytes[..6], b"\x93NUMPY");
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let text = std::str::from_utf8(&bytes[10..10 + header]).expect("a header is text");
    assert!(
        text.contains("'<f4'") && text.contains("(224, 224)"),
        "{text}"
    );
    let values = bytes[10 + header..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")))
        .collect();
    ndarray::Array2::from_shape_vec((224, 224), values).expect("the header says so")
}

/// Kills a command so many times, each time at a random moment of the `span` that a whole run takes, and does away with
/// `out` whenever it came through: what followed would test nothing. At least one kill must come in the middle, where
/// the journal in `out` holds some of its `whole` lines.
pub fn kill_at_random(
    times: usize,
    mut command: impl FnMut() -> Command,
    span: Duration,
    out: &Path,
    journal: &str,
    whole: usize,
) {
    let (mut kills, mut lengths) = (0, Vec::new());
    while kills < times {
        let mut child = command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(span.mul_f64(rand::rng().random_range(0.0..1.0)));
        if child.try_wait().expect("it is a child").is_none() {
            kills += 1;
        } else {
            std::fs::remove_dir_all(out).expect("a run leaves its folder");
        }
        child.kill().expect("it is a child");
        child.wait().expect("it is a child");
        let journal = std::fs::read(out.join(journal)).unwrap_or_default();
        lengths.push(journal.iter().filter(|&&b| b == b'\n').count());
    }
    assert!(
        lengths.iter().any(|&n| 0 < n && n < whole),
        "no kill came in the middle: {lengths:?}"
    );
}

/// Lines of JSON without their seconds.
pub fn timeless_lines(text: &str) -> Vec<Value> {
    fn timeless(value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.remove("seconds");
                object.values_mut().for_each(timeless);
            }
            Value::Array(values) => values.iter_mut().for_each(timeless),
            _ => {}
        }
    }
    let lines = text.lines().map(|line| {
        let mut value = serde_json::from_str(line).expect("a line is JSON");
        timeless(&mut value);
        value
    });
    lines.collect()
}

/// A table without the columns that tell seconds.
pub fn untimed_table(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let kept: Vec<usize> = reader
        .headers()
        .expect("it is a table")
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.contains("seconds"))
        .map(|(at, _)| at)
        .collect();
    let rows = reader.records().map(|row| row.expect("it is a table"));
    rows.map(|row| kept.iter().map(|&at| row[at].to_owned()).collect())
        .collect()
}

/// Processes whose parent is this one.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("this is Linux").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |number: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // NUMBER (NAME) STATE PARENT ...
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let mut fields = after.split_whitespace();
        fields.next() != Some("Z") && fields.next() == Some(&parent.to_string())
    };
    numbers.filter(is_child).collect()
}
