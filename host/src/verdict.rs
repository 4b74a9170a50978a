//! Yes or no: what an answer says.
//!
//! An answer is read from its words, case and markup aside. The default rule, [`Parser::LastStandalone`]:
//!
//! 1. A *stand-alone* `yes` or `no` is an answer; the last one decides. A `no` that determines the words after it
//!    ("no effusion") does not stand alone.
//! 2. It does not count if it is negated in its clause ("not a yes"), or if both are only named ("yes or no").
//! 3. Without a stand-alone answer, a determining `no` denies: the answer is no. "No doubt" and "no other" deny nothing.
//! 4. Anything else is undecided.
//!
//! ```
//! use medfocus::verdict::{Parser, Verdict::{self, *}};
//!
//! let table: [(&str, Verdict); 31] = [
//!     // Stand-alone answers, of which the last decides.
//!     ("Yes.", Yes),
//!     ("**Yes**", Yes),
//!     (r#"{"answer": "no"}"#, No),
//!     ("At first sight no. But the angle is blunted: yes", Yes),
//!     ("One may say yes, yet the answer is no because the angle is sharp.", No),
//!     ("No\nThe heart is of normal size.", No),
//!     // A determining "no" yields to them, wherever it stands.
//!     ("There is no evidence of effusion in the right lung, but in the left, so the answer is yes.", Yes),
//!     ("Yes, the heart is enlarged. There is no pleural effusion.", Yes),
//!     ("No, there is no pleural effusion.", No),
//!     // Alone, it denies.
//!     ("There is no pleural effusion.", No),
//!     ("**No** focal consolidation.", No),
//!     ("There is no reason to say yes.", No),
//!     ("There is no doubt that the heart is enlarged.", Undecided),
//!     ("The left base is opaque; no other finding.", Undecided),
//!     // What is negated is not an answer, and says nothing of the other one.
//!     ("not yes", Undecided),
//!     ("I cannot say yes", Undecided),
//!     (r#"The answer is not "yes"."#, Undecided),
//!     (r#"The answer is not "yes" but "no"."#, No),
//!     ("It isn’t a clear no.", Undecided),
//!     ("No, I would not answer yes.", No),
//!     ("No rather than yes.", No),
//!     ("There is not enough evidence to say yes.", Undecided),
//!     // A negation ends with its clause.
//!     ("The angle is not sharp, so yes.", Yes),
//!     ("The angle is not sharp so the answer is yes", Yes),
//!     // Naming both is no answer.
//!     ("I cannot answer with yes or no.", Undecided),
//!     ("It is a yes/no question.", Undecided),
//!     ("Yes and no.", Undecided),
//!     (r#"Asked "yes" or "no", I say yes"#, Yes),
//!     // Parts of words and other words are none.
//!     ("Yesterday's note is normal.", Undecided),
//!     ("The heart is enlarged.", Undecided),
//!     ("", Undecided),
//! ];
//! for (answer, verdict) in table {
//!     assert_eq!(Parser::LastStandalone.read(answer), verdict, "{answer}");
//! }
//! ```

use serde::{Deserialize, Serialize};

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Neither.
    Undecided,
}

/// How yes and no are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parser {
    /// The last stand-alone `yes` or `no` decides; see the [module](self).
    #[default]
    LastStandalone,
    /// As the published code has it: the word `yes` (or `no`) anywhere, unless the text's last characters are the
    /// other word. An answer can say both: "Yes, but no effusion."
    Published,
}

impl Parser {
    /// What the answer says; where it says both, yes.
    pub fn read(self, answer: &str) -> Verdict {
        match self {
            Self::LastStandalone => last_standalone(answer),
            Self::Published if published(answer, "yes", "no") => Verdict::Yes,
            Self::Published if published(answer, "no", "yes") => Verdict::No,
            Self::Published => Verdict::Undecided,
        }
    }

    /// Whether the answer says so; with [`Parser::Published`] it can say both yes and no.
    pub fn says(self, answer: &str, verdict: Verdict) -> bool {
        match (self, verdict) {
            (Self::Published, Verdict::No) => published(answer, "no", "yes"),
            _ => self.read(answer) == verdict,
        }
    }
}

fn published(answer: &str, word: &str, other: &str) -> bool {
    let words = |text| str::split(text, |c: char| !c.is_alphanumeric() && c != '_');
    let says = words(answer).any(|found| found.eq_ignore_ascii_case(word));
    // Behind a full stop the last of these words is empty: the published rule does not look past it either.
    let last = words(answer.trim()).next_back();
    says && !last.is_some_and(|last| last.eq_ignore_ascii_case(other))
}

