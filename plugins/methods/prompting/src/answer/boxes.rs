//! Lists of boxes.

use super::{
    MAX_PHRASE, NAME_KEYS, Outcome,
    lexer::{Lexer, Token, plain},
};

/// At most so many boxes of an answer are kept: its first.
pub const MAX_BOXES: usize = 64;

/// Four numbers as the model wrote them, and what it calls them.
#[derive(Clone, Debug, PartialEq)]
pub struct RawBox {
    /// In the model's order and units; possibly infinite, never NaN.
    pub numbers: [f64; 4],
    /// The label of the object it stands in.
    pub label: Option<String>,
}

/// The boxes of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoxList {
    /// In the model's order.
    pub boxes: Vec<RawBox>,
    /// Lists that hold anything but four numbers or other lists.
    pub malformed: u64,
    /// Lists that hold nothing.
    pub empty: u64,
    /// Boxes beyond [`MAX_BOXES`].
    pub left_out: u64,
}

impl BoxList {
    /// Reads an answer: every innermost list of four numbers is a box, wherever it stands, so prose and fences around
    /// it, objects, nesting, trailing text and a list without an end all do no harm.
    ///
    /// One pass without recursion: time is linear in the text, memory bounded by [`MAX_BOXES`].
    pub fn read(text: &str) -> Self {
        let mut reader = Reader::default();
        for token in Lexer::new(text) {
            reader.take(token);
        }
        reader.close_object();
        reader.found
    }

    /// How the answer was understood.
    pub fn outcome(&self) -> Outcome {
        if !self.boxes.is_empty() {
            Outcome::Listed
        } else if self.empty > 0 && self.malformed == 0 {
            Outcome::None
        } else {
            Outcome::Unreadable
        }
    }
}

#[derive(Default)]
struct Reader<'a> {
    found: BoxList,
    /// The innermost open list, while it may still be a box.
    list: Option<Leaf>,
    /// The last text, while a colon may still make it a key.
    text: Option<&'a str>,
    /// The key whose value comes next.
    key: Option<&'a str>,
    /// First box of the innermost object, and its label.
    object: usize,
    label: Option<&'a str>,
}

#[derive(Default)]
struct Leaf {
    numbers: [f64; 4],
    count: usize,
    foreign: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: Token<'a>) {
        let (text, key) = (self.text.take(), self.key.take());
        match token {
            Token::OpenList => self.list = Some(Leaf::default()),
            Token::CloseList => self.close_list(),
            Token::OpenObject => {
                self.list = None;
                self.object = self.found.boxes.len();
                self.label = None;
            }
            Token::CloseObject => self.close_object(),
            Token::Colon => self.key = text,
            Token::Comma => {}
            Token::Number(value) => {
                if let Some(leaf) = &mut self.list {
                    if let Some(number) = leaf.numbers.get_mut(leaf.count) {
                        *number = value;
                    }
                    leaf.count += 1;
                }
            }
            Token::Text(value) => match key {
                Some(key) if NAME_KEYS.contains(&key) => self.label = Some(value),
                Some(_) => {}
                None => {
                    self.text = Some(value);
                    self.foreign();
                }
            },
            Token::Word => self.foreign(),
        }
    }

    fn foreign(&mut self) {
        if let Some(leaf) = &mut self.list {
            leaf.foreign = true;
        }
    }

    fn close_list(&mut self) {
        let found = &mut self.found;
        match self.list.take() {
            None => {}
            Some(Leaf {
                count: 0,
                foreign: false,
                ..
            }) => found.empty += 1,
            Some(Leaf {
                numbers,
                count: 4,
                foreign: false,
            }) if found.boxes.len() < MAX_BOXES => found.boxes.push(RawBox {
                numbers,
                label: None,
            }),
            Some(Leaf {
                count: 4,
                foreign: false,
                ..
            }) => found.left_out += 1,
            Some(_) => found.malformed += 1,
        }
    }

    /// Gives the object's label to its boxes.
    fn close_object(&mut self) {
        if let Some(label) = self.label.take() {
            let label = plain(label, MAX_PHRASE);
            for raw in &mut self.found.boxes[self.object..] {
                raw.label = Some(label.clone());
            }
        }
        self.object = self.found.boxes.len();
    }
}
