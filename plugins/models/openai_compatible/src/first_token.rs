//! Another score, for servers without log-probabilities of given answers: how the first token divides between yes and no.
//!
//! One token is written, and its likeliest alternatives are looked at. With Y and N the probabilities of all that reads as yes
//! and as no, the score of an answer that begins with yes is ln(Y / (Y + N)). The difference of both scores is the margin
//! ln Y - ln N. Where one side is not among the alternatives, the least likely of them stands for it: its true score is then
//! lower still.

use medfocus_plugin_api::{Error, GrayImage, Result, Token};

use crate::{
    chat::Ask,
    reply::{Scored, UNNUMBERED},
    server::Server,
    workers::Stop,
};

/// Alternatives that are looked at: as many as OpenAI's protocol allows.
pub const ALTERNATIVES: u32 = 20;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Yes.
    Yes,
    /// No.
    No,
}

impl Side {
    /// What a text begins with.
    pub fn of(text: &str) -> Option<Self> {
        let word = text.trim_start_matches(|c: char| !c.is_alphanumeric());
        let word: String = word.chars().take_while(|c| c.is_alphanumeric()).collect();
        match &*word.to_lowercase() {
            "yes" => Some(Self::Yes),
            "no" => Some(Self::No),
            _ => None,
        }
    }

    /// What a record says of the token that was scored.
    const fn label(self) -> &'static str {
        match self {
            Self::Yes => "yes (of yes and no, first token)",
            Self::No => "no (of yes and no, first token)",
        }
    }
}

/// The score of an answer that begins with yes or no.
///
/// # Errors
///
/// Those of [`Server::ask`]; the answer begins otherwise; neither yes nor no is among the alternatives.
pub fn score(
    server: &Server,
    image: &GrayImage,
    question: &str,
    answer: &str,
    stop: &Stop,
) -> Result<Scored> {
    let side = Side::of(answer).ok_or_else(|| {
        Error::invalid("by its first token only an answer can be scored that begins with yes or no")
            .with_hint("ask for yes or no, or use a server that gives `prompt_logprobs`")
    })?;
    let ask = Ask {
        log_probs: Some(ALTERNATIVES),
        ..Ask::new(image, question, 1)
    };
    let reply = server.ask(&ask, stop)?;
    let log_prob = share(&reply.first_place()?, side).ok_or_else(|| {
        Error::unsupported(format!(
            "the model server at {} has neither yes nor no among the {ALTERNATIVES} likeliest first tokens",
            server.host()
        ))
        .with_hint("ask for yes or no")
    })?;
    Ok(Scored {
        token: Token {
            id: UNNUMBERED,
            text: side.label().to_owned(),
        },
        log_prob,
    })
}

/// ln of one side's share of both.
fn share(alternatives: &[(&str, f32)], side: Side) -> Option<f32> {
    let probability = |wanted: Side| -> f64 {
        let its = alternatives
            .iter()
            .filter(|(text, _)| Side::of(text) == Some(wanted));
        its.map(|(_, log_prob)| f64::from(*log_prob).exp()).sum()
    };
    let (yes, no) = (probability(Side::Yes), probability(Side::No));
    if yes + no == 0.0 {
        return None;
    }
    let least = alternatives
        .iter()
        .map(|(_, log_prob)| f64::from(*log_prob));
    let least = least.fold(f64::INFINITY, f64::min).exp();
    let (yes, no) = (
        if yes > 0.0 { yes } else { least },
        if no > 0.0 { no } else { least },
    );
    let own = match side {
        Side::Yes => yes,
        Side::No => no,
    };
    Some((own / (yes + no)).ln() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_their_first_word() {
        for yes in ["Yes", " yes", "YES.", "\u{2581}Yes", "**Yes**, there is"] {
            assert_eq!(Side::of(yes), Some(Side::Yes), "{yes}");
        }
        assert_eq!(Side::of("No, the lungs are clear"), Some(Side::No));
        for neither in ["", "Not", "yesterday", "Maybe yes", "?"] {
            assert_eq!(Side::of(neither), None, "{neither}");
        }
    }

    #[test]
    fn variants_count_together_and_the_difference_is_the_margin() {
        let p = |p: f32| p.ln();
        let alternatives = [
            ("Yes", p(0.4)),
            (" yes", p(0.2)),
            ("No", p(0.2)),
            ("The", p(0.1)),
        ];
        let yes = share(&alternatives, Side::Yes).unwrap();
        let no = share(&alternatives, Side::No).unwrap();
        assert!((yes - 0.75f32.ln()).abs() < 1e-6, "{yes}");
        assert!((yes - no - 3f32.ln()).abs() < 1e-6, "{no}");
    }

    #[test]
    fn the_least_likely_alternative_stands_for_a_side_that_is_not_there() {
        let alternatives = [("Yes", 0.9f32.ln()), ("The", 0.1f32.ln())];
        let no = share(&alternatives, Side::No).unwrap();
        assert!((no - 0.1f32.ln()).abs() < 1e-6, "{no}");
        assert_eq!(share(&[("The", 0.0)], Side::Yes), None);
    }
}
