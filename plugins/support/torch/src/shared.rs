//! One copy of a checkpoint's parameters for all models of a process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use tch::{Device, Kind, Tensor};

use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::identity::Identity;

/// The parameters of one checkpoint that were asked for so far, on one device in one number format. Whoever holds this keeps
/// them for the next model of the process.
#[derive(Debug)]
pub struct Shared(Mutex<HashMap<String, Tensor>>);

/// What decides the numbers and where they are.
type Key = (Vec<Identity>, Device, Kind);

/// All that is held by anyone.
static ALL: LazyLock<Mutex<HashMap<Key, Weak<Shared>>>> = LazyLock::new(Mutex::default);

impl Shared {
    /// What is there of these files already, or nothing yet. Files that may change without a sign are shared with nobody.
    pub(crate) fn of(files: Vec<Identity>, device: Device, kind: Kind) -> Arc<Self> {
        let new = || Arc::new(Self(Mutex::default()));
        if !files.iter().all(Identity::is_settled) {
            return new();
        }
        let mut all = lock(&ALL);
        all.retain(|_, shared| shared.strong_count() > 0);
        let known = all.entry((files, device, kind)).or_default();
        known.upgrade().unwrap_or_else(|| {
            let shared = new();
            *known = Arc::downgrade(&shared);
            shared
        })
    }

    /// A parameter, read unless it is there. Its memory is common: nobody may write to it.
    pub(crate) fn get(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        device: Device,
        kind: Kind,
    ) -> Result<Tensor> {
        let mut tensors = lock(&self.0);
        if let Some(tensor) = tensors.get(name) {
            // A handle of its own for each model, over the same memory.
            return Ok(tensor.f_detach()?);
        }
        let tensor = checkpoint
            .read(name)?
            .f_to_kind(kind)?
            .f_to_device(device)?;
        tensors.insert(name.to_owned(), tensor.f_detach()?);
        Ok(tensor)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
