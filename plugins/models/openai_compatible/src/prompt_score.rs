//! Log-probabilities of a given answer, read where the server computes them of its prompt.
//!
//! The answer's tokens are what the prompt with the answer has beyond the prompt without. The rest of both must be the same
//! tokens: else the chat template, or a server that is mistaken about places, would let other tokens count.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use medfocus_plugin_api::{AnswerSpan, Error, GrayImage, Result};

use crate::{
    chat::Ask,
    reply::{Reply, Scored},
    server::Server,
    workers::Stop,
};

/// Prompts that are remembered at most.
const REMEMBERED: usize = 256;

/// A question, and how large the image is.
type Key = (String, (usize, usize));

/// The tokens of prompts without answers.
#[derive(Default)]
pub struct Prompts(Mutex<HashMap<Key, Arc<[u32]>>>);

impl Prompts {
    /// The tokens up to where the model's answer begins, without the first.
    ///
    /// # Errors
    ///
    /// Those of [`Server::ask`], and a server that does not say them.
    pub fn of(
        &self,
        server: &Server,
        image: &GrayImage,
        question: &str,
        stop: &Stop,
    ) -> Result<Arc<[u32]>> {
        let key = (question.to_owned(), image.view().dim());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(known.clone());
        }
        let ask = Ask::new(image, question, 1);
        let prompt = prompt(server, ask, stop)?.prompt()?;
        let ids: Arc<[u32]> = prompt.iter().map(|scored| scored.token.id).collect();
        let mut known = lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, ids.clone());
        Ok(ids)
    }
}

/// The tokens of an answer to a question whose prompt has the tokens `before`.
///
/// # Errors
///
/// Those of [`Server::ask`], and a server whose prompt with the answer is not the one without and more.
pub fn score(
    server: &Server,
    image: &GrayImage,
    question: &str,
    answer: (&str, AnswerSpan),
    before: &[u32],
    stop: &Stop,
) -> Result<Vec<Scored>> {
    let ask = Ask {
        answer: Some(answer),
        ..Ask::new(image, question, 1)
    };
    let mut whole = prompt(server, ask, stop)?.prompt()?;
    let ids = whole.iter().map(|scored| scored.token.id);
    if !ids.take(before.len()).eq(before.iter().copied()) {
        return Err(Error::protocol(format!(
            "the model server at {} has other tokens in front of a given answer than in front of its own",
            server.host()
        ))
        .with_hint("its chat template may not be able to continue an answer"));
    }
    let own = whole.split_off(before.len());
    if own.is_empty() {
        return Err(Error::protocol(format!(
            "the model server at {} has no tokens of the given answer in its prompt",
            server.host()
        )));
    }
    Ok(own)
}

fn prompt(server: &Server, ask: Ask<'_>, stop: &Stop) -> Result<Reply> {
    let ask = Ask {
        prompt: true,
        salt: Some(server.fresh_salt()),
        ..ask
    };
    server.ask(&ask, stop)
}
