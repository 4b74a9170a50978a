//! `medfocus model`.

use std::{borrow::Cow, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use medfocus_plugin_api::{
    AnswerSpan, Dtype, Error, ErrorKind, GenerateRequest, ModelInfo, Result, ScoreRequest, Tensor,
    TraceRequest, VisionLanguageModel, Want,
};
use ndarray::{Array1, Ix2};
use serde_json::json;

use super::{place, plugins::print_json, terminal};
use crate::workbench::Workbench;

#[derive(Subcommand)]
pub enum Model {
    /// Say what a model is, reading no weights where it need not
    Info(Which),
    /// Check a checkpoint folder without loading it: configuration, every tensor, tokenizer, chat template, image processor;
    /// of a model on a server, whether it is there
    Check {
        /// A folder, COMPONENT=FOLDER, or a name from the model folders
        #[arg(value_name = "FOLDER|MODEL")]
        what: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Answer a question
    Generate {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        question: Question,
        /// PNG, JPEG, TIFF or DICOM
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
    },
    /// Log-probabilities of a given answer on one or more images
    Score {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        question: Question,
        #[command(flatten)]
        answer: Answer,
        /// PNG, JPEG, TIFF or DICOM
        #[arg(long = "image", value_name = "FILE", required = true, num_args = 1..)]
        images: Vec<PathBuf>,
    },
    /// Attention maps, hidden states and gradients of one pass
    Trace {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        question: Question,
        #[command(flatten)]
        answer: Answer,
        /// PNG, JPEG, TIFF or DICOM
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
        /// attention:L, attention:L:heads, hidden:L, features, logits, gradient: before attention:L,
        /// hidden:L, features, pixels, or relevance: before hidden:L, features
        #[arg(long = "want", value_name = "WHAT", required = true)]
        wants: Vec<Want>,
        /// Safetensors file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Args)]
pub struct Which {
    /// COMPONENT=FOLDER, as gemma3=path/to/checkpoint, or a name from the model folders
    #[arg(long)]
    model: String,
    /// cpu or cuda:N [default: the model's own choice]
    #[arg(long)]
    device: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Question {
    /// The full question, taken as it is
    #[arg(long, value_name = "TEXT")]
    question: String,
}

#[derive(Args)]
pub struct Answer {
    /// The answer
    #[arg(long, value_name = "TEXT")]
    answer: String,
    /// Count the tokens that close the turn, too
    #[arg(long)]
    whole_turn: bool,
}

impl Answer {
    fn span(&self) -> AnswerSpan {
        if self.whole_turn {
            AnswerSpan::Turn
        } else {
            AnswerSpan::Answer
        }
    }
}

impl Which {
    fn load(&self, bench: &Workbench) -> Result<impl VisionLanguageModel + use<>> {
        terminal::attend(&bench.session);
        Ok(bench.model(&self.model, self.device.as_deref())?.client())
    }
}

impl Model {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        match self {
            Self::Info(which) => info(bench, &which),
            Self::Check { what, json } => return check(bench, &what, json),
            Self::Generate {
                which,
                question,
                image,
            } => generate(bench, &which, question.question, &image),
            Self::Score {
                which,
                question,
                answer,
                images,
            } => score(bench, &which, question.question, &answer, &images),
            Self::Trace {
                which,
                question,
                answer,
                image,
                wants,
                out,
            } => {
                let span = answer.span();
                let request = TraceRequest::new(
                    bench.study(&image)?.working,
                    question.question,
                    answer.answer,
                    wants,
                )
                .with_span(span);
                trace(bench, &which, &request, &out)
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn info(bench: &Workbench, which: &Which) -> Result<()> {
    terminal::attend(&bench.session);
    let info = bench.inspect_model(&which.model, which.device.as_deref())?;
    if which.json {
        return print_json(&info);
    }
    describe(&info);
    Ok(())
}

fn describe(info: &ModelInfo) {
    if info.layers.is_empty() {
        println!("{}, {}", info.family, info.digest);
        return;
    }
    println!(
        "{} with {} parameters, {} on {}",
        info.family, info.parameters, info.dtype, info.device
    );
    println!(
        "{} layers, {} heads, hidden {}, {} x {} image tokens",
        info.layers.len(),
        info.heads,
        info.hidden,
        info.grid.0,
        info.grid.1
    );
}

/// The exit code says whether the checkpoint is whole, or the server there.
fn check(bench: &Workbench, what: &str, json: bool) -> Result<ExitCode> {
    terminal::attend(&bench.session);
    let outcome = look(bench, what);
    match &outcome {
        Ok(info) if json => print_json(&json!({"whole": true, "model": info}))?,
        Ok(info) => {
            // The weights of a model on a server are not here to be counted.
            let state = if info.parameters == 0 {
                "there"
            } else {
                "whole"
            };
            println!("{what} is {state}");
            describe(info);
        }
        Err(error) if json => print_json(&json!({"whole": false, "fault": error.to_string()}))?,
        Err(error) => println!("{error}"),
    }
    Ok(ExitCode::from(u8::from(outcome.is_err())))
}

/// What a checkpoint is. Of a bare folder every model is asked, and the answer of the one that runs its architecture counts.
fn look(bench: &Workbench, what: &str) -> Result<ModelInfo> {
    let folder = std::path::Path::new(what);
    if what.contains('=') || !(folder.is_dir() || what.contains('/')) {
        let info = bench.inspect_model(what, None)?;
        let file = bench.model_file(what)?;
        return match file.and_then(|file| file.checkpoint) {
            Some(meant) if meant.parameters != info.parameters => Err(Error::invalid(format!(
                "this checkpoint has {} parameters where {} has {}: it is another one",
                info.parameters, meant.repository, meant.parameters
            ))),
            _ => Ok(info),
        };
    }
    let mut fault = None;
    for model in bench.models_of(what) {
        match bench.inspect_model(&model, None) {
            Err(error) if error.kind == ErrorKind::Unsupported => {
                fault.get_or_insert(error);
            }
            outcome => return outcome,
        }
    }
    Err(fault.unwrap_or_else(|| {
        Error::missing("no model is installed that can look at a checkpoint")
            .with_hint("see `medfocus plugins list`, or load it with `medfocus model info`")
    }))
}

fn generate(
    bench: &Workbench,
    which: &Which,
    question: String,
    image: &std::path::Path,
) -> Result<()> {
    let image = bench.study(image)?.working;
    let generation = which.load(bench)?.generate(&GenerateRequest::new(
        image,
        question,
        bench.layers.config.answer.max_new_tokens,
    ))?;
    if which.json {
        return print_json(&generation);
    }
    println!("{}", generation.text);
    Ok(())
}

fn score(
    bench: &Workbench,
    which: &Which,
    question: String,
    answer: &Answer,
    files: &[PathBuf],
) -> Result<()> {
    let images = files
        .iter()
        .map(|file| Ok(bench.study(file)?.working))
        .collect::<Result<_>>()?;
    let scores = which.load(bench)?.score(
        &ScoreRequest::new(images, question, answer.answer.clone()).with_span(answer.span()),
    )?;
    let log_probs = scores.log_probs.view_nd::<f32, Ix2>()?;
    let rows = files.iter().zip(log_probs.rows());
    if which.json {
        let rows: Vec<_> = rows
            .map(|(file, row)| json!({"image": file, "log_probs": row.to_vec(), "sum": row.sum()}))
            .collect();
        return print_json(&json!({"tokens": scores.tokens, "images": rows}));
    }
    for (file, row) in rows {
        let tokens: Vec<_> = scores
            .tokens
            .iter()
            .zip(row)
            .map(|(token, p)| format!("{:?} {p:.4}", token.text))
            .collect();
        println!(
            "{}  {:.4}  {}",
            file.display(),
            row.sum(),
            tokens.join("  ")
        );
    }
    Ok(())
}

fn trace(
    bench: &Workbench,
    which: &Which,
    request: &TraceRequest,
    out: &std::path::Path,
) -> Result<()> {
    let trace = which.load(bench)?.trace(request)?;
    let layout = &trace.layout;
    let integers = |values: Vec<i64>| Tensor::from_array(Array1::from(values));
    let mut tensors = vec![
        (
            "input_ids".to_owned(),
            integers(layout.input_ids.iter().map(|&id| id.into()).collect()),
        ),
        (
            "image_positions".to_owned(),
            integers(layout.image_positions.iter().map(|&p| p as i64).collect()),
        ),
        (
            "grid".to_owned(),
            integers(vec![layout.grid.0.into(), layout.grid.1.into()]),
        ),
        (
            "answer".to_owned(),
            integers(vec![layout.answer.start as i64, layout.answer.end as i64]),
        ),
        ("pixel_values".to_owned(), trace.pixel_values.clone()),
        ("log_probs".to_owned(), trace.log_probs.clone()),
    ];
    tensors.extend(
        trace
            .captures
            .iter()
            .map(|capture| (capture.want.to_string(), capture.tensor.clone())),
    );
    let bytes = safetensors::serialize(
        tensors.iter().map(|(name, tensor)| (name, View(tensor))),
        None,
    )
    .map_err(|error| {
        Error::internal(format!(
            "the trace cannot be written as safetensors: {error}"
        ))
    })?;
    let (folder, name) = place(out)?;
    folder.write(&name, |file| file.write_all(&bytes))?;
    if which.json {
        let shapes: serde_json::Map<_, _> = tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), json!(tensor.shape())))
            .collect();
        return print_json(
            &json!({"layout": layout, "objective": trace.objective, "tensors": shapes}),
        );
    }
    for (name, tensor) in &tensors {
        println!("{name:<28} {:?}", tensor.shape());
    }
    Ok(())
}

/// A tensor as safetensors wants it: row-major bytes.
struct View<'a>(&'a Tensor);

impl safetensors::View for View<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        match self.0.dtype() {
            Dtype::U8 => safetensors::Dtype::U8,
            Dtype::I32 => safetensors::Dtype::I32,
            Dtype::I64 => safetensors::Dtype::I64,
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F64 => safetensors::Dtype::F64,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.to_bytes().into()
    }

    fn data_len(&self) -> usize {
        self.0.shape().iter().product::<usize>() * self.0.dtype().size()
    }
}
