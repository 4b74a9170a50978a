//! JSON as Python writes it: `NaN` and `Infinity`, which stand for gaps there, become `null`.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

/// What Python writes besides JSON.
const WORDS: [&[u8]; 2] = [b"NaN", b"Infinity"];

/// Text in which those words outside of strings are replaced.
pub struct Nulls<R> {
    text: R,
    in_string: bool,
    /// Behind a backslash.
    escaped: bool,
    /// What comes before the rest of the text.
    pending: &'static [u8],
}

impl<R: BufRead> Nulls<R> {
    /// Over this text.
    pub fn new(text: R) -> Self {
        Self {
            text,
            in_string: false,
            escaped: false,
            pending: b"",
        }
    }

    fn next(&mut self) -> Result<Option<u8>> {
        if let Some((&byte, rest)) = self.pending.split_first() {
            self.pending = rest;
            return Ok(Some(byte));
        }
        let Some(&byte) = self.text.fill_buf()?.first() else {
            return Ok(None);
        };
        self.text.consume(1);
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = byte == b'\\' && !self.escaped;
            return Ok(Some(byte));
        }
        self.in_string = byte == b'"';
        if byte == b'-' && self.text.fill_buf()?.first() == Some(&b'I') {
            return self.next();
        }
        match WORDS.into_iter().find(|word| word[0] == byte) {
            None => Ok(Some(byte)),
            Some(word) => {
                self.pass(&word[1..])?;
                self.pending = b"ull";
                Ok(Some(b'n'))
            }
        }
    }

    /// Passes over the rest of a word.
    fn pass(&mut self, rest: &[u8]) -> Result<()> {
        let mut found = vec![0; rest.len()];
        self.text.read_exact(&mut found)?;
        if found == rest {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidData,
            "it holds an unknown word",
        ))
    }
}

impl<R: BufRead> Read for Nulls<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        for (count, slot) in buffer.iter_mut().enumerate() {
            match self.next()? {
                Some(byte) => *slot = byte,
                None => return Ok(count),
            }
        }
        Ok(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String> {
        let mut out = String::new();
        Nulls::new(text.as_bytes()).read_to_string(&mut out)?;
        Ok(out)
    }

    #[test]
    fn words_become_null_outside_of_strings() {
        assert_eq!(
            read(r#"[NaN,{"a NaN":-Infinity , "\"NaN\\":Infinity},"\\",NaN,-1,true]"#).unwrap(),
            r#"[null,{"a NaN":null , "\"NaN\\":null},"\\",null,-1,true]"#
        );
        assert_eq!(read("").unwrap(), "");
        assert_eq!(read("\"NaN").unwrap(), "\"NaN");
    }

    #[test]
    fn other_words_stop_it() {
        for text in ["[Na", "[None]", "[Infinite]", "-I"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
