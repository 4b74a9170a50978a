//! Answers as JSON-like tokens, without a grammar: whatever is not JSON is a word.

/// A piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    OpenList,
    CloseList,
    OpenObject,
    CloseObject,
    Colon,
    Comma,
    /// A finite or infinite number, never NaN.
    Number(f64),
    /// What stands between quotes, escapes as written.
    Text(&'a str),
    /// Anything else but white space.
    Word,
}

/// Splits a text into tokens in linear time.
///
/// Quotes, double or single, delimit a text only inside brackets, and only if it ends on its line: prose has
/// apostrophes, and an answer cut off at the token limit has an open quote.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// For `"` and `'`: where the line ends that is known to hold no closing one.
    unclosed_until: [usize; 2],
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            unclosed_until: [0; 2],
        }
    }

    /// The bytes from here on that satisfy the condition; moves past them.
    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(|b| !belongs(b)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The text that a quote opens here, if it is closed on this line; moves past it.
    fn quoted(&mut self, quote: u8) -> Option<&'a str> {
        let kind = usize::from(quote == b'\'');
        if self.depth == 0 || self.at < self.unclosed_until[kind] {
            return None;
        }
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut end = start;
        while let Some(&byte) = bytes.get(end) {
            match byte {
                b'\n' => break,
                b'\\' => end += 2,
                byte if byte == quote => {
                    self.at = end + 1;
                    return Some(&self.text[start..end]);
                }
                _ => end += 1,
            }
        }
        self.unclosed_until[kind] = end;
        None
    }

    /// A token of one byte; moves past it.
    fn single(&mut self, token: Token<'a>) -> Token<'a> {
        self.at += 1;
        match token {
            Token::OpenList | Token::OpenObject => self.depth += 1,
            Token::CloseList | Token::CloseObject => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        token
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.run(|b| b.is_ascii_whitespace());
        let first = *self.text.as_bytes().get(self.at)?;
        Some(match first {
            b'[' => self.single(Token::OpenList),
            b']' => self.single(Token::CloseList),
            b'{' => self.single(Token::OpenObject),
            b'}' => self.single(Token::CloseObject),
            b':' => self.single(Token::Colon),
            b',' => self.single(Token::Comma),
            b'0'..=b'9' | b'+' | b'-' | b'.' => {
                let run = self.run(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
                run.parse().map_or(Token::Word, Token::Number)
            }
            b'"' | b'\'' => match self.quoted(first) {
                Some(text) => Token::Text(text),
                None => self.single(Token::Word),
            },
            _ if in_word(first) => {
                // An apostrophe within a word does not open a quotation.
                self.run(|b| in_word(b) || b == b'\'');
                Token::Word
            }
            _ => self.single(Token::Word),
        })
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// The text that is meant: escapes resolved, white space and control characters reduced to single spaces, at most
/// `limit` characters.
pub(super) fn plain(raw: &str, limit: usize) -> String {
    let text = match raw.contains('\\') {
        true => serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_else(|_| raw.to_owned()),
        false => raw.to_owned(),
    };
    let mut plain = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(word);
    }
    match plain.char_indices().nth(limit) {
        Some((end, _)) => plain[..end].trim_end().to_owned(),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        Lexer::new(text).collect()
    }

    #[test]
    fn json_and_what_is_not() {
        use Token::*;
        assert_eq!(
            tokens("[-1.5e2, {\"a\\\"b\": 'it'}]"),
            [
                OpenList,
                Number(-150.0),
                Comma,
                OpenObject,
                Text("a\\\"b"),
                Colon,
                Text("it"),
                CloseObject,
                CloseList
            ]
        );
        assert_eq!(tokens("1-2 x1 NaN"), [Word, Word, Word]);
        assert_eq!(
            tokens("[1e999]"),
            [OpenList, Number(f64::INFINITY), CloseList]
        );
    }

    #[test]
    fn quotes_count_only_inside_brackets_and_closed() {
        use Token::*;
        assert_eq!(tokens("a 5\" lump"), [Word, Number(5.0), Word, Word]);
        assert_eq!(tokens("[the patient's]"), [OpenList, Word, Word, CloseList]);
        assert_eq!(tokens("[\"cut"), [OpenList, Word, Word]);
        assert_eq!(tokens("[\"\n\"a\""), [OpenList, Word, Text("a")]);
    }

    #[test]
    fn plain_text_is_short_and_in_one_line() {
        assert_eq!(plain(" a\\n\\u00e9  b ", 10), "a é b");
        assert_eq!(plain("bad \\x escape", 99), "bad \\x escape");
        assert_eq!(plain("äöü", 2), "äö");
    }
}
