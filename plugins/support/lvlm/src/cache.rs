//! Keys and values of the tokens read and generated so far.

use medfocus_torch::tch::Tensor;

use crate::Result;

/// Tokens a buffer has to spare when it is made or enlarged.
const SPARE: i64 = 256;

/// Keys and values of all layers.
#[derive(Debug)]
pub struct Cache {
    slots: Vec<Option<Slot>>,
}

/// One layer's keys and values, `[batch, kv heads, room, head_dim]`, filled from the front.
#[derive(Debug)]
struct Slot {
    keys: Tensor,
    values: Tensor,
}

impl Cache {
    /// An empty cache for this many layers.
    pub fn new(layers: usize) -> Self {
        Self {
            slots: (0..layers).map(|_| None).collect(),
        }
    }

    /// Stores the keys and values of the tokens from position `first` on and returns those of all
    /// tokens so far, oldest first.
    pub fn extend(
        &mut self,
        layer: usize,
        first: i64,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let count = keys.size4()?.2;
        let end = first + count;
        let slot = &mut self.slots[layer];
        let filled = match slot.take() {
            Some(filled) if filled.keys.size4()?.2 >= end => filled,
            smaller => {
                let (old_keys, old_values) = smaller.map(|old| (old.keys, old.values)).unzip();
                Slot {
                    keys: enlarged(old_keys, keys, end + SPARE)?,
                    values: enlarged(old_values, values, end + SPARE)?,
                }
            }
        };
        filled.keys.f_narrow(2, first, count)?.f_copy_(keys)?;
        filled.values.f_narrow(2, first, count)?.f_copy_(values)?;
        let seen = (
            filled.keys.f_narrow(2, 0, end)?,
            filled.values.f_narrow(2, 0, end)?,
        );
        *slot = Some(filled);
        Ok(seen)
    }

    /// Goes on with these sequences of the batch alone.
    pub fn keep(&mut self, rows: &Tensor) -> Result<()> {
        for slot in self.slots.iter_mut().flatten() {
            slot.keys = slot.keys.f_index_select(0, rows)?;
            slot.values = slot.values.f_index_select(0, rows)?;
        }
        Ok(())
    }
}

/// A buffer of `room` tokens shaped like `sample`, beginning with what the old one held.
fn enlarged(old: Option<Tensor>, sample: &Tensor, room: i64) -> Result<Tensor> {
    let (batch, heads, _, width) = sample.size4()?;
    let buffer = Tensor::f_empty(
        [batch, heads, room, width],
        (sample.f_kind()?, sample.device()),
    )?;
    if let Some(old) = old {
        buffer.f_narrow(2, 0, old.size4()?.2)?.f_copy_(&old)?;
    }
    Ok(buffer)
}
