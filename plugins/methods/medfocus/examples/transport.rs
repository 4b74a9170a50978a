//! Solves transports and says what they took: reads one JSON object a line, `side`, `source` and `target` (row by row) and
//! `params`, those of the method; writes one a line. `tests/benches/transport_beside_pot.py` drives it.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    error::Error,
    io::stdin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use medfocus_method_medfocus::{
    MedFocusParams,
    transport::{Measure, Sinkhorn},
};
use medfocus_plugin_api::Params;
use ndarray::Array2;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// The system's allocator, watched.
struct Watched;

/// Bytes that are allocated, and the most there were.
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(
            NOW.fetch_add(layout.size(), Relaxed) + layout.size(),
            Relaxed,
        );
        // SAFETY: as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as it came.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn main() -> Result<(), Box<dyn Error>> {
    for line in stdin().lines() {
        let task: Value = serde_json::from_str(&line?)?;
        let side = task["side"].as_u64().ok_or("no `side`")? as usize;
        let measure = |name: &str| -> Result<Measure, Box<dyn Error>> {
            let weights = serde_json::from_value(task[name].clone())?;
            Ok(Measure::new(Array2::from_shape_vec(
                (side, side),
                weights,
            )?)?)
        };
        let params = serde_json::from_value(task["params"].clone())?;
        let sinkhorn = MedFocusParams::from_json(params)?.localisation().transport;
        let report = solve(&sinkhorn, &measure("source")?, &measure("target")?)?;
        println!("{report}");
    }
    Ok(())
}

/// Everything from the measures to cost and mass; seconds of CPU, the least of a second's repetitions.
fn solve(sinkhorn: &Sinkhorn, source: &Measure, target: &Measure) -> Result<Value, Box<dyn Error>> {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let (start, mut least) = (cpu()?, Duration::MAX);
    loop {
        let once = cpu()?;
        let plan = sinkhorn.solve(source, target)?;
        let (cost, mass) = (plan.cost(), plan.mass());
        let now = cpu()?;
        least = least.min(now - once);
        if now - start > Duration::from_secs(1) {
            return Ok(json!({
                "cost": cost,
                "mass": mass,
                "iterations": plan.convergence.iterations,
                "seconds": least.as_secs_f64(),
                "bytes": MOST.load(Relaxed) - before,
            }));
        }
    }
}

/// How long this process has computed.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    Ok(clock_gettime(ClockId::ProcessCPUTime).try_into()?)
}
