//! Bytes to the numbers an autoencoder sees, and back.

use medfocus_torch::tch::{Device, Kind, Tensor};
use ndarray::{Array2, ArrayView2};

use crate::{Error, Result};

/// A square of bytes as `[1, 3, side, side]` in [-1, 1], grey in every colour; f32 on the CPU.
pub fn to_tensor(square: ArrayView2<'_, u8>) -> Result<Tensor> {
    let (rows, columns) = square.dim();
    let shares: Vec<f32> = square.iter().map(|&b| f32::from(b) / 255.0).collect();
    let grey = Tensor::f_from_slice(&shares)?.f_reshape([1, 1, rows as i64, columns as i64])?;
    let grey = grey.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
    Ok(grey.f_expand([1, 3, rows as i64, columns as i64], false)?)
}

/// The grey of a decoded image `[1, 3, h, w]`, beyond [-1, 1] cut off: colours rounded to bytes, then Pillow's luma.
///
/// # Errors
///
/// Pixels that are not numbers.
pub fn from_tensor(image: &Tensor) -> Result<Array2<u8>> {
    let (_, _, rows, columns) = image.size4()?;
    let image = image.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    if image.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
        return Err(Error::Checkpoint(
            "it makes an image whose pixels are not numbers; use dtype = \"f32\" or another copy of it"
                .to_owned(),
        ));
    }
    let shares = image
        .f_mul_scalar(0.5)?
        .f_add_scalar(0.5)?
        .f_clamp(0.0, 1.0)?;
    let levels = shares
        .f_mul_scalar(255.0)?
        .f_round()?
        .f_to_kind(Kind::Int64)?;
    let colours = levels.f_reshape([3, rows * columns])?;
    let weights = Tensor::f_from_slice(&[19595_i64, 38470, 7471])?.f_reshape([3, 1])?;
    let luma = colours
        .f_mul(&weights)?
        .f_sum_dim_intlist(0, false, Kind::Int64)?;
    let grey = Vec::<i64>::try_from(luma)?;
    let grey = grey.into_iter().map(|sum| ((sum + 0x8000) >> 16) as u8);
    Array2::from_shape_vec((rows as usize, columns as usize), grey.collect())
        .map_err(|error| Error::Request(error.to_string()))
}
