//! Arrays that cross the waist without a copy.

#![allow(unsafe_code, reason = "tensors cross the waist without a copy")]

use std::{any::Any, borrow::Cow, fmt, sync::Arc};

use ndarray::{Array, ArrayView, ArrayViewD, Dimension, IxDyn, ShapeBuilder};
use serde::{Deserialize, Serialize};

use crate::{
    abi::TensorHandle,
    error::{Error, Result},
};

/// The type of a tensor's elements; the discriminant is its code on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Dtype {
    /// Unsigned byte.
    U8 = 0,
    /// 32-bit signed integer.
    I32 = 1,
    /// 64-bit signed integer.
    I64 = 2,
    /// IEEE single.
    F32 = 3,
    /// IEEE double.
    F64 = 4,
}

impl Dtype {
    const ALL: [Self; 5] = [Self::U8, Self::I32, Self::I64, Self::F32, Self::F64];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that tensors can hold.
pub trait Element: Copy + Send + Sync + sealed::Sealed + 'static {
    /// Its wire type.
    const DTYPE: Dtype;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type { const DTYPE: Dtype = Dtype::$dtype; }
    )*};
}
elements!(u8 => U8, i32 => I32, i64 => I64, f32 => F32, f64 => F64);

/// An immutable, reference-counted, strided array in CPU memory.
///
/// It may live in an `ndarray`, in libtorch or in another plugin: [`Tensor::view`] shows it as an
/// `ndarray` view where it is. Cloning shares. Inside a request or response it travels as a handle.
#[derive(Clone)]
pub struct Tensor(Arc<Storage>);

struct Storage {
    data: *const u8,
    dtype: Dtype,
    shape: Vec<usize>,
    strides: Vec<usize>,
    _owner: Owner,
}

/// Knows whether a tensor's memory is still held, without holding it.
#[cfg(any(test, feature = "testkit"))]
pub(crate) struct Watch(std::sync::Weak<Storage>);

#[cfg(any(test, feature = "testkit"))]
impl Watch {
    pub(crate) fn held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

enum Owner {
    Local { _keep: Box<dyn Any + Send + Sync> },
    Foreign { _handle: TensorHandle },
}

// SAFETY: the memory is never written while a `Storage` exists, and both owners are `Send + Sync`.
unsafe impl Send for Storage {}
// SAFETY: as above.
unsafe impl Sync for Storage {}

impl Tensor {
    /// Takes over an array; copies only if its strides run backwards.
    pub fn from_array<T: Element, D: Dimension + 'static>(array: Array<T, D>) -> Self {
        // An axis of one element may keep any stride: it is never walked.
        let forward = |array: &Array<T, D>| {
            array
                .shape()
                .iter()
                .zip(array.strides())
                .all(|(&n, &s)| n <= 1 || s >= 0)
        };
        let array = if forward(&array) {
            array
        } else {
            array.as_standard_layout().into_owned()
        };
        let shape = array.shape().to_vec();
        let strides = array
            .strides()
            .iter()
            .map(|&s| usize::try_from(s).unwrap_or(0))
            .collect();
        let data = array.as_ptr().cast();
        Self(Arc::new(Storage {
            data,
            dtype: T::DTYPE,
            shape,
            strides,
            _owner: Owner::Local {
                _keep: Box::new(array),
            },
        }))
    }

    /// Shows foreign memory as a tensor; `owner` is dropped with the last clone.
    ///
    /// `strides` count elements.
    ///
    /// # Safety
    ///
    /// For as long as `owner` lives, `data` must be aligned for `T` and every element reached by
    /// `shape` and `strides` must be initialised and not written to.
    pub unsafe fn from_raw<T: Element>(
        data: *const T,
        shape: &[usize],
        strides: &[usize],
        owner: impl Any + Send + Sync,
    ) -> Self {
        assert_eq!(shape.len(), strides.len(), "one stride per axis");
        Self(Arc::new(Storage {
            data: data.cast(),
            dtype: T::DTYPE,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            _owner: Owner::Local {
                _keep: Box::new(owner),
            },
        }))
    }

