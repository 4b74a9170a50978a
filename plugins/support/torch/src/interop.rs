//! libtorch tensors handed to other plugins where they lie.

#![allow(unsafe_code, reason = "tensors are handed over without a copy")]

use medfocus_plugin_api as api;
use tch::{Device, Kind, Tensor};

use crate::Result;

/// Keeps a libtorch tensor alive for whoever sees its memory.
struct Owner {
    _tensor: Tensor,
}

// SAFETY: the owner is never read, only dropped, and libtorch counts its references atomically.
unsafe impl Sync for Owner {}

/// These numbers on a device, without waiting for what it still computes.
pub fn upload(numbers: &[i64], device: Device) -> Result<Tensor> {
    // The bytes of a transfer that is not waited for are copied before the call returns, unless the memory is pinned; this is not.
    Ok(Tensor::f_from_slice(numbers)?.f_to_device_(device, Kind::Int64, true, false)?)
}

/// Shows a tensor of f32 on the CPU without a copy; others are converted first.
///
/// The tensor must not be written to afterwards.
pub fn export(tensor: &Tensor) -> Result<api::Tensor> {
    let tensor = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?;
    let positive = |sizes: Vec<i64>| {
        sizes
            .into_iter()
            .map(|n| n.unsigned_abs() as usize)
            .collect::<Vec<_>>()
    };
    let (shape, strides) = (positive(tensor.size()), positive(tensor.stride()));
    let data = tensor.data_ptr().cast::<f32>().cast_const();
    // SAFETY: libtorch's memory is aligned, initialised and as large as its sizes and (never
    // negative) strides say, and the owner keeps it.
    Ok(unsafe { api::Tensor::from_raw(data, &shape, &strides, Owner { _tensor: tensor }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_tensor_is_shown_where_it_lies() {
        let tensor = Tensor::arange(6, (Kind::Float, Device::Cpu))
            .reshape([2, 3])
            .transpose(0, 1);
        let shown = export(&tensor).unwrap();
        assert_eq!(shown.as_ptr(), tensor.data_ptr().cast_const().cast());
        assert_eq!(shown.shape(), [3, 2]);
        drop(tensor);
        let view = shown.view::<f32>().unwrap();
        assert_eq!(
            view.iter().copied().collect::<Vec<_>>(),
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
    }

    #[test]
    fn other_formats_are_converted() {
        let tensor = Tensor::ones([2], (Kind::BFloat16, Device::Cpu));
        assert_eq!(export(&tensor).unwrap().view::<f32>().unwrap().sum(), 2.0);
    }
}
