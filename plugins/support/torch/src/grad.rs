//! The autograd mode of this thread, restored on every way out.
//!
//! `tch::no_grad` leaves gradients off when its closure panics, and with them every other plugin
//! that runs on the thread afterwards. A guard cannot forget.

#![allow(unsafe_code, reason = "a flag of libtorch that tch does not show")]

/// Sets the autograd mode until dropped, then restores the one before it.
#[must_use = "the mode is restored as soon as the guard is dropped"]
#[derive(Debug)]
pub struct GradMode {
    before: bool,
}

impl GradMode {
    /// Records operations on tensors that require gradients.
    pub fn recording() -> Self {
        Self::set(true)
    }

    /// Records nothing.
    pub fn off() -> Self {
        Self::set(false)
    }

    /// Whether this thread records at the moment.
    pub fn is_recording() -> bool {
        let guard = Self::off();
        guard.before
    }

    fn set(enabled: bool) -> Self {
        Self {
            before: exchange(enabled),
        }
    }
}

impl Drop for GradMode {
    fn drop(&mut self) {
        exchange(self.before);
    }
}

/// Sets the thread's mode and returns the previous one.
fn exchange(enabled: bool) -> bool {
    // SAFETY: reads and writes a thread-local flag of libtorch; no pointer is involved.
    unsafe { torch_sys::at_grad_set_enabled(enabled.into()) != 0 }
}

#[cfg(test)]
mod tests {
    use super::GradMode;

    #[test]
    fn modes_nest_and_are_restored() {
        let _outer = GradMode::recording();
        {
            let _off = GradMode::off();
            assert!(!GradMode::is_recording());
            let _on = GradMode::recording();
            assert!(GradMode::is_recording());
        }
        assert!(GradMode::is_recording());
    }

    #[test]
    fn a_panic_restores_the_mode() {
        let _outer = GradMode::recording();
        let caught = std::panic::catch_unwind(|| {
            let _off = GradMode::off();
            panic!("inside");
        });
        assert!(caught.is_err());
        assert!(GradMode::is_recording());
    }
}