    #[cfg(any(test, feature = "testkit"))]
    pub(crate) fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.0))
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.0.dtype
    }

    /// Elements along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Elements between neighbours along each axis.
    pub fn strides(&self) -> &[usize] {
        &self.0.strides
    }

    /// Address of the first element: two tensors with one address share memory.
    pub fn as_ptr(&self) -> *const u8 {
        self.0.data
    }

    /// Whether the elements follow each other in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        self.0
            .shape
            .iter()
            .zip(&self.0.strides)
            .rev()
            .all(|(&n, &s)| {
                let fits = n <= 1 || s == step;
                step *= n;
                fits
            })
    }

    /// The array where it lies, of any rank.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if the elements are not of type `T`.
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        let storage = &*self.0;
        if storage.dtype != T::DTYPE {
            return Err(Error::protocol(format!(
                "expected a tensor of {:?}, got {:?} of shape {:?}",
                T::DTYPE,
                storage.dtype,
                storage.shape
            )));
        }
        if storage.shape.contains(&0) {
            return ArrayView::from_shape(IxDyn(&storage.shape), &[])
                .map_err(|error| Error::internal(error.to_string()));
        }
        let shape = IxDyn(&storage.shape).strides(IxDyn(&storage.strides));
        // SAFETY: the constructors' contracts give initialised memory that outlives `self`.
        Ok(unsafe { ArrayView::from_shape_ptr(shape, storage.data.cast()) })
    }

    /// The array where it lies, of rank `D`.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if element type or rank differ.
    pub fn view_nd<T: Element, D: Dimension>(&self) -> Result<ArrayView<'_, T, D>> {
        self.view::<T>()?.into_dimensionality().map_err(|_| {
            Error::protocol(format!(
                "expected a tensor of rank {}, got shape {:?}",
                D::NDIM.unwrap_or_default(),
                self.shape()
            ))
        })
    }

    /// The elements in row-major order, as this machine holds them: where they lie if they are contiguous, else copied.
    pub fn native_bytes(&self) -> Cow<'_, [u8]> {
        fn slice<T: Element>(tensor: &Tensor) -> Cow<'_, [u8]> {
            let bytes = |data: *const T, length: usize| {
                // SAFETY: initialised elements without padding, which live as long as the tensor.
                unsafe { std::slice::from_raw_parts(data.cast(), length * size_of::<T>()) }
            };
            let view = tensor
                .view::<T>()
                .expect("called for the tensor's own type");
            match view.to_slice() {
                Some(slice) => bytes(slice.as_ptr(), slice.len()).into(),
                None => {
                    let copy: Vec<T> = view.iter().copied().collect();
                    bytes(copy.as_ptr(), copy.len()).to_vec().into()
                }
            }
        }
        match self.dtype() {
            Dtype::U8 => slice::<u8>(self),
            Dtype::I32 => slice::<i32>(self),
            Dtype::I64 => slice::<i64>(self),
            Dtype::F32 => slice::<f32>(self),
            Dtype::F64 => slice::<f64>(self),
        }
    }

    /// A copy of the elements in row-major order, as little-endian bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        fn bytes<T: Element, const N: usize>(tensor: &Tensor, write: fn(T) -> [u8; N]) -> Vec<u8> {
            let view = tensor
                .view::<T>()
                .expect("called for the tensor's own type");
            view.iter().flat_map(|&element| write(element)).collect()
        }
        match self.dtype() {
            Dtype::U8 => bytes(self, u8::to_le_bytes),
            Dtype::I32 => bytes(self, i32::to_le_bytes),
            Dtype::I64 => bytes(self, i64::to_le_bytes),
            Dtype::F32 => bytes(self, f32::to_le_bytes),
            Dtype::F64 => bytes(self, f64::to_le_bytes),
        }
    }

    pub(crate) fn to_handle(&self) -> TensorHandle {
        extern "C" fn release(owner: *mut u8) {
            // SAFETY: made by `Arc::into_raw` below, given back once.
            let storage = unsafe { Arc::from_raw(owner.cast_const().cast::<Storage>()) };
            // An owner that panics when dropped must not unwind into a stranger.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(storage)));
        }
        TensorHandle {
            data: self.0.data,
            dtype: self.0.dtype as u8,
            shape: self.0.shape.iter().map(|&n| n as u64).collect(),
            strides: self.0.strides.iter().map(|&n| n as i64).collect(),
            owner: Arc::into_raw(self.0.clone()).cast_mut().cast(),
            release,
        }
    }

    pub(crate) fn from_handle(handle: TensorHandle) -> Result<Self> {
        let broken = |what: &str| Error::protocol(format!("a tensor handle {what}"));
        let dtype = *Dtype::ALL
            .get(usize::from(handle.dtype))
            .ok_or_else(|| broken("has an unknown element type"))?;
        let shape: Vec<usize> = handle.shape.iter().map(|&n| n as usize).collect();
        let strides: Vec<usize> = handle
            .strides
            .iter()
            .map(|&s| usize::try_from(s))
            .collect::<Result<_, _>>()
            .map_err(|_| broken("runs backwards"))?;
        if shape.len() != strides.len() {
            return Err(broken("has another number of strides than axes"));
        }
        // One past the last byte must be a valid offset, or views would wrap around.
        let reach = shape
            .iter()
            .zip(&strides)
            .try_fold(1usize, |reach, (&n, &s)| {
                reach.checked_add(n.saturating_sub(1).checked_mul(s)?)
            });
        let bytes = reach.and_then(|reach| reach.checked_mul(dtype.size()));
        let elements = shape
            .iter()
            .try_fold(1usize, |total, &n| total.checked_mul(n));
        if bytes.is_none_or(|b| b > isize::MAX as usize)
            || elements.is_none_or(|e| e > isize::MAX as usize)
        {
            return Err(broken("is larger than memory"));
        }
        let empty = shape.contains(&0);
        if !empty && (handle.data.is_null() || handle.data.align_offset(dtype.size()) != 0) {
            return Err(broken("points to null or unaligned memory"));
        }
        Ok(Self(Arc::new(Storage {
            data: handle.data,
            dtype,
            shape,
            strides,
            _owner: Owner::Foreign { _handle: handle },
        })))
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({:?}, {:?})", self.0.dtype, self.0.shape)
    }
}
