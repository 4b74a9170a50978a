//! Whether a component grows with every request.

use super::subject::{Ask, Made};
use crate::{Result, tensor::Watch};

/// Bytes by which the process may grow from the 50th to the 100th request: 16 MiB, that is a third of a megabyte, or
/// seven working images, a request. Less than that hides in the noise of an allocator.
pub const GROWTH: u64 = 16 << 20;

const RUNS: usize = 100;

/// Asks a hundred times.
pub(super) fn check(component: &Made, ask: &Ask) -> Result<(), String> {
    let op = ask.op;
    // What other threads of the process allocate comes once; a leak comes again.
    let mut grown = 0;
    for _ in 0..2 {
        let (tensors, bytes) = hundred_runs(component, ask)
            .map_err(|error| format!("`{op}` fails when it is asked again: {error}"))?;
        if let [half, whole] = tensors
            && whole > half
        {
            return Err(format!(
                "after {RUNS} runs of `{op}` {whole} tensors are held, after {} it was {half}",
                RUNS / 2
            ));
        }
        if bytes < GROWTH {
            return Ok(());
        }
        grown = bytes;
    }
    Err(format!(
        "the process grows by {} MiB in {} runs of `{op}`",
        grown >> 20,
        RUNS / 2
    ))
}

/// Tensors of requests and answers that are held after half of the runs and after all, and the growth in bytes.
fn hundred_runs(component: &Made, ask: &Ask) -> Result<([usize; 2], u64)> {
    let mut watches: Vec<Watch> = Vec::new();
    let mut half = (0, 0);
    for run in 0..RUNS {
        let request = ask.message()?;
        watches.extend(request.tensors().iter().map(|tensor| tensor.watch()));
        let answer = crate::Caller::call(component, ask.op, request)?;
        watches.extend(answer.tensors().iter().map(|tensor| tensor.watch()));
        drop(answer);
        watches.retain(Watch::held);
        if run + 1 == RUNS / 2 {
            half = (watches.len(), resident());
        }
    }
    Ok(([half.0, watches.len()], resident().saturating_sub(half.1)))
}

/// Bytes of memory that the process occupies; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
