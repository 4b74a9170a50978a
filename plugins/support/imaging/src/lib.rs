//! Chest images as 8-bit grayscale arrays: reading, the working image, resampling, writing.
//!
//! - [`decode`]: PNG, JPEG, TIFF and DICOM files, recognised by their content;
//! - [`picture`]: the same for a component, by way of the host;
//! - [`encode`]: PNG files;
//! - [`resample`]: Pillow's 8-bit bilinear and bicubic resampling, bit for bit;
//! - [`working`]: the letterboxed square that every method sees.
//!
//! The first three need the `decode` feature (default); the other two need nothing but `ndarray`.

#[cfg(feature = "decode")]
pub mod decode;
#[cfg(feature = "decode")]
pub mod encode;
#[cfg(feature = "decode")]
pub mod picture;
pub mod resample;
pub mod working;
