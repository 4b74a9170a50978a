//! Typed parameters: one declaration gives the struct, its defaults, its checks and its JSON Schema.

use std::ops::RangeInclusive;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The JSON type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A string.
    Text,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// Any of the inner type, or null.
    Optional(&'static Type),
}

/// One parameter, as known at compile time.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Key in the config.
    pub name: &'static str,
    /// What it means, with its unit.
    pub doc: &'static str,
    /// JSON type.
    pub ty: Type,
    /// Default, as JSON.
    pub default: &'static str,
    /// Inclusive bounds, as JSON numbers.
    pub range: Option<(&'static str, &'static str)>,
}

/// A Rust type that a parameter can have.
pub trait FieldType: Serialize + DeserializeOwned {
    /// Its JSON type.
    const TYPE: Type;
    /// The value as a number, for range checks.
    fn number(&self) -> Option<f64> {
        None
    }
}

macro_rules! field_types {
    ($($rust:ty => $json:ident),*) => {$(
        impl FieldType for $rust {
            const TYPE: Type = Type::$json;
            fn number(&self) -> Option<f64> { Some(*self as f64) }
        }
    )*};
}
field_types!(u32 => Integer, u64 => Integer, usize => Integer, i64 => Integer, f32 => Number, f64 => Number);

impl FieldType for bool {
    const TYPE: Type = Type::Bool;
}
impl FieldType for String {
    const TYPE: Type = Type::Text;
}
impl<T: FieldType> FieldType for Option<T> {
    const TYPE: Type = Type::Optional(&T::TYPE);
    fn number(&self) -> Option<f64> {
        self.as_ref()?.number()
    }
}

/// A component's parameters; implemented by [`params!`](crate::params!).
pub trait Params: Serialize + Default + Send + Sync + 'static {
    /// The parameters in the order of the struct.
    const FIELDS: &'static [Field];

    /// Reads a JSON object; keys left out take their defaults.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming the key: unknown, of the wrong type or out of range.
    fn from_json(values: Map<String, Value>) -> Result<Self>;
}

/// For components without parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NoParams {}

impl Params for NoParams {
    const FIELDS: &'static [Field] = &[];
    fn from_json(values: Map<String, Value>) -> Result<Self> {
        reject_unknown(&values, Self::FIELDS)?;
        Ok(Self {})
    }
}

#[doc(hidden)]
pub fn take<T: FieldType>(values: &mut Map<String, Value>, field: &Field) -> Result<T> {
    let name = field.name;
    let value = match values.remove(name) {
        Some(value) => value,
        None => serde_json::from_str(field.default).map_err(|error| {
            Error::internal(format!(
                "the default of parameter `{name}` is not JSON: {error}"
            ))
        })?,
    };
    let value: T = serde_json::from_value(value)
        .map_err(|error| Error::invalid(format!("parameter `{name}`: {error}")).with_key(name))?;
    if let (Some((low, high)), Some(number)) = (field.range, value.number()) {
        let bound = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
        let range: RangeInclusive<f64> = bound(low)..=bound(high);
        if !range.contains(&number) {
            return Err(Error::invalid(format!(
                "parameter `{name}` must lie in {low} to {high}, got {number}"
            ))
            .with_key(name));
        }
    }
    Ok(value)
}

#[doc(hidden)]
pub fn reject_unknown(values: &Map<String, Value>, fields: &[Field]) -> Result<()> {
    let Some(name) = values
        .keys()
        .find(|name| fields.iter().all(|f| f.name != name.as_str()))
    else {
        return Ok(());
    };
    let known: Vec<_> = fields
        .iter()
        .map(|field| format!("`{}`", field.name))
        .collect();
    let known = if known.is_empty() {
        "none".into()
    } else {
        known.join(", ")
    };
    Err(Error::invalid(format!("unknown parameter `{name}`"))
        .with_key(name)
        .with_hint(format!("its parameters are: {known}")))
}

/// Declares a component's parameters.
///
/// ```
/// use medfocus_plugin_api::{choices, params};
///
/// choices! {
///     /// What replaces a hidden cell.
///     pub enum Fill {
///         /// Black.
///         Zero = "zero",
///         /// The image's mean.
///         Mean = "mean",
///     }
/// }
///
/// params! {
///     /// Parameters of my method.
///     pub struct MyParams {
///         /// Cells along each side.
///         pub cells: usize = 8, in 1..=64;
///         /// What replaces a hidden cell.
///         pub fill: Fill = "zero";
///     }
/// }
///
/// use medfocus_plugin_api::Params;
/// assert_eq!(MyParams::default().cells, 8);
/// let wrong = serde_json::from_str(r#"{"cells": 0}"#).unwrap();
/// assert_eq!(
///     MyParams::from_json(wrong).unwrap_err().to_string(),
///     "parameter `cells` must lie in 1 to 64, got 0"
/// );
/// ```
#[macro_export]
macro_rules! params {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {$(
            $(#[doc = $doc:literal])*
            $field_vis:vis $field:ident : $ty:ty = $default:expr $(, in $low:literal ..= $high:literal)?;
        )*}
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, $crate::__private::serde::Serialize)]
        #[serde(crate = "medfocus_plugin_api::__private::serde")]
        $vis struct $name {$(
            $(#[doc = $doc])*
            $field_vis $field: $ty,
        )*}

        impl $crate::Params for $name {
            const FIELDS: &'static [$crate::params::Field] = &[$(
                $crate::params::Field {
                    name: stringify!($field),
                    doc: concat!($($doc),*),
                    ty: <$ty as $crate::params::FieldType>::TYPE,
                    default: stringify!($default),
                    range: $crate::params!(@range $($low, $high)?),
                },
            )*];

            fn from_json(
                mut values: $crate::__private::serde_json::Map<String, $crate::__private::serde_json::Value>,
            ) -> $crate::Result<Self> {
                $crate::params::reject_unknown(&values, Self::FIELDS)?;
                let mut fields = Self::FIELDS.iter();
                Ok(Self {$(
                    $field: $crate::params::take(
                        &mut values,
                        fields.next().expect(stringify!($field)),
                    )?,
                )*})
            }
        }

        impl Default for $name {
            /// # Panics
            ///
            /// If a declared default does not fit its type: a mistake of the declaration.
            fn default() -> Self {
                <Self as $crate::Params>::from_json(Default::default()).expect("declared defaults are valid")
            }
        }
    };
    (@range) => { None };
    (@range $low:literal, $high:literal) => { Some((stringify!($low), stringify!($high))) };
}

/// Declares an enum that a parameter can have, each variant with its name in configs.
#[macro_export]
macro_rules! choices {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {$(
            $(#[$variant_meta:meta])*
            $variant:ident = $text:literal
        ),* $(,)?}
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash,
            $crate::__private::serde::Serialize, $crate::__private::serde::Deserialize,
        )]
        #[serde(crate = "medfocus_plugin_api::__private::serde")]
        $vis enum $name {$(
            $(#[$variant_meta])*
            #[serde(rename = $text)]
            $variant,
        )*}

        impl $crate::params::FieldType for $name {
            const TYPE: $crate::params::Type = $crate::params::Type::Choice(&[$($text),*]);
        }
    };
}
