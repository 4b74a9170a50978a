//! The component.

use std::sync::Arc;

use medfocus_plugin_api::{
    Ability, Component, Context, Error, GenerateEachRequest, GenerateRequest, Generation,
    ModelInfo, Result, ScoreRequest, Scores, Tensor, VisionLanguageModel,
};
use ndarray::Array2;

use crate::{
    first_token,
    generate::generate,
    probe::{Found, Score, probe},
    prompt_score::{self, Prompts},
    reply::Scored,
    server::{Server, name},
    settings::Settings,
    workers::{Stop, Workers},
};

/// A model on a server, asked over the network.
///
/// The record names the server, the model and what the server says of itself; the weights behind it are not seen, and the
/// digest says so.
pub struct OpenAiCompatible {
    server: Arc<Server>,
    workers: Workers,
    prompts: Arc<Prompts>,
    /// None if it was only looked at.
    found: Option<Found>,
    info: ModelInfo,
    context: Context,
}

impl Component for OpenAiCompatible {
    const NAME: &'static str = "openai_compatible";
    const SUMMARY: &'static str = "A model on a server that speaks OpenAI's protocol, as vLLM does; images leave this process.";
    const ABILITIES: &'static [Ability] = &[Ability::Generate, Ability::Score];
    type Params = Settings;

    fn new(settings: Settings, context: Context) -> Result<Self> {
        let server = Arc::new(Server::new(&settings)?);
        if server.open_to_all() {
            tracing::warn!(
                "images, questions and the key go to {} unencrypted: let its `url` begin with https",
                server.host()
            );
        }
        let workers = Workers::new(settings.concurrency)?;
        let asked = server.clone();
        let (scoring, inspect) = (settings.score, settings.inspect);
        let look = move |stop: &Stop| {
            let checkpoint = asked.checkpoint(stop)?;
            let version = asked.version(stop);
            let found = (!inspect).then(|| probe(&asked, scoring, stop));
            Ok((checkpoint, version, found.transpose()?))
        };
        let looked = workers.each(&context, "asking the model server", vec![look])?;
        let (checkpoint, version, found) = looked.into_iter().next().unwrap_or_default();
        let mut info = ModelInfo::new(Self::NAME, identity(&server, checkpoint, version, &found));
        info.device = server.host().to_owned();
        info.dtype = "unknown".to_owned();
        info.coordinates = settings.coordinates.into();
        if let Some(found) = &found {
            info.abilities.push(Ability::Generate);
            match &found.score {
                Ok(_) => info.abilities.push(Ability::Score),
                Err(why) => tracing::warn!("{} scores no given answers: {why}", server.host()),
            }
        }
        Ok(Self {
            server,
            workers,
            prompts: Arc::default(),
            found,
            info,
            context,
        })
    }
}

/// Which model it is, as far as can be told from outside.
fn identity(
    server: &Server,
    checkpoint: Option<String>,
    version: Option<String>,
    found: &Option<Found>,
) -> String {
    let mut identity = format!(
        "weights unseen: {} at {}",
        name(server.model()),
        server.host()
    );
    let mut add = |what: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            identity += &format!(", {what} {value}");
        }
    };
    add("checkpoint", checkpoint);
    add("server version", version);
    if let Some(origin) = server.origin() {
        add("answers as", Some(name(&origin.model)));
        add("fingerprint", Some(name(&origin.fingerprint)));
    }
    let score = found.as_ref().and_then(|found| found.score.as_ref().ok());
    add(
        "scores by",
        score.map(|score| match score {
            Score::Prompt => "prompt_logprobs".to_owned(),
            Score::FirstToken => "first_token".to_owned(),
        }),
    );
    identity
}

impl OpenAiCompatible {
    fn found(&self) -> Result<&Found> {
        self.found.as_ref().ok_or_else(|| {
            Error::invalid("with `inspect` a model server is only looked at; it answers nothing")
        })
    }
}

impl VisionLanguageModel for OpenAiCompatible {
    fn info(&self) -> Result<ModelInfo> {
        Ok(self.info.clone())
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        let GenerateRequest {
            image,
            question,
            max_new_tokens,
            ..
        } = request;
        let each = GenerateEachRequest::new(vec![image.clone()], question.clone(), *max_new_tokens);
        let mut answers = self.generate_each(&each)?;
        answers
            .pop()
            .ok_or_else(|| Error::internal("the question got no answer"))
    }

    fn generate_each(&self, request: &GenerateEachRequest) -> Result<Vec<Generation>> {
        let dialect = self.found()?.dialect;
        let (question, tokens) = (Arc::new(request.question.clone()), request.max_new_tokens);
        let jobs = request.images.iter().cloned().map(|image| {
            let (server, question) = (self.server.clone(), question.clone());
            move |stop: &Stop| generate(&server, dialect, &image, &question, tokens, stop)
        });
        self.workers
            .each(&self.context, "generating", jobs.collect())
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        let how = self.found()?.score.clone().map_err(|why| {
            Error::unsupported(format!(
                "the model server at {} does not score given answers: {why}",
                self.server.host()
            ))
        })?;
        if request.images.is_empty() {
            return Err(Error::invalid("there is no image to score"));
        }
        if request.answer.trim().is_empty() {
            return Err(Error::invalid("the answer to score is empty"));
        }
        let ScoreRequest {
            question,
            answer,
            span,
            ..
        } = request.clone();
        let asked = Arc::new((question, answer));
        let jobs = request.images.iter().cloned().map(|image| {
            let (server, prompts, asked) =
                (self.server.clone(), self.prompts.clone(), asked.clone());
            move |stop: &Stop| {
                let (question, answer) = &*asked;
                match how {
                    Score::FirstToken => {
                        let scored = first_token::score(&server, &image, question, answer, stop)?;
                        Ok(vec![scored])
                    }
                    Score::Prompt => {
                        let before = prompts.of(&server, &image, question, stop)?;
                        let answer = (&**answer, span);
                        prompt_score::score(&server, &image, question, answer, &before, stop)
                    }
                }
            }
        });
        let rows = self
            .workers
            .each(&self.context, "scoring", jobs.collect())?;
        table(self.server.host(), rows)
    }
}

/// One row an image; all must be about the same tokens.
fn table(host: &str, rows: Vec<Vec<Scored>>) -> Result<Scores> {
    let odd = || {
        Error::protocol(format!(
            "the model server at {host} scores one answer as other tokens from one image to the next"
        ))
    };
    let tokens: Vec<_> = rows
        .first()
        .into_iter()
        .flatten()
        .map(|scored| scored.token.clone())
        .collect();
    let same = |row: &Vec<Scored>| {
        row.iter()
            .map(|s| s.token.id)
            .eq(tokens.iter().map(|t| t.id))
    };
    if !rows.iter().all(same) {
        return Err(odd());
    }
    let shape = (rows.len(), tokens.len());
    let values = rows.into_iter().flatten().map(|scored| scored.log_prob);
    let values = Array2::from_shape_vec(shape, values.collect()).map_err(|_| odd())?;
    Ok(Scores::new(tokens, Tensor::from_array(values)))
}
