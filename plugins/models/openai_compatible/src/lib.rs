//! A model on a server that speaks OpenAI's protocol, as vLLM, SGLang, llama.cpp and TGI do.
//!
//! What a server says that it can is not believed: [`probe`](mod@probe) asks it something, and then for the score of the very
//! answer it gave. [`chat`] writes requests, [`reply`] checks answers; [`endpoint`] is the way there, and [`workers`] go it
//! side by side. Two scores are kept apart: [`prompt_score`], the log-probability of the answer's tokens, and
//! [`first_token`], how the first token divides between yes and no.

pub mod chat;
pub mod endpoint;
pub mod first_token;
pub mod generate;
pub mod model;
pub mod probe;
pub mod prompt_score;
pub mod reply;
pub mod server;
pub mod settings;
pub mod workers;

medfocus_plugin_api::export_plugin! {
    network = true;
    model model::OpenAiCompatible;
}
