//! A local model in the shapes of vLLM's documentation: chat completions with `logprobs`, `prompt_logprobs` as one object a
//! place by the number of the token, `continue_final_message`, `return_token_ids`.
//!
//! The tokens of the question are made up, one a byte, as no test reads what they are; those of answers, and all
//! log-probabilities, are the model's.

use base64::{Engine, prelude::BASE64_STANDARD};
use medfocus_plugin_api::{
    AnswerSpan, Error, GenerateRequest, GrayImage, ScoreRequest, Token, VisionLanguageModel,
};
use ndarray::{Array2, Ix2};
use serde_json::{Value, json};

/// The model's name.
pub const NAME: &str = "local";
/// Tokens that stand for the image.
const IMAGE: usize = 16;

/// What `models` answers.
pub fn models() -> Value {
    json!({"object": "list", "data": [
        {"id": NAME, "object": "model", "owned_by": "vllm", "root": "somebody/local-model", "max_model_len": 4096},
    ]})
}

/// What is asked, taken apart.
struct Asked {
    image: GrayImage,
    question: String,
    answer: Option<(String, AnswerSpan)>,
    tokens: u32,
}

impl Asked {
    fn read(request: &Value) -> Option<Self> {
        let user = request["messages"][0]["content"].as_array()?;
        let url = user
            .iter()
            .find_map(|part| part["image_url"]["url"].as_str())?;
        let png = BASE64_STANDARD
            .decode(url.strip_prefix("data:image/png;base64,")?)
            .ok()?;
        let image = image::load_from_memory(&png).ok()?.into_luma8();
        let dim = (image.height() as usize, image.width() as usize);
        let pixels = Array2::from_shape_vec(dim, image.into_raw()).ok()?;
        let whole = request["continue_final_message"] == false;
        let answer = request["messages"][1]["content"].as_str();
        Some(Self {
            image: GrayImage::from_array(pixels).ok()?,
            question: user
                .iter()
                .find_map(|part| part["text"].as_str())?
                .to_owned(),
            answer: answer.map(|answer| {
                let span = if whole {
                    AnswerSpan::Turn
                } else {
                    AnswerSpan::Answer
                };
                (answer.to_owned(), span)
            }),
            tokens: request["max_tokens"].as_u64()? as u32,
        })
    }

    /// Tokens in front of the answer.
    fn prompt(&self) -> Vec<(u32, String, f32)> {
        let image = (0..IMAGE).map(|_| (9, "<image>".to_owned()));
        let question = self.question.bytes();
        let question = question.map(|byte| (1000 + u32::from(byte), (byte as char).to_string()));
        let all = [(2, "<bos>".to_owned())]
            .into_iter()
            .chain(image)
            .chain(question);
        all.map(|(id, text)| (id, text, -1.5)).collect()
    }
}

/// What `chat/completions` answers.
///
/// # Errors
///
/// Why the request is refused.
pub fn chat(model: &dyn VisionLanguageModel, request: &Value) -> Result<Value, String> {
    let asked = Asked::read(request).ok_or("this is no request")?;
    let refused = |error: Error| error.to_string();
    let mut prompt = asked.prompt();
    let (choice, written) = match &asked.answer {
        None => written(model, &asked, request).map_err(refused)?,
        Some((answer, span)) => {
            prompt.extend(given(model, &asked, answer, *span).map_err(refused)?);
            let choice = json!({"index": 0, "finish_reason": "length",
                "message": {"role": "assistant", "content": ""}, "logprobs": null});
            (choice, 1)
        }
    };
    let mut places = vec![Value::Null];
    places.extend(prompt.iter().skip(1).map(|(id, text, log_prob)| {
        json!({id.to_string(): {"logprob": log_prob, "rank": 1, "decoded_token": text}})
    }));
    let wanted = !request["prompt_logprobs"].is_null();
    Ok(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": NAME, "system_fingerprint": "test-1",
        "choices": [choice],
        "usage": {"prompt_tokens": prompt.len(), "completion_tokens": written, "total_tokens": prompt.len() + written},
        "prompt_logprobs": wanted.then_some(places),
    }))
}

/// What the model writes, and in how many tokens.
fn written(
    model: &dyn VisionLanguageModel,
    asked: &Asked,
    request: &Value,
) -> Result<(Value, usize), Error> {
    let (image, question) = (asked.image.clone(), asked.question.clone());
    let made = model.generate(&GenerateRequest::new(image, question, asked.tokens))?;
    let others = match request["top_logprobs"].as_u64() {
        Some(_) => yes_and_no(model, asked)?,
        None => Vec::new(),
    };
    let each = made.tokens.iter().zip(&made.log_probs).enumerate();
    let content = each.map(|(i, (token, log_prob))| {
        let others = if i == 0 { others.clone() } else { Vec::new() };
        json!({"token": token.text, "logprob": log_prob, "bytes": token.text.as_bytes(), "top_logprobs": others})
    });
    let content: Vec<_> = content.collect();
    let ids = made.tokens.iter().map(|token| token.id);
    let mut choice = json!({
        "index": 0,
        "message": {"role": "assistant", "content": made.text},
        "finish_reason": if made.complete { "stop" } else { "length" },
        "logprobs": (request["logprobs"] == true).then(|| json!({"content": content})),
    });
    if request["return_token_ids"] == true {
        choice["token_ids"] = ids.collect();
    }
    Ok((choice, made.tokens.len()))
}

/// The two likeliest first tokens of a model that knows `Yes` and, if it does not know it, leaves the rest to `No`.
fn yes_and_no(model: &dyn VisionLanguageModel, asked: &Asked) -> Result<Vec<Value>, Error> {
    let first = |word: &str| Ok::<_, Error>(given(model, asked, word, AnswerSpan::Answer)?[0].2);
    let yes = first("Yes")?;
    let no = first("No").unwrap_or_else(|_| (-yes.exp()).ln_1p());
    Ok(vec![
        json!({"token": "Yes", "logprob": yes}),
        json!({"token": "No", "logprob": no}),
    ])
}

/// The tokens of a given answer.
fn given(
    model: &dyn VisionLanguageModel,
    asked: &Asked,
    answer: &str,
    span: AnswerSpan,
) -> Result<Vec<(u32, String, f32)>, Error> {
    let request = ScoreRequest::new(vec![asked.image.clone()], asked.question.clone(), answer);
    let scores = model.score(&request.with_span(span))?;
    let log_probs = scores.log_probs.view_nd::<f32, Ix2>()?;
    let each = scores.tokens.into_iter().zip(log_probs.row(0).to_vec());
    Ok(each
        .map(|(Token { id, text }, log_prob)| (id, text, log_prob))
        .collect())
}
