//! Servers that are slow, busy, broken, elsewhere or not who they say: one sentence each, and nothing of what was asked in it.

mod common;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use common::{QUESTION, generate, image, made, params, plan, refused, score};
use medfocus_model_openai_compatible::model::OpenAiCompatible;
use medfocus_model_server::{Authority, Wire};
use medfocus_plugin_api::{
    Error, ErrorKind, GenerateEachRequest, VisionLanguageModel, testkit::LocalHost,
};
use serde_json::{Value, json};

/// Whether a request is the test's, not the probe's.
fn ours(request: &Value) -> bool {
    request["messages"][0]["content"][1]["text"] == QUESTION
}

/// What is said of a server that conducts itself so whatever it is asked.
fn said(wire: Wire, more: Value) -> Error {
    let server = plan().conduct(move |_, _| wire.clone()).start();
    let error = refused(&server, more);
    assert!(error.message.contains(&server.host()), "{error}");
    assert!(!error.to_string().contains("brighter"), "{error}");
    error
}

#[test]
fn each_trouble_is_one_sentence() {
    let short = json!({"timeout_seconds": 1});
    for (wire, more, words) in [
        (
            Wire::Never(Duration::from_secs(3)),
            short.clone(),
            "did not answer within 1 s",
        ),
        (Wire::Endless, short, "did not answer within 1 s"),
        (Wire::Dropped, json!({}), "broke off (1 try)"),
        (
            Wire::Status(500, None),
            json!({}),
            "failed (status 500) (1 try)",
        ),
        (Wire::Status(429, None), json!({}), "too busy (status 429)"),
        (
            Wire::Status(403, None),
            json!({}),
            "refuses the key (status 403)",
        ),
        (
            Wire::Status(413, None),
            json!({}),
            "does not take the request (status 413)",
        ),
        (
            Wire::Status(400, None),
            json!({}),
            "does not take the request (status 400)",
        ),
        (
            Wire::Redirect("http://127.0.0.1:9/v1".into()),
            json!({}),
            "sends on to another address (status 307)",
        ),
        (
            Wire::Huge(17 << 20),
            json!({}),
            "answers with more than 16 MiB",
        ),
        (Wire::Text("<html>"), json!({}), "is no chat completion"),
        (
            Wire::Text(r#"{"choices": []}"#),
            json!({}),
            "holds 0 choices",
        ),
        (
            Wire::Text(
                r#"{"choices": [{"message": {}, "logprobs": {"content": [{"token": "a", "logprob": NaN}]}}]}"#,
            ),
            json!({}),
            "is no chat completion",
        ),
        (
            Wire::Text(
                r#"{"choices": [{"message": {}, "logprobs": {"content": [{"token": "a", "logprob": 2.5}]}}]}"#,
            ),
            json!({}),
            "has 2.5 as a log-probability",
        ),
        (
            Wire::Text(
                r#"{"choices": [{"message": {}, "token_ids": [1, 2], "logprobs": {"content": [{"token": "a", "logprob": -1}]}}]}"#,
            ),
            json!({}),
            "has 2 tokens, but log-probabilities of 1",
        ),
    ] {
        let error = said(wire.clone(), more);
        assert!(error.message.contains(words), "{wire:?}: {error}");
    }
}

#[test]
fn what_passes_is_tried_again() {
    for trouble in [
        Wire::Status(429, Some(1)),
        Wire::Status(503, None),
        Wire::Dropped,
    ] {
        let begin = Instant::now();
        let wire = trouble.clone();
        let server = plan()
            .conduct(move |before, _| match before {
                0 | 1 => wire.clone(),
                _ => Wire::Well,
            })
            .start();
        let model = made(&server, json!({"retries": 2})).unwrap();
        assert_eq!(model.generate(&generate(255)).unwrap().text, "Yes");
        if let Wire::Status(429, _) = trouble {
            assert!(
                begin.elapsed() >= Duration::from_secs(2),
                "it was asked to wait"
            );
        }
    }
    let error = said(Wire::Status(502, None), json!({"retries": 2}));
    assert!(error.message.ends_with("(status 502) (3 tries)"), "{error}");
    let error = said(Wire::Status(429, Some(500)), json!({"retries": 2}));
    assert!(error.message.contains("left alone for 500 s"), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_said_so() {
    let host = LocalHost::new();
    let make = |url: &str| {
        let params = json!({"url": url, "model": "local", "retries": 0});
        host.create::<OpenAiCompatible>(params).err().unwrap()
    };
    let error = make("http://127.0.0.1:9/v1");
    assert_eq!(error.kind, ErrorKind::Missing);
    assert!(
        error.message.contains("127.0.0.1:9 cannot be reached"),
        "{error}"
    );
    let error = make("http://nowhere.invalid/v1");
    assert!(error.message.contains("there is no such host"), "{error}");
    let error = make("");
    assert_eq!(error.key.as_deref(), Some("url"));
}

#[test]
fn the_model_is_one_that_is_served() {
    let server = plan().start();
    let error = refused(&server, json!({"model": "locl"}));
    assert!(
        error
            .to_string()
            .ends_with("does not serve `locl`; it serves `local`"),
        "{error}"
    );
    let error = refused(&server, json!({"model": ""}));
    assert_eq!(
        error.to_string(),
        "parameter `model` is missing; it serves `local`"
    );
}

#[test]
fn another_server_behind_the_same_address_is_noticed() {
    let server = plan()
        .edit(|request, answer| {
            if ours(request) {
                answer["system_fingerprint"] = json!("test-2");
            }
        })
        .start();
    let model = made(&server, json!({})).unwrap();
    let error = model.generate(&generate(9)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.message.contains("is not the one it was"), "{error}");
}

#[test]
fn no_more_requests_are_under_way_than_are_allowed() {
    for most in [1, 3] {
        let server = plan().pause(Duration::from_millis(30)).start();
        let model = made(&server, json!({"concurrency": most})).unwrap();
        let images: Vec<_> = (0..12).map(|i| image(i * 20)).collect();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| model.score(&score(images.clone(), "Yes")).unwrap());
            }
            let each = GenerateEachRequest::new(images.clone(), QUESTION, 8);
            assert_eq!(model.generate_each(&each).unwrap().len(), 12);
        });
        assert_eq!(server.most_at_once(), most);
    }
}

