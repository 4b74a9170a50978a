//! Lists of phrases.

use super::{
    MAX_PHRASE, NAME_KEYS, Outcome,
    lexer::{Lexer, Token, plain},
};

/// At most so many phrases of an answer are kept: its first.
pub const MAX_PHRASES: usize = 16;

/// The phrases of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhraseList {
    /// In the model's order, each once; upper and lower case are the same.
    pub phrases: Vec<String>,
    /// Lists that hold nothing.
    pub empty: u64,
    /// Phrases beyond [`MAX_PHRASES`].
    pub left_out: u64,
    /// The phrases in lower case.
    lower: Vec<String>,
}

impl PhraseList {
    /// Reads an answer: the texts in its lists, and in its objects those under a key such as `label` or
    /// `description`; if there are none, the lines that begin with a bullet or a number.
    ///
    /// One pass without recursion for each of the two: time is linear in the text, memory bounded by [`MAX_PHRASES`].
    pub fn read(text: &str) -> Self {
        let mut found = Self::default();
        found.read_lists(text);
        if found.phrases.is_empty() {
            text.lines().filter_map(item).for_each(|it| found.add(it));
        }
        found
    }

    /// How the answer was understood.
    pub fn outcome(&self) -> Outcome {
        if !self.phrases.is_empty() {
            Outcome::Listed
        } else if self.empty > 0 {
            Outcome::None
        } else {
            Outcome::Unreadable
        }
    }

    fn read_lists(&mut self, text: &str) {
        // The last text is a phrase unless a colon makes it a key.
        let (mut last, mut key) = (None, None);
        let mut opened = false;
        for token in Lexer::new(text) {
            let value_of = key.take();
            match token {
                Token::Colon => key = last.take(),
                Token::Text(value) => {
                    self.add_some(last.take());
                    match value_of {
                        Some(key) if NAME_KEYS.contains(&key) => self.add(value),
                        Some(_) => {}
                        None => last = Some(value),
                    }
                }
                _ => self.add_some(last.take()),
            }
            if opened && token == Token::CloseList {
                self.empty += 1;
            }
            opened = token == Token::OpenList;
        }
        self.add_some(last);
    }

    fn add_some(&mut self, raw: Option<&str>) {
        if let Some(raw) = raw {
            self.add(raw);
        }
    }

    fn add(&mut self, raw: &str) {
        let phrase = plain(raw, MAX_PHRASE);
        let edge = |c: char| c.is_whitespace() || "\"'`*.,;".contains(c);
        let phrase = phrase.trim_matches(edge);
        let lower = phrase.to_lowercase();
        if phrase.is_empty() || self.lower.contains(&lower) {
            return;
        }
        if self.phrases.len() < MAX_PHRASES {
            self.phrases.push(phrase.to_owned());
            self.lower.push(lower);
        } else {
            self.left_out += 1;
        }
    }
}

/// What follows the bullet or number that begins the line.
fn item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(rest) = line.strip_prefix(['-', '*', '•']) {
        return rest.starts_with(char::is_whitespace).then_some(rest);
    }
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < line.len())
        .then(|| rest.strip_prefix(['.', ')']))
        .flatten()
        .filter(|rest| rest.starts_with(char::is_whitespace))
}
