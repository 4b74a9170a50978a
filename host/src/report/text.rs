//! Names and numbers as every format of a report prints them.

use serde_json::{Map, Value};

use crate::{
    experiment::record::{Change, Exclusion},
    statistics::Summary,
};

/// A number with so many decimals: the exact value of the `f64`, a tie rounded to even.
///
/// Every number of `table.md` and `report.html` goes through here, so that they agree to the digit with each other and
/// with the full-precision numbers of `table.csv`.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|b| matches!(b, b'0' | b'.')) => digits.to_owned(),
        _ => text,
    }
}

/// A mean, a share or a cost.
pub fn number(value: f64) -> String {
    fixed(value, 2)
}

/// A difference, with its sign.
pub fn signed(value: f64) -> String {
    let text = number(value);
    if text.starts_with('-') || text == "0.00" {
        text
    } else {
        format!("+{text}")
    }
}

/// The 95 % interval of a mean, if it has one.
pub fn interval(summary: &Summary) -> Option<String> {
    let (low, high) = (summary.low?, summary.high?);
    Some(format!("{} to {}", number(low), number(high)))
}

/// A p-value as `p = 0.012`.
pub fn p_value(p: f64) -> String {
    if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {}", fixed(p, 3))
    }
}

/// A count with its noun, which is regular.
pub fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// A sentence's beginning.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// `a, b and c`.
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
}

/// Parameters as `a = 1, b = "c"`.
pub fn params(params: &Map<String, Value>) -> String {
    let pairs = params
        .iter()
        .map(|(name, value)| format!("{name} = {value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

/// What a sanity check changes.
pub fn change(change: Change) -> String {
    match change {
        Change::Question => "question".to_owned(),
        Change::Patient => "patient".to_owned(),
        Change::NoImage => "no image".to_owned(),
        Change::Weights(layers) => format!("weights:{layers}"),
        Change::AllWeights => "weights:all".to_owned(),
    }
}

/// Why a sample is not explained.
pub const fn exclusion(reason: Exclusion) -> &'static str {
    match reason {
        Exclusion::Incorrect => "incorrect",
        Exclusion::Undecided => "undecided",
        Exclusion::Ungrounded => "ungrounded",
        Exclusion::Unannotated => "unannotated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_even_and_zero_has_no_sign() {
        for (value, text) in [
            (0.125, "0.12"),
            (0.375, "0.38"),
            (-0.125, "-0.12"),
            (2.5, "2.50"),
            // Just below the tie as an f64.
            (1.005, "1.00"),
            (-0.001, "0.00"),
            (-0.0, "0.00"),
            (100.0, "100.00"),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
        assert_eq!(fixed(0.5, 0), "0");
        assert_eq!(fixed(1.5, 0), "2");
    }

    #[test]
    fn words() {
        assert_eq!(signed(1.0), "+1.00");
        assert_eq!(signed(-1.0), "-1.00");
        assert_eq!(signed(0.001), "0.00");
        assert_eq!(p_value(0.0004), "p < 0.001");
        assert_eq!(p_value(0.0416), "p = 0.042");
        assert_eq!(count(1, "sample"), "1 sample");
        assert_eq!(count(0, "sample"), "0 samples");
        let words = ["a", "b", "c"].map(String::from);
        assert_eq!(list(&words), "a, b and c");
        assert_eq!(list(&words[..1]), "a");
    }
}
