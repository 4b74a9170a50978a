//! Whatever reads what others wrote is given it damaged: it says what is wrong, or makes something of it, in time and in
//! little memory.
//!
//! Seeds are in `tests/fuzz/seeds`, a folder each target; an input that once did harm stays there as one. The input of the
//! moment is `target/release/fuzz/TARGET`, so that it is there when the process is not. `cargo xtask fuzz TARGET --seconds 300`
//! goes on longer.

mod damage;
mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use damage::damaged;
use medfocus_tests::{built, workspace};
use rand::{SeedableRng, rngs::StdRng};
use rustix::process::{Resource, Rlimit, setrlimit};
use targets::Target;

/// Damaged inputs a target, unless seconds are given.
const CASES: u64 = 1000;
/// Seconds a target in place of [`CASES`].
const SECONDS: &str = "FUZZ_SECONDS";
/// Bytes that a process may write to: what reads files takes far less.
const MEMORY: u64 = 1 << 30;
/// Longest time of one input.
const LONGEST: Duration = Duration::from_secs(60);

/// Gives a target its seeds as they are, then damaged.
fn fuzz(name: &str, target: Target) {
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: None,
    };
    setrlimit(Resource::Data, limit).unwrap();
    let mut files: Vec<_> = fs::read_dir(workspace().join("tests/fuzz/seeds").join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let folder = built().join("fuzz");
    fs::create_dir_all(&folder).unwrap();
    let now = folder.join(name);
    let scratch = tempfile::tempdir().unwrap();
    let done = watched(name);
    let try_one = |input: &[u8]| {
        fs::write(&now, input).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(input, scratch.path())));
        done.fetch_add(1, Ordering::Relaxed);
        let at = now.display();
        match outcome {
            Err(_) => panic!("{name} panicked; the input is {at}"),
            Ok(Err(error)) if error.is_empty() => {
                panic!("{name} does not say why; the input is {at}")
            }
            Ok(said) => said.is_ok(),
        }
    };
    assert!(!seeds.is_empty());
    for seed in &seeds {
        try_one(seed);
    }

    let seconds = std::env::var(SECONDS)
        .ok()
        .map(|text| text.parse().unwrap());
    let mut random = match seconds {
        None => StdRng::seed_from_u64(0),
        Some(_) => rand::make_rng(),
    };
    let begin = Instant::now();
    let (mut cases, mut sound) = (0_u64, 0_u64);
    let goes_on = |cases| match seconds {
        None => cases < CASES,
        Some(seconds) => begin.elapsed() < Duration::from_secs(seconds),
    };
    while goes_on(cases) {
        sound += u64::from(try_one(&damaged(&seeds, &mut random)));
        cases += 1;
    }
    println!("{name}: {cases} damaged inputs, {sound} of them readable");
    fs::remove_file(&now).unwrap();
    // A target that refuses everything, or nothing, is no test.
    assert!(0 < sound, "nothing of {cases} was readable");
}

/// Ends the process when an input takes too long; counts the inputs that came through.
fn watched(name: &str) -> Arc<AtomicU64> {
    let done = Arc::new(AtomicU64::new(0));
    let (seen, name) = (done.clone(), name.to_owned());
    thread::spawn(move || {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            thread::sleep(Duration::from_secs(1));
            let now = seen.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > LONGEST {
                eprintln!("{name} takes longer than {LONGEST:?} for an input");
                process::abort();
            }
        }
    });
    done
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            fuzz(stringify!($name), targets::$name);
        }
    )*};
}
targets! { library, descriptor, config, image, dicom, answer, cells, boxes, medground, plan, journal }
