//! Question and answer to token ids.
//!
//! The conversation is rendered with the checkpoint's own chat template, each image placeholder is
//! widened to its block of image tokens, and the complete string is tokenised once. Tokenising
//! pieces would be wrong: the newlines of the template and those around the image block merge into
//! a single token.

use std::ops::Range;
use std::path::Path;

use medfocus_plugin_api::{AnswerSpan, Token};
use medfocus_torch::tokenizer::{self, Tokenizer};
use minijinja::{Environment, context};

use crate::bytes::{Bytes, shown};
use crate::chat::{TokenText, TokenizerSettings, compile};
use crate::jinja::TEMPLATE;
use crate::network::{Family, ImageBlock};
use crate::{Error, Result};

/// The tokenizer and chat template of a checkpoint.
#[derive(Debug)]
pub struct Prompter {
    tokenizer: Tokenizer,
    templates: Environment<'static>,
    special: SpecialTokens,
    /// Texts that are read as a token of their own wherever they stand.
    reserved: Vec<String>,
    bytes: Bytes,
    image: ImageBlock,
    /// The text of the image token.
    image_token: String,
}

/// A question with its answer, as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Ids of the whole conversation.
    pub ids: Vec<i64>,
    /// Positions of the answer's tokens; token t is predicted at t - 1.
    pub answer: Range<usize>,
}

