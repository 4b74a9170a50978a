//! Numbers too small for a full significand (below 1e-38), which processors handle a hundred times
//! slower than others.
//!
//! Gradients through sharp attention are full of them, though nothing in this project can tell them
//! from zero.

#![allow(unsafe_code, reason = "the floating-point control register")]

/// Takes denormal numbers for zero until dropped, then restores the mode before it.
///
/// Holds for this thread, on x86-64, and for worker threads of libtorch that begin meanwhile. Keep
/// it around calls of libtorch only.
#[must_use = "the mode is restored as soon as the guard is dropped"]
#[derive(Debug)]
pub struct FlushDenormals {
    before: u32,
}

impl FlushDenormals {
    /// Begins to flush.
    pub fn new() -> Self {
        let before = control();
        set_control(before | FLUSH);
        Self { before }
    }
}

impl Default for FlushDenormals {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        set_control(self.before);
    }
}

/// Results that are denormal become zero (bit 15), and so do operands (bit 6).
const FLUSH: u32 = 1 << 15 | 1 << 6;

#[cfg(target_arch = "x86_64")]
fn control() -> u32 {
    let mut value = 0_u32;
    // SAFETY: stores the control register of this thread into a local variable.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
    value
}

#[cfg(target_arch = "x86_64")]
fn set_control(value: u32) {
    // SAFETY: loads a value that was read from the register, with at most the two bits above set.
    // They change the arithmetic of denormal numbers alone, and no Rust arithmetic runs meanwhile.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
}

#[cfg(not(target_arch = "x86_64"))]
fn control() -> u32 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn set_control(_: u32) {}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    /// 1e-30 · 1e-10, which only a denormal number can hold.
    fn tiny_product() -> f64 {
        let tiny = Tensor::full([64], 1e-30, (Kind::Float, Device::Cpu));
        (tiny * 1e-10).max().double_value(&[])
    }

    #[test]
    fn denormals_are_zero_while_it_lives() {
        assert!(tiny_product() > 0.0);
        {
            let _outer = FlushDenormals::new();
            drop(FlushDenormals::new());
            assert_eq!(tiny_product(), 0.0);
        }
        assert!(tiny_product() > 0.0);
    }
}