#[test]
fn whoever_waits_can_be_stopped() {
    let server = plan()
        .conduct(|_, request| match ours(request) {
            true => Wire::Never(Duration::from_secs(5)),
            false => Wire::Well,
        })
        .start();
    let host = LocalHost::new();
    let model: OpenAiCompatible = host.create(params(&server, json!({}))).unwrap();
    let begin = Instant::now();
    let error = thread::scope(|scope| {
        let waiting = scope.spawn(|| model.generate(&generate(9)));
        while !server.asked().iter().any(ours) && !waiting.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        host.cancel();
        waiting.join().unwrap().unwrap_err()
    });
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "it did not wait for the answer"
    );
}

#[test]
fn the_key_goes_to_the_server_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let server = plan().key("s3cret").start();
    let error = refused(&server, json!({}));
    assert!(
        error
            .to_string()
            .contains("(status 401); set the model's `api_key_env`"),
        "{error}"
    );
    for (content, words) in [
        ("other\n", "refuses the key (status 401)"),
        ("  \n", "the key is empty"),
        ("s3\ncret", "holds characters that a key cannot hold"),
    ] {
        fs::write(&file, content).unwrap();
        let error = refused(&server, json!({"api_key_file": file}));
        assert!(error.message.contains(words), "{error}");
        assert!(!error.to_string().contains("cret"), "{error}");
    }
    fs::write(&file, "s3cret\n").unwrap();
    let model = made(&server, json!({"api_key_file": file})).unwrap();
    assert!(!format!("{:?}", model.info().unwrap()).contains("s3cret"));
    for (more, words) in [
        (
            json!({"api_key_file": "/nowhere"}),
            "/nowhere cannot be read",
        ),
        (
            json!({"api_key_env": "NOT_SET_AT_ALL"}),
            "NOT_SET_AT_ALL is not set",
        ),
        (
            json!({"api_key_env": "A", "api_key_file": "b"}),
            "are both set",
        ),
        (
            json!({"proxy": "http://me:pass@proxy:1"}),
            "parameter `proxy`",
        ),
    ] {
        let error = refused(&server, more);
        assert!(error.message.contains(words), "{error}");
    }
}

#[test]
fn a_private_authority_is_trusted_where_it_is_named_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (own, other) = (Authority::new(), Authority::new());
    let server = plan().identity(own.identity()).start();
    let (own, other) = (file("own.pem", &own.pem()), file("other.pem", &other.pem()));
    let model = made(&server, json!({"ca_file": own})).unwrap();
    assert_eq!(model.generate(&generate(255)).unwrap().text, "Yes");
    for more in [json!({}), json!({"ca_file": other})] {
        let error = refused(&server, more);
        assert!(error.message.contains("is not to be trusted"), "{error}");
        assert_eq!(error.key.as_deref(), Some("ca_file"));
    }
    let empty = file("empty.pem", "nothing");
    let error = refused(&server, json!({"ca_file": empty}));
    assert!(error.message.contains("holds no certificate"), "{error}");
}

#[test]
fn one_answer_is_the_same_tokens_on_every_image() {
    let server = plan()
        .edit(|request, answer| {
            let scored = request["messages"][1].is_object();
            if !scored || !ours(request) {
                return;
            }
            let places = answer["prompt_logprobs"].as_array_mut().unwrap();
            let place = places.last_mut().unwrap();
            if place["1"]["logprob"].as_f64().unwrap() < -0.5 {
                *place = json!({"3": {"logprob": -0.1, "decoded_token": "yes"}});
            }
        })
        .start();
    let model = made(&server, json!({})).unwrap();
    let error = model
        .score(&score(vec![image(0), image(255)], "Yes"))
        .unwrap_err();
    assert!(
        error
            .message
            .contains("other tokens from one image to the next"),
        "{error}"
    );
}
