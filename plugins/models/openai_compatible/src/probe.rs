//! What a server can, found by asking it.

use medfocus_plugin_api::{
    AnswerSpan, Error, ErrorKind, Generation, GrayImage, Result, WORKING_SIDE,
};
use ndarray::Array2;

use crate::{
    chat::Ask,
    first_token::ALTERNATIVES,
    generate::{Dialect, generation},
    prompt_score::{Prompts, score},
    reply::UNNUMBERED,
    server::{Heard, Server},
    settings::Scoring,
    workers::Stop,
};

/// What is asked about the images of the probe.
const QUESTION: &str = "Is the left half of the image brighter? Answer directly with yes or no without any explanation.";
/// Tokens of the answer at most.
const TOKENS: u32 = 16;
/// By how much two log-probabilities of one token may differ, in nats: a server adds in another order when it writes.
const TOLERANCE: f32 = 1e-2;

/// How given answers are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// See [`prompt_score`](mod@crate::prompt_score).
    Prompt,
    /// See [`first_token`](mod@crate::first_token).
    FirstToken,
}

/// What was found.
pub struct Found {
    /// What the server understands.
    pub dialect: Dialect,
    /// How it scores, or why it does not.
    pub score: Result<Score, String>,
}

/// Asks the server.
///
/// # Errors
///
/// It does not answer, or does not score as the parameters demand.
pub fn probe(server: &Server, scoring: Scoring, stop: &Stop) -> Result<Found> {
    let images = [image(false)?, image(true)?];
    let (dialect, first) = dialect(server, &images[0], stop)?;
    let found = match scoring {
        Scoring::None => Err("`score` is \"none\"".to_owned()),
        Scoring::FirstToken => Ok(first_token(server, dialect, &images[0], stop)?),
        Scoring::Auto | Scoring::PromptLogProbs => {
            let checked = check(server, dialect, &images, first, stop);
            match checked {
                Ok(()) => Ok(Score::Prompt),
                Err(Doubt::Failed(error)) => return Err(error),
                Err(Doubt::Unable(why)) if scoring == Scoring::Auto => Err(why),
                Err(Doubt::Unable(why)) => {
                    return Err(Error::unsupported(format!(
                        "the model server at {} cannot score given answers: {why}",
                        server.host()
                    ))
                    .with_key("score")
                    .with_hint("use vLLM without its prefix cache, or set `score` to \"first_token\" or \"none\""));
                }
            }
        }
    };
    Ok(Found {
        dialect,
        score: found,
    })
}

/// The richest dialect that the server understands, and its answer in it.
fn dialect(server: &Server, image: &GrayImage, stop: &Stop) -> Result<(Dialect, Generation)> {
    let mut refused = 400;
    for dialect in Dialect::ALL {
        let ask = dialect.question(server, image, QUESTION, TOKENS);
        match server.hear(&ask, stop)? {
            Heard::Refusal(status) => refused = status,
            Heard::Reply(reply) => {
                let spoken = if reply.has_log_probs() {
                    dialect
                } else {
                    Dialect::Bare
                };
                return Ok((spoken, generation(&reply, TOKENS)?));
            }
        }
    }
    Err(server.refusal(refused))
}

fn first_token(server: &Server, dialect: Dialect, image: &GrayImage, stop: &Stop) -> Result<Score> {
    let ask = Ask {
        log_probs: Some(ALTERNATIVES),
        ..Ask::new(image, QUESTION, 1)
    };
    if dialect == Dialect::Bare {
        return Err(Error::unsupported(format!(
            "the model server at {} gives no log-probabilities, by which the first token could be scored",
            server.host()
        ))
        .with_key("score")
        .with_hint("set `score` to \"none\""));
    }
    server.ask(&ask, stop)?.first_place()?;
    Ok(Score::FirstToken)
}

/// Why scores of given answers are not to be had.
enum Doubt {
    /// The server cannot give them.
    Unable(String),
    /// It could not be asked.
    Failed(Error),
}

impl From<Error> for Doubt {
    /// A server that is gone, or a user who is, says nothing about what it can.
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::Cancelled | ErrorKind::Missing => Self::Failed(error),
            _ => Self::Unable(error.message),
        }
    }
}

/// Has the server score the answers that it gave about two images. It knows what they are: the log-probabilities must be
/// those with which it wrote them. A second image shows whether it remembers the first instead.
fn check(
    server: &Server,
    dialect: Dialect,
    images: &[GrayImage; 2],
    first: Generation,
    stop: &Stop,
) -> Result<(), Doubt> {
    let unable = |why: &str| Err(Doubt::Unable(why.to_owned()));
    if dialect != Dialect::Extended || first.tokens.iter().any(|token| token.id == UNNUMBERED) {
        return unable(
            "it does not say the numbers of its tokens (`return_token_ids`), as vLLM does",
        );
    }
    let ask = dialect.question(server, &images[1], QUESTION, TOKENS);
    let second = generation(&server.ask(&ask, stop)?, TOKENS)?;
    let prompts = Prompts::default();
    for (image, written) in images.iter().zip([first, second]) {
        if written.text.trim().is_empty() {
            return unable("it answered nothing that could be scored to check it");
        }
        let before = prompts.of(server, image, QUESTION, stop)?;
        let answer = (&*written.text, AnswerSpan::Answer);
        let scored = score(server, image, QUESTION, answer, &before, stop)?;
        // The token that closes the turn is no part of the answer.
        let closing = usize::from(written.complete);
        let own = scored.len();
        if own > written.tokens.len() || own + closing < written.tokens.len() {
            return unable("of its own answer it scores another number of tokens than it wrote");
        }
        let pairs = || scored.iter().zip(&written.tokens);
        if pairs().any(|(scored, written)| scored.token.id != written.id) {
            return unable("of its own answer it scores other tokens than it wrote");
        }
        let pairs = scored.iter().zip(&written.log_probs);
        let differences = pairs.map(|(scored, written)| (scored.log_prob - written).abs());
        let most = differences.fold(0.0, f32::max);
        if most > TOLERANCE {
            return unable(&format!(
                "its own answer has other log-probabilities when it is scored than when it was written (by {most:.3})"
            ));
        }
    }
    Ok(())
}

/// An image that holds nobody: a slope, brighter to the right or to the left.
fn image(left: bool) -> Result<GrayImage> {
    let side = WORKING_SIDE as usize;
    let slope = |x: usize| (if left { side - 1 - x } else { x }) as u8;
    GrayImage::from_array(Array2::from_shape_fn((side, side), |(_, x)| slope(x)))
}
