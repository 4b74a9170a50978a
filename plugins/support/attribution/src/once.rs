//! Work that is done at the first use.

use std::sync::{Mutex, OnceLock, PoisonError};

use medfocus_plugin_api::Result;

/// A value built at its first use; a failure is not kept, so the next use tries again.
#[derive(Debug)]
pub struct Once<T> {
    value: OnceLock<T>,
    building: Mutex<()>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self {
            value: OnceLock::new(),
            building: Mutex::new(()),
        }
    }
}

impl<T> Once<T> {
    /// The value; callers on other threads wait while it is built.
    ///
    /// # Errors
    ///
    /// What `build` fails with.
    pub fn get(&self, build: impl FnOnce() -> Result<T>) -> Result<&T> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let _alone = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = build()?;
        Ok(self.value.get_or_init(|| value))
    }
}
