//! Names that nobody guesses.

use std::{fmt, str::FromStr};

use medfocus_plugin_api::{Error, Result};
use serde::{Serialize, Serializer};

/// 128 random bits: whoever knows the name of an image or a job may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(u128);

/// Hexadecimal digits of an [`Id`].
const DIGITS: usize = 32;

impl Id {
    /// A new one, from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// The operating system has none.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::internal(format!("there is no randomness: {error}")))?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != DIGITS || !text.bytes().all(digit) {
            return Err(());
        }
        u128::from_str_radix(text, 16).map(Self).map_err(drop)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is() {
        let id = Id::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(Id(7).to_string().parse(), Ok(Id(7)));
        assert_ne!(Id::random().unwrap(), id);
        for text in [
            "",
            "7",
            "../../etc/passwd",
            &"g".repeat(32),
            &"A".repeat(32),
        ] {
            assert_eq!(text.parse::<Id>(), Err(()));
        }
        assert_eq!(format!("+{}", "0".repeat(31)).parse::<Id>(), Err(()));
    }
}
