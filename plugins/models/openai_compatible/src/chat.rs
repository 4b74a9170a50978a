//! Requests to `chat/completions`, with what vLLM adds to OpenAI's protocol.

use base64::{Engine, prelude::BASE64_STANDARD};
use medfocus_imaging::encode::encode_png_gray;
use medfocus_plugin_api::{AnswerSpan, Error, GrayImage, Result};
use serde_json::{Map, Value, json};

/// What is asked of the server.
#[derive(Clone)]
pub struct Ask<'a> {
    /// What the model sees.
    pub image: &'a GrayImage,
    /// The user's turn.
    pub question: &'a str,
    /// The assistant's turn, if it is given.
    pub answer: Option<(&'a str, AnswerSpan)>,
    /// Tokens to write at most.
    pub tokens: u32,
    /// Whether log-probabilities of written tokens are wanted, and of how many others at each place.
    pub log_probs: Option<u32>,
    /// Whether those of the prompt are wanted.
    pub prompt: bool,
    /// What keeps the server from remembering, where it understands more than OpenAI's protocol.
    pub salt: Option<String>,
}

impl<'a> Ask<'a> {
    /// A question about an image.
    pub fn new(image: &'a GrayImage, question: &'a str, tokens: u32) -> Self {
        Self {
            image,
            question,
            answer: None,
            tokens,
            log_probs: None,
            prompt: false,
            salt: None,
        }
    }

    /// The request to a model.
    ///
    /// The image goes as it is, as a grey PNG without loss; before the question, as all families here read it.
    ///
    /// # Errors
    ///
    /// The image cannot be written as PNG.
    pub fn body(&self, model: &str) -> Result<Vec<u8>> {
        let png = encode_png_gray(self.image.view())
            .map_err(|error| Error::internal(format!("an image cannot be sent: {error}")))?;
        let url = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
        let mut messages = vec![json!({"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": self.question},
        ]})];
        let mut body = Map::new();
        if let Some((answer, span)) = self.answer {
            messages.push(json!({"role": "assistant", "content": answer}));
            body.insert("add_generation_prompt".into(), false.into());
            // Else the turn is closed, and its closing tokens are part of the prompt.
            let goes_on = span == AnswerSpan::Answer;
            body.insert("continue_final_message".into(), goes_on.into());
        }
        body.insert("model".into(), model.into());
        body.insert("messages".into(), messages.into());
        body.insert("max_tokens".into(), self.tokens.into());
        body.insert("temperature".into(), 0.into());
        body.insert("stream".into(), false.into());
        if let Some(others) = self.log_probs {
            body.insert("logprobs".into(), true.into());
            if others > 0 {
                body.insert("top_logprobs".into(), others.into());
            }
        }
        if self.prompt {
            // The prompt's own tokens and no others, so that each place says which token it holds.
            body.insert("prompt_logprobs".into(), 0.into());
        }
        if let Some(salt) = &self.salt {
            body.insert("cache_salt".into(), salt.as_str().into());
            body.insert("return_token_ids".into(), true.into());
        }
        serde_json::to_vec(&Value::Object(body))
            .map_err(|error| Error::internal(format!("a request cannot be written: {error}")))
    }
}