fn last_standalone(answer: &str) -> Verdict {
    let answer = answer.to_lowercase().replace('’', "'");
    let words = words(&answer);
    let mut verdict = None;
    let mut denies = false;
    let mut named = 0;
    for (i, word) in words.iter().enumerate() {
        let Some(said) = word.answer() else { continue };
        if let Some(other) = alternative(&words, i) {
            named = other + 1;
        }
        if i < named {
            continue;
        }
        match determined(&words, i) {
            Some(noun) => denies |= !HARMLESS.contains(&noun),
            None if negated(&words[..i]) => {}
            None => verdict = Some(said),
        }
    }
    match verdict {
        Some(verdict) => verdict,
        None if denies => Verdict::No,
        None => Verdict::Undecided,
    }
}

/// A word in lower case, and what lies between it and the next.
struct Word<'a> {
    text: &'a str,
    gap: &'a str,
}

impl Word<'_> {
    fn answer(&self) -> Option<Verdict> {
        match self.text {
            "yes" => Some(Verdict::Yes),
            "no" => Some(Verdict::No),
            _ => None,
        }
    }

    /// Whether the next word directly goes on.
    fn goes_on(&self) -> bool {
        self.gap == "-" || self.gap.chars().all(|c| blank(c) || EMPHASIS.contains(c))
    }

    /// Whether the next word belongs to the same clause.
    fn same_clause(&self) -> bool {
        self.gap == "-" || self.gap.chars().all(quiet)
    }
}

const EMPHASIS: &str = "*_";
const QUOTES: &str = "\"'`“”‘«»";

/// What begins another clause, so that a negation before it no longer holds.
const CONJUNCTIONS: &[&str] = &[
    "and",
    "because",
    "but",
    "hence",
    "if",
    "or",
    "since",
    "so",
    "then",
    "therefore",
    "thus",
    "which",
    "while",
];

/// What else no noun phrase begins with: a `no` before it determines nothing.
const NO_NOUN: &[&str] = &[
    "as", "based", "due", "for", "given", "i", "in", "is", "it", "that", "the", "there", "this",
    "we", "with",
];

/// `no doubt` and their like deny nothing that was asked.
const HARMLESS: &[&str] = &["doubt", "question", "other"];

const NEGATIONS: &[&str] = &[
    "cannot", "instead", "neither", "never", "no", "nor", "not", "than", "unable",
];

/// How many words before an answer a negation can stand.
const REACH: usize = 6;

/// Not a line break, which ends a clause.
fn blank(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\n' | '\r')
}

/// What can lie between two words of a clause.
fn quiet(c: char) -> bool {
    blank(c) || EMPHASIS.contains(c) || QUOTES.contains(c)
}

/// The words: letters, digits, and apostrophes between them.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut edges = Vec::new();
    let mut inside = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let joins =
            inside && c == '\'' && chars.peek().is_some_and(|next| next.1.is_alphanumeric());
        if (c.is_alphanumeric() || joins) != inside {
            edges.push(at);
            inside = !inside;
        }
    }
    edges.extend(inside.then_some(text.len()));
    let gap_end = |word: usize| edges.get(2 * word + 2).copied().unwrap_or(text.len());
    (edges.chunks_exact(2).enumerate())
        .map(|(word, edge)| Word {
            text: &text[edge[0]..edge[1]],
            gap: &text[edge[1]..gap_end(word)],
        })
        .collect()
}

/// What a `no` at `i` determines, if anything.
fn determined<'a>(words: &[Word<'a>], i: usize) -> Option<&'a str> {
    let no = words.get(i).filter(|word| word.text == "no")?;
    let next = words.get(i + 1)?.text;
    let noun = !CONJUNCTIONS.contains(&next) && !NO_NOUN.contains(&next);
    (noun && no.goes_on()).then_some(next)
}

/// The other answer, if those at `i` and there are only named: "yes or no", "yes/no", "yes and no".
fn alternative(words: &[Word<'_>], i: usize) -> Option<usize> {
    let first = words.get(i)?;
    let other = if first.gap.trim_matches(quiet) == "/" {
        i + 1
    } else {
        let link = words.get(i + 1)?;
        let links = match link.text {
            "or" | "nor" => true,
            // "Yes and no effusion" names one of them.
            "and" => determined(words, i + 2).is_none(),
            _ => false,
        };
        if !links || !first.same_clause() || !link.same_clause() {
            return None;
        }
        i + 2
    };
    let second = words.get(other)?.answer()?;
    (first.answer()? != second).then_some(other)
}

/// Whether the clause that `before` ends with negates what follows.
fn negated(before: &[Word<'_>]) -> bool {
    (before.iter().rev().take(REACH))
        .take_while(|word| word.same_clause())
        .take_while(|word| word.text != "yes" && !CONJUNCTIONS.contains(&word.text))
        .any(|word| NEGATIONS.contains(&word.text) || word.text.ends_with("n't"))
}
