//! No plugin ends the program in the program's name.

#![allow(unsafe_code, reason = "the C library calls back as a process exits")]

use std::{
    process,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether there is work that is not done.
static WORKING: AtomicBool = AtomicBool::new(false);
/// The exit code of a program that could not run.
const FAILED: i32 = 2;

/// While this lives, the program is not done: if a plugin in this process calls `exit`, the exit code says so, whatever the
/// plugin wants it to be. (What a plugin does by `_exit`, only a process of its own can contain.)
pub struct Working(());

impl Working {
    pub fn begin() -> Self {
        static REGISTERED: Once = Once::new();
        // SAFETY: the function is there as long as the program, takes nothing and does not unwind.
        REGISTERED.call_once(|| unsafe {
            libc::atexit(at_exit);
        });
        WORKING.store(true, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        WORKING.store(false, Ordering::SeqCst);
    }
}

/// Ends the program for the user.
pub fn exit(code: i32) -> ! {
    WORKING.store(false, Ordering::SeqCst);
    process::exit(code)
}

extern "C" fn at_exit() {
    if WORKING.load(Ordering::SeqCst) {
        eprintln!(
            "medfocus: a plugin ended the program before it was done; what is in the journal stays"
        );
        // SAFETY: ends the process at once; no destructor is to run after a stranger's `exit`.
        unsafe { libc::_exit(FAILED) }
    }
}