impl Prompter {
    /// Reads `tokenizer.json`, `tokenizer_config.json` and the chat template of a folder.
    pub fn from_folder<F: Family>(folder: &Path, config: &F::Config) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let tokenizer = tokenizer::open(&path)?;
        let settings = TokenizerSettings::from_folder(folder)?;
        let text_of = |id: i64, what: &str| {
            u32::try_from(id)
                .ok()
                .and_then(|id| tokenizer.id_to_token(id))
                .ok_or_else(|| Error::File {
                    path: path.clone(),
                    reason: format!(
                        "has no token {id}, which config.json names as its {what} token"
                    ),
                })
        };
        let image = F::image_block(config, &text_of)?;
        let text = |token: Option<TokenText>| token.map(TokenText::into_string).unwrap_or_default();
        Ok(Self {
            templates: compile(folder, &settings)?,
            special: SpecialTokens {
                bos: image
                    .begin
                    .map_or(Ok(String::new()), |id| text_of(id, "first"))?,
                eos: text(settings.eos_token),
                pad: text(settings.pad_token),
            },
            reserved: tokenizer
                .get_added_tokens_decoder()
                .into_values()
                .filter(|token| token.special && !token.content.is_empty())
                .map(|token| token.content)
                .collect(),
            bytes: Bytes::new(&tokenizer),
            image_token: text_of(image.token, "image")?,
            image,
            tokenizer,
        })
    }

    /// Ids of one image of so many tokens and a question, up to where the model's answer begins.
    pub fn question(&self, question: &str, image: usize) -> Result<Vec<i64>> {
        self.check_plain("question", question)?;
        self.encode(&self.expand(&self.render(question, None)?, image), image)
    }

    /// Ids of one image of so many tokens, a question and its answer.
    pub fn answered(
        &self,
        question: &str,
        answer: &str,
        span: AnswerSpan,
        image: usize,
    ) -> Result<Answered> {
        self.check_plain("question", question)?;
        self.check_plain("answer", answer)?;
        let prompt = self.expand(&self.render(question, None)?, image);
        let whole = self.expand(&self.render(question, Some(answer))?, image);
        let turn = whole.strip_prefix(&prompt).ok_or_else(|| {
            refuse(
                "the chat template writes another prompt before an answer than before a generation",
            )
        })?;
        // Templates write the answer as it is or, as Gemma's, trimmed.
        let closing = turn
            .strip_prefix(answer)
            .or_else(|| turn.strip_prefix(answer.trim()))
            .ok_or_else(|| refuse("the chat template rewrites the answer"))?;

        let ids = self.encode(&whole, image)?;
        let start = self.encode(&prompt, image)?.len();
        let closing = self.tokens(closing)?;
        let own = ids.len().saturating_sub(closing.len());
        if !ids.ends_with(&closing) || own < start {
            return Err(refuse(
                "the answer's last token merges with the end of its turn",
            ));
        }
        let end = match span {
            AnswerSpan::Answer => own,
            AnswerSpan::Turn => ids.len(),
        };
        if answer.trim().is_empty() || start >= end {
            return Err(refuse("the answer is empty"));
        }
        Ok(Answered {
            ids,
            answer: start..end,
        })
    }

    /// Ids of what closes a turn after its answer.
    pub fn closing(&self) -> Result<Vec<i64>> {
        let Answered { ids, answer } = self.answered("?", "yes", AnswerSpan::Answer, 1)?;
        Ok(ids[answer.end..].to_vec())
    }

    /// The id of a word's first token, as it would begin an answer.
    pub fn first_token(&self, word: &str) -> Result<i64> {
        self.tokens(word.trim())?
            .first()
            .copied()
            .ok_or_else(|| refuse("a word of the margin is empty"))
    }

    /// Ids to text, without special tokens.
    pub fn decode(&self, ids: &[i64]) -> Result<String> {
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        self.tokenizer
            .decode(&ids, true)
            .map_err(|error| refuse(&format!("the answer cannot be decoded ({error})")))
    }

    /// Each id with its own text. A character that is written in several tokens is shown by the last of them.
    pub fn describe(&self, ids: &[i64]) -> Vec<Token> {
        let plain = |id: u32| self.tokenizer.decode(&[id], false).unwrap_or_default();
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        let mut texts = Vec::with_capacity(ids.len());
        while texts.len() < ids.len() {
            let rest = &ids[texts.len()..];
            let run: Vec<Vec<u8>> = rest.iter().map_while(|&id| self.bytes.of(id)).collect();
            if run.is_empty() {
                texts.push(plain(rest[0]));
            }
            let mut shown = shown(&run.concat()).into_iter();
            texts.extend(
                run.iter()
                    .map(|bytes| shown.by_ref().take(bytes.len()).collect()),
            );
        }
        ids.into_iter()
            .zip(texts)
            .map(|(id, text)| Token { id, text })
            .collect()
    }

    /// Refuses text that the model would not read as it is written: who asks a question has no turns to close.
    fn check_plain(&self, what: &str, text: &str) -> Result<()> {
        match self.reserved.iter().find(|token| text.contains(*token)) {
            None => Ok(()),
            Some(token) => Err(refuse(&format!(
                "the {what} holds {token:?}, which the model would read as one of its own tokens; take it out"
            ))),
        }
    }

    /// The conversation as the chat template writes it, with the image placeholder.
    fn render(&self, question: &str, answer: Option<&str>) -> Result<String> {
        let text = |text: &str| context! { type => "text", text => text };
        let mut messages = vec![context! {
            role => "user",
            content => vec![context! { type => "image" }, text(question)],
        }];
        if let Some(answer) = answer {
            messages.push(context! { role => "assistant", content => vec![text(answer)] });
        }
        self.templates
            .get_template(TEMPLATE)
            .and_then(|template| {
                template.render(context! {
                    messages => messages,
                    add_generation_prompt => answer.is_none(),
                    bos_token => self.special.bos.as_str(),
                    eos_token => self.special.eos.as_str(),
                    pad_token => self.special.pad.as_str(),
                })
            })
            .map_err(|error| refuse(&format!("the chat template fails: {error}")))
    }

    fn expand(&self, rendered: &str, image: usize) -> String {
        let ImageBlock {
            placeholder,
            before,
            after,
            ..
        } = &self.image;
        let tokens = self.image_token.repeat(image);
        rendered.replace(placeholder, &format!("{before}{tokens}{after}"))
    }

    /// Ids of a whole conversation, with exactly one begin token, if there is one, and one image block.
    fn encode(&self, text: &str, image: usize) -> Result<Vec<i64>> {
        let mut ids = self.tokens(text)?;
        if let Some(begin) = self.image.begin {
            if ids.first() != Some(&begin) {
                ids.insert(0, begin);
            }
            if ids.get(1) == Some(&begin) {
                return Err(refuse("the chat template begins the sequence twice"));
            }
        }
        let images = ids.iter().filter(|&&id| id == self.image.token).count();
        if images != image {
            return Err(refuse(&format!(
                "it holds {images} image tokens instead of {image}: question and answer must not contain {:?} or the image token",
                self.image.placeholder
            )));
        }
        Ok(ids)
    }

    fn tokens(&self, text: &str) -> Result<Vec<i64>> {
        let encoding = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(|error| refuse(&format!("the text cannot be tokenised ({error})")))?;
        Ok(encoding.get_ids().iter().map(|&id| i64::from(id)).collect())
    }
}

fn refuse(reason: &str) -> Error {
    Error::Request(format!("the prompt cannot be built: {reason}"))
}

/// Texts that a template may write by name.
#[derive(Debug)]
struct SpecialTokens {
    bos: String,
    eos: String,
    pad: String,
}
