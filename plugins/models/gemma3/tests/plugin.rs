//! The plugin as the host sees it: description, requests, and errors in one sentence.

mod common;

use std::sync::atomic::Ordering;

use common::{CASES, Fixture, folder, host, torch};
use medfocus_lvlm::plugin::Settings;
use medfocus_model_gemma3::Gemma3Plugin;
use medfocus_plugin_api::{
    AnswerSpan, AttentionKind, Component, Context, Error, ErrorKind, GenerateRequest, Message,
    ScoreRequest, TraceRequest, VisionLanguageModel, protocol::model,
};
use medfocus_torch::tch::Tensor;

fn settings(name: &str) -> Settings {
    Settings {
        path: folder(name).display().to_string(),
        device: "cpu".to_owned(),
        ..Settings::default()
    }
}

fn plugin(name: &str) -> Gemma3Plugin {
    Gemma3Plugin::new(settings(name), Context::new(host())).unwrap()
}

fn refusal(settings: Settings) -> Error {
    Gemma3Plugin::new(settings, Context::new(host()))
        .err()
        .expect("settings that cannot work")
}

#[test]
fn the_description_follows_the_checkpoint() {
    let info = plugin("hub").info().unwrap();
    assert_eq!(
        (
            info.family.as_str(),
            info.device.as_str(),
            info.dtype.as_str()
        ),
        ("gemma3", "cpu", "f32")
    );
    assert_eq!((info.input, info.grid), (Some((56, 56)), (2, 2)));
    assert_eq!((info.heads, info.hidden), (4, 32));
    let mut layers = [AttentionKind::Sliding(9); 7];
    layers[5] = AttentionKind::Full;
    assert_eq!(info.layers, layers);
    assert!(info.parameters > 100_000);
    assert!(info.memory.is_some_and(|memory| memory.score > 0));
}

#[test]
fn the_digest_names_weights_and_number_format() {
    let digest = |settings| {
        Gemma3Plugin::new(settings, Context::new(host()))
            .unwrap()
            .info()
            .unwrap()
            .digest
    };
    assert_eq!(digest(settings("small")), digest(settings("small")));
    let narrow = Settings {
        dtype: "bf16".to_owned(),
        ..settings("small")
    };
    let digests = [
        digest(settings("small")),
        digest(settings("hub")),
        digest(narrow),
    ];
    assert!(digests[0] != digests[1] && digests[0] != digests[2]);
}

#[test]
fn requests_are_answered() {
    for name in CASES {
        let fixture = Fixture::load(name);
        let plugin = plugin(name);
        let question = fixture.question().to_owned();
        let generation = plugin
            .generate(&GenerateRequest::new(fixture.image(0), question.clone(), 3))
            .unwrap();
        assert_eq!(generation.tokens.len(), generation.log_probs.len());

        let answer = fixture.answer(1).text;
        let scores = plugin
            .score(
                &ScoreRequest::new(fixture.images(), question.clone(), answer.clone())
                    .with_span(AnswerSpan::Turn),
            )
            .unwrap();
        fixture.check(
            "scores",
            &torch(&scores.log_probs),
            fixture.tensor("scores.1"),
        );

        let trace = plugin
            .trace(&TraceRequest::new(
                fixture.image(0),
                question,
                answer,
                vec!["features".parse().unwrap()],
            ))
            .unwrap();
        fixture.check(
            "features",
            &torch(&trace.captures[0].tensor),
            fixture.tensor("features"),
        );
    }
}

#[test]
fn the_user_can_stop_it() {
    let host = host();
    let plugin = Gemma3Plugin::new(settings("small"), Context::new(host)).unwrap();
    host.cancelled.store(true, Ordering::Relaxed);
    let fixture = Fixture::load("small");
    let request = GenerateRequest::new(fixture.image(0), fixture.question(), 3);
    assert_eq!(
        plugin.generate(&request).unwrap_err().kind,
        ErrorKind::Cancelled
    );
}

#[test]
fn settings_that_cannot_work_are_refused_in_one_sentence() {
    let missing = refusal(Settings::default());
    assert!(missing.to_string().contains("`path`"), "{missing}");
    let nowhere = refusal(Settings {
        path: "nowhere".to_owned(),
        ..settings("small")
    });
    assert_eq!(nowhere.kind, ErrorKind::Missing);
    assert!(
        nowhere.to_string().contains("nowhere/config.json"),
        "{nowhere}"
    );
    let device = refusal(Settings {
        device: "gpu".to_owned(),
        ..settings("small")
    });
    assert!(device.to_string().contains("\"gpu\""), "{device}");
    let format = refusal(Settings {
        dtype: "fp4".to_owned(),
        ..settings("small")
    });
    assert!(format.to_string().contains("\"fp4\""), "{format}");
    for error in [missing, nowhere, device, format] {
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn weights_that_are_no_numbers_are_said_of_the_models_output() {
    let damaged = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder("small")).unwrap().flatten() {
        std::fs::copy(file.path(), damaged.path().join(file.file_name())).unwrap();
    }
    let path = damaged.path().join("model.safetensors");
    let tensors = Tensor::read_safetensors(&path).unwrap();
    let (_, norm) = tensors
        .iter()
        .find(|(name, _)| name == "language_model.model.norm.weight")
        .unwrap();
    let _ = norm.get(0).fill_(f64::NAN);
    Tensor::write_safetensors(&tensors, &path).unwrap();

    let plugin = Gemma3Plugin::new(
        Settings {
            path: damaged.path().display().to_string(),
            ..settings("small")
        },
        Context::new(host()),
    )
    .unwrap();
    let fixture = Fixture::load("small");
    let (question, answer) = (fixture.question().to_owned(), "yes".to_owned());
    let generate = GenerateRequest::new(fixture.image(0), question.clone(), 3);
    let score = ScoreRequest::new(fixture.images(), question.clone(), answer.clone());
    let wants = vec!["gradient:pixels".parse().unwrap()];
    let trace = TraceRequest::new(fixture.image(0), question, answer, wants);
    for (operation, request) in [
        (model::GENERATE, Message::pack(&generate)),
        (model::SCORE, Message::pack(&score)),
        (model::TRACE, Message::pack(&trace)),
    ] {
        // As the host asks it.
        let answer = model::serve(&plugin, operation, request.unwrap());
        let text = answer.err().expect(operation).to_string();
        assert!(
            text.contains("the model's log-probabilities are not numbers (NaN"),
            "{text}"
        );
        assert!(!text.contains('\n'), "{text}");
    }
}
