//! Answers of the model's own.

use medfocus_plugin_api::{Generation, GrayImage, Result};

use crate::{chat::Ask, reply::Reply, server::Server, workers::Stop};

/// How much of the protocol a server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// What vLLM adds, too: numbers of tokens, a salt for its memory.
    Extended,
    /// OpenAI's protocol with log-probabilities.
    Plain,
    /// Text alone.
    Bare,
}

impl Dialect {
    /// Every dialect, the richest first.
    pub const ALL: [Self; 3] = [Self::Extended, Self::Plain, Self::Bare];

    /// A question in this dialect.
    pub fn question<'a>(
        self,
        server: &Server,
        image: &'a GrayImage,
        question: &'a str,
        tokens: u32,
    ) -> Ask<'a> {
        Ask {
            log_probs: (self != Self::Bare).then_some(0),
            salt: (self == Self::Extended).then(|| server.fresh_salt()),
            ..Ask::new(image, question, tokens)
        }
    }
}

/// The model's greedy answer. Without log-probabilities it has no tokens either.
///
/// # Errors
///
/// Those of [`Server::ask`], and an answer that contradicts itself.
pub fn generate(
    server: &Server,
    dialect: Dialect,
    image: &GrayImage,
    question: &str,
    tokens: u32,
    stop: &Stop,
) -> Result<Generation> {
    let ask = dialect.question(server, image, question, tokens);
    generation(&server.ask(&ask, stop)?, tokens)
}

/// What was written, with at most so many tokens.
///
/// # Errors
///
/// The answer contradicts itself.
pub fn generation(reply: &Reply, limit: u32) -> Result<Generation> {
    let tokens = reply.tokens(limit)?.into_iter();
    let (tokens, log_probs) = tokens.map(|scored| (scored.token, scored.log_prob)).unzip();
    Ok(Generation::new(
        reply.text(),
        tokens,
        log_probs,
        reply.complete(),
    ))
}
