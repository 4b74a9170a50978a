//! Elements of data sets, with the dictionary's value representations.

use dicom_core::{
    DataElement, PrimitiveValue, Tag, VR,
    dictionary::{DataDictionary as _, DataDictionaryEntry as _},
    value::{C, DataSetSequence},
};
use dicom_dictionary_std::StandardDataDictionary;
use dicom_object::{InMemDicomObject, mem::InMemElement};

/// A data set.
pub type Set = InMemDicomObject;
/// An element of one.
pub type Element = InMemElement;

/// What the dictionary says; unknown for what it does not list, which nothing here writes.
fn representation(tag: Tag) -> VR {
    let entry = StandardDataDictionary.by_tag(tag);
    entry.map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// An element without value.
pub fn empty(tag: Tag) -> Element {
    DataElement::empty(tag, representation(tag))
}

/// A text, or several with `\` between; an element without value if it is empty.
pub fn text(tag: Tag, value: impl Into<String>) -> Element {
    let value = value.into();
    if value.is_empty() {
        return empty(tag);
    }
    DataElement::new(tag, representation(tag), PrimitiveValue::Str(value))
}

/// Words of 16 bits.
pub fn words(tag: Tag, values: &[u16]) -> Element {
    let values = PrimitiveValue::U16(C::from_slice(values));
    DataElement::new(tag, representation(tag), values)
}

/// Numbers of 32 bits.
pub fn floats(tag: Tag, values: &[f32]) -> Element {
    let values = PrimitiveValue::F32(C::from_slice(values));
    DataElement::new(tag, representation(tag), values)
}

/// A number of 64 bits.
pub fn double(tag: Tag, value: f64) -> Element {
    DataElement::new(tag, representation(tag), PrimitiveValue::from(value))
}

/// A signed number of 32 bits.
pub fn long(tag: Tag, values: &[i32]) -> Element {
    let values = PrimitiveValue::I32(C::from_slice(values));
    DataElement::new(tag, representation(tag), values)
}

/// Bytes.
pub fn bytes(tag: Tag, values: &[u8]) -> Element {
    DataElement::new(tag, VR::OB, PrimitiveValue::U8(C::from_slice(values)))
}

/// A sequence of these items.
pub fn sequence(tag: Tag, items: Vec<Set>) -> Element {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

/// A sequence of one item with these elements.
pub fn item(tag: Tag, elements: impl IntoIterator<Item = Element>) -> Element {
    sequence(tag, vec![Set::from_element_iter(elements)])
}

/// A text as one line of at most so many characters, for representations in which `\` divides values.
pub fn line(text: &str, most: usize) -> String {
    let plain = |c: char| {
        if c == '\\' || c.is_control() { ' ' } else { c }
    };
    text.trim().chars().map(plain).take(most).collect()
}

/// A paragraph of at most so many characters.
pub fn paragraph(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A number as a decimal string (DS): as exact as 16 characters allow.
pub fn decimal(value: f64) -> String {
    const MOST: usize = 16;
    let plain = value.to_string();
    if plain.len() <= MOST {
        return plain;
    }
    let fits = |text: &String| text.len() <= MOST;
    let shorter = (0..MOST).rev().map(|digits| format!("{value:.digits$e}"));
    let rounded = (0..MOST).rev().map(|digits| format!("{value:.digits$}"));
    let error = |text: &String| {
        let read: f64 = text.parse().unwrap_or(f64::INFINITY);
        (read - value).abs()
    };
    let candidates = shorter
        .filter(fits)
        .take(1)
        .chain(rounded.filter(fits).take(1));
    candidates
        .min_by(|a, b| error(a).total_cmp(&error(b)))
        .unwrap_or_else(|| "0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_fit_and_are_as_exact_as_they_can() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (-1.5, "-1.5"),
            (1.0 / 3.0, "0.33333333333333"),
            (-2.0 / 3.0e-9, "-666666666.66667"),
            (1.0 / 3.0e9, "3.3333333333e-10"),
        ] {
            assert_eq!(decimal(value), text);
            assert!(decimal(value).len() <= 16);
        }
    }

    #[test]
    fn lines_hold_one_value() {
        assert_eq!(line(" a\\b\nc ", 10), "a b c");
        assert_eq!(line("äöü", 2), "äö");
    }
}
