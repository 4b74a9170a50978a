//! No plugin ends the program in the program's name.

#![allow(
    unsafe_code,
    reason = "the C library calls back as a process exits, and plugins call this `_exit` in place of its own"
)]

use std::{
    ffi::c_int,
    process,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

/// The process in which there is work that is not done; 0 if there is none.
static WORKING: AtomicU32 = AtomicU32::new(0);
/// The exit code of a program that could not run.
const FAILED: c_int = 2;

/// While this lives, the program is not done: if a plugin in this process calls `exit` or `_exit`, the exit code says so,
/// whatever the plugin wants it to be. (What a plugin does by a system call, only a process of its own can contain.)
pub struct Working(());

impl Working {
    pub fn begin() -> Self {
        static REGISTERED: Once = Once::new();
        // SAFETY: the function is there as long as the program, takes nothing and does not unwind.
        REGISTERED.call_once(|| unsafe {
            libc::atexit(at_exit);
        });
        WORKING.store(process::id(), Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        WORKING.store(0, Ordering::SeqCst);
    }
}

/// Ends the program for the user.
pub fn exit(code: i32) -> ! {
    WORKING.store(0, Ordering::SeqCst);
    process::exit(code)
}

extern "C" fn at_exit() {
    if is_working() {
        end(FAILED)
    }
}

/// Whether this process has work; one that was forked from it, and could not become another program, has none.
fn is_working() -> bool {
    WORKING.load(Ordering::SeqCst) == process::id()
}

/// Ends the process at once: no destructor is to run after a stranger's `exit`.
fn end(code: c_int) -> ! {
    let code = if is_working() {
        eprintln!(
            "medfocus: a plugin ended the program before it was done; what is in the journal stays"
        );
        FAILED
    } else {
        code
    };
    loop {
        // SAFETY: the call takes a number and does not return.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}

/// In place of the C library's, for all that is in this process.
// SAFETY: it has the type of the function in whose place it is, and does what that does.
#[unsafe(no_mangle)]
extern "C" fn _exit(code: c_int) -> ! {
    end(code)
}

/// The same by its name in standard C.
// SAFETY: as above.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "so it is called")]
extern "C" fn _Exit(code: c_int) -> ! {
    end(code)
}
