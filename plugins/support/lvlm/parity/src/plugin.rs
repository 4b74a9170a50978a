//! The plugin as the host sees it: requests, and errors in one sentence.

use std::path::Path;
use std::sync::atomic::Ordering;

use medfocus_lvlm::network::Family;
use medfocus_lvlm::plugin::{Lvlm, Settings};
use medfocus_plugin_api::{
    AnswerSpan, Component, Context, Error, ErrorKind, GenerateRequest, Message, ScoreRequest,
    TraceRequest, VisionLanguageModel, protocol::model,
};
use medfocus_torch::tch::Tensor;

use crate::fixture::{Fixtures, host, torch};

fn settings(folder: &Path) -> Settings {
    Settings {
        path: folder.display().to_string(),
        device: "cpu".to_owned(),
        ..Settings::default()
    }
}

fn plugin<F: Family>(settings: Settings) -> Lvlm<F> {
    Lvlm::new(settings, Context::new(host())).unwrap()
}

fn refusal<F: Family>(settings: Settings) -> Error {
    Lvlm::<F>::new(settings, Context::new(host()))
        .err()
        .expect("settings that cannot work")
}

pub fn the_digest_names_weights_and_number_format<F: Family>(fixtures: &Fixtures<F>) {
    let digest = |settings| plugin::<F>(settings).info().unwrap().digest;
    let folders: Vec<_> = fixtures.all().map(|fixture| fixture.folder).collect();
    let (one, other) = (&folders[0], &folders[folders.len() - 1]);
    assert_eq!(digest(settings(one)), digest(settings(one)));
    assert_ne!(digest(settings(one)), digest(settings(other)));
    let narrow = Settings {
        dtype: "bf16".to_owned(),
        ..settings(one)
    };
    assert_ne!(digest(settings(one)), digest(narrow));
}

pub fn requests_are_answered<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let plugin = plugin::<F>(settings(&fixture.folder));
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

pub fn the_user_can_stop_it<F: Family>(fixtures: &Fixtures<F>) {
    let host = host();
    let fixture = fixtures.smallest();
    let plugin = Lvlm::<F>::new(settings(&fixture.folder), Context::new(host)).unwrap();
    host.cancelled.store(true, Ordering::Relaxed);
    let request = GenerateRequest::new(fixture.image(0), fixture.question(), 3);
    assert_eq!(
        plugin.generate(&request).unwrap_err().kind,
        ErrorKind::Cancelled
    );
}

pub fn settings_that_cannot_work_are_refused_in_one_sentence<F: Family>(fixtures: &Fixtures<F>) {
    let folder = fixtures.smallest().folder;
    let refusal = refusal::<F>;
    let missing = refusal(Settings::default());
    assert!(missing.to_string().contains("`path`"), "{missing}");
    let nowhere = refusal(Settings {
        path: "nowhere".to_owned(),
        ..settings(&folder)
    });
    assert_eq!(nowhere.kind, ErrorKind::Missing);
    assert!(
        nowhere.to_string().contains("nowhere/config.json"),
        "{nowhere}"
    );
    let device = refusal(Settings {
        device: "gpu".to_owned(),
        ..settings(&folder)
    });
    assert!(device.to_string().contains("\"gpu\""), "{device}");
    let format = refusal(Settings {
        dtype: "fp4".to_owned(),
        ..settings(&folder)
    });
    assert!(format.to_string().contains("\"fp4\""), "{format}");
    for error in [missing, nowhere, device, format] {
        assert!(!error.to_string().contains('\n'));
    }
}

pub fn weights_that_are_no_numbers_are_said_of_the_models_output<F: Family>(
    fixtures: &Fixtures<F>,
) {
    let fixture = fixtures.smallest();
    let damaged = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(&fixture.folder).unwrap().flatten() {
        std::fs::copy(file.path(), damaged.path().join(file.file_name())).unwrap();
    }
    let path = damaged.path().join("model.safetensors");
    let tensors = Tensor::read_safetensors(&path).unwrap();
    let (_, norm) = tensors
        .iter()
        .find(|(name, _)| name.ends_with("model.norm.weight"))
        .unwrap();
    let _ = norm.get(0).fill_(f64::NAN);
    Tensor::write_safetensors(&tensors, &path).unwrap();

    let plugin = plugin::<F>(settings(damaged.path()));
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
        let text = answer.expect_err(operation).to_string();
        assert!(
            text.contains("the model's log-probabilities are not numbers (NaN"),
            "{text}"
        );
        assert!(!text.contains('\n'), "{text}");
    }
}
