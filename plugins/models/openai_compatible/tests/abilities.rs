//! What a model on a server gives, and what it is found to be able to.

mod common;

use common::{generate, image, made, params, plan, refused, score, toy};
use medfocus_model_openai_compatible::{model::OpenAiCompatible, settings::Settings};
use medfocus_plugin_api::{
    Ability, AnswerSpan, ErrorKind, GenerateEachRequest, GrayImage, Params, Scores,
    VisionLanguageModel, testkit::conformance,
};
use ndarray::{Array2, Ix2};
use serde_json::{Value, json};

fn rows(scores: &Scores) -> Array2<f32> {
    scores.log_probs.view_nd::<f32, Ix2>().unwrap().to_owned()
}

#[test]
fn it_is_a_model_as_any_other() {
    let server = plan().start();
    let Value::Object(values) = params(&server, json!({})) else {
        unreachable!("parameters are an object")
    };
    let settings = Settings::from_json(values).unwrap();
    conformance::model::<OpenAiCompatible>(settings, "Yes").assert();
}

#[test]
fn scores_and_answers_are_those_of_the_model_behind() {
    let server = plan().start();
    let model = made(&server, json!({})).unwrap();
    let images: Vec<_> = [0, 90, 180, 255].map(image).to_vec();
    let remote = model.score(&score(images.clone(), "Yes")).unwrap();
    let local = toy().score(&score(images.clone(), "Yes")).unwrap();
    assert_eq!(remote.tokens, local.tokens);
    assert_eq!(rows(&remote), rows(&local));
    for spot in [0, 255] {
        let (remote, local) = (
            model.generate(&generate(spot)),
            toy().generate(&generate(spot)),
        );
        assert_eq!(remote.unwrap(), local.unwrap());
    }
    let each = model
        .generate_each(&GenerateEachRequest::new(images, common::QUESTION, 8))
        .unwrap();
    let log_probs: Vec<_> = each.iter().map(|answer| answer.log_probs[0]).collect();
    assert_eq!(log_probs, rows(&local).into_raw_vec_and_offset().0);
}

#[test]
fn what_is_asked_is_what_vllm_documents() {
    let server = plan().start();
    let model = made(&server, json!({})).unwrap();
    let before = server.asked().len();
    model.score(&score(vec![image(9)], "Yes")).unwrap();
    let turn = score(vec![image(9)], "Yes").with_span(AnswerSpan::Turn);
    model.score(&turn).unwrap();
    let asked = server.asked().split_off(before);
    // The prompt without an answer is asked for once.
    let [prompt, answer, turn] = &asked[..] else {
        panic!("{} requests", asked.len())
    };
    assert_eq!(prompt["messages"].as_array().unwrap().len(), 1);
    assert_eq!(prompt["add_generation_prompt"], Value::Null);
    assert_eq!(
        answer["messages"][1],
        json!({"role": "assistant", "content": "Yes"})
    );
    for (request, goes_on) in [(answer, true), (turn, false)] {
        assert_eq!(request["add_generation_prompt"], false);
        assert_eq!(request["continue_final_message"], goes_on);
    }
    let mut salts = Vec::new();
    for request in &asked {
        assert_eq!(request["temperature"], 0);
        assert_eq!(request["prompt_logprobs"], 0);
        assert_eq!(request["max_tokens"], 1);
        salts.push(request["cache_salt"].to_string());
    }
    salts.dedup();
    assert_eq!(salts.len(), 3, "no two requests share a salt");
}

#[test]
fn a_record_says_who_answered_and_that_the_weights_are_unseen() {
    let server = plan().start();
    let info = made(&server, json!({"coordinates": "yxyx_1000"}))
        .unwrap()
        .info()
        .unwrap();
    assert_eq!(
        info.digest,
        format!(
            "weights unseen: local at {}, checkpoint somebody/local-model, server version 0.0.test, answers as local, \
             fingerprint test-1, scores by prompt_logprobs",
            server.host()
        )
    );
    assert_eq!(info.abilities, [Ability::Generate, Ability::Score]);
    assert_eq!(
        info.coordinates,
        medfocus_plugin_api::Coordinates::YxyxThousand
    );
}

/// A server that changes its answers, and why it is found not to score.
fn doubted(edit: impl Fn(&Value, &mut Value) + Send + Sync + 'static, why: &str) {
    let server = plan().edit(edit).start();
    let model = made(&server, json!({})).unwrap();
    assert_eq!(
        model.info().unwrap().abilities,
        [Ability::Generate],
        "{why}"
    );
    let error = model.score(&score(vec![image(9)], "Yes")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.message.contains(why), "{error}");
    let demanded = refused(&server, json!({"score": "prompt_logprobs"}));
    assert_eq!(demanded.kind, ErrorKind::Unsupported);
    assert!(demanded.message.contains(why), "{demanded}");
    assert_eq!(model.generate(&generate(9)).unwrap().text, "Yes");
}

/// The last place of the prompt, where there is one.
fn last(answer: &mut Value) -> Option<&mut Value> {
    answer["prompt_logprobs"].as_array_mut()?.last_mut()
}

#[test]
fn scores_are_not_believed_before_they_are_checked() {
    doubted(
        |_, answer| answer["prompt_logprobs"] = Value::Null,
        "comes without `prompt_logprobs`",
    );
    doubted(
        |_, answer| {
            if let Some(place) = last(answer) {
                *place = Value::Null;
            }
        },
        "leaves out some of the `prompt_logprobs`",
    );
    doubted(
        |_, answer| {
            if let Some(places) = answer["prompt_logprobs"].as_array_mut() {
                places.remove(1);
                places.push(json!({"7": {"logprob": -1.0}}));
            }
        },
        "has other tokens in front of a given answer",
    );
    doubted(
        |_, answer| {
            if let Some(places) = answer["prompt_logprobs"].as_array_mut() {
                places.pop();
            }
        },
        "counts",
    );
    doubted(
        |request, answer| {
            if request["messages"][1].is_object()
                && let Some(place) = last(answer)
            {
                *place = json!({"7": {"logprob": -0.1, "decoded_token": "Yes"}});
            }
        },
        "it scores other tokens than it wrote",
    );
    doubted(
        |request, answer| {
            if request["messages"][1].is_object()
                && let Some(place) = last(answer)
            {
                *place =
                    json!({"1": {"logprob": -0.1, "decoded_token": "Yes"}, "2": {"logprob": -3.0}});
            }
        },
        "has other tokens than the prompt's among the `prompt_logprobs`",
    );
    doubted(
        |request, answer| {
            if request["messages"][1].is_object()
                && let Some(place) = last(answer)
            {
                place["1"]["logprob"] = json!(0.5);
            }
        },
        "has 0.5 as a log-probability",
    );
    doubted(
        |_, answer| {
            if let Some(choice) = answer["choices"][0].as_object_mut() {
                choice.remove("token_ids");
            }
        },
        "does not say the numbers of its tokens",
    );
}

#[test]
fn a_server_that_remembers_another_image_is_found_out() {
    let stale = std::sync::Mutex::new(None);
    doubted(
        move |request, answer| {
            if request["messages"][1].is_object() {
                let first = stale
                    .lock()
                    .unwrap()
                    .get_or_insert_with(|| answer.clone())
                    .clone();
                *answer = first;
            }
        },
        "other log-probabilities when it is scored than when it was written",
    );
}

#[test]
fn the_first_token_is_another_score_that_must_be_asked_for() {
    let server = plan()
        .edit(|_, answer| answer["prompt_logprobs"] = Value::Null)
        .start();
    let unasked = made(&server, json!({})).unwrap();
    assert_eq!(unasked.info().unwrap().abilities, [Ability::Generate]);
    let model = made(&server, json!({"score": "first_token"})).unwrap();
    let info = model.info().unwrap();
    assert_eq!(info.abilities, [Ability::Generate, Ability::Score]);
    assert!(
        info.digest.ends_with("scores by first_token"),
        "{}",
        info.digest
    );
    let images: Vec<GrayImage> = [0, 255].map(image).to_vec();
    let yes = model
        .score(&score(images.clone(), "Yes, there is"))
        .unwrap();
    let no = model.score(&score(images.clone(), "no")).unwrap();
    assert_eq!(yes.tokens[0].text, "yes (of yes and no, first token)");
    for (i, image) in images.iter().enumerate() {
        // The toy says either, so that its share of both is its probability.
        let p = toy().probability(image);
        assert!((rows(&yes)[(i, 0)] - p.ln()).abs() < 1e-5);
        assert!((rows(&no)[(i, 0)] - (1.0 - p).ln()).abs() < 1e-4);
    }
    let error = model.score(&score(images, "Perhaps")).unwrap_err();
    assert!(error.message.contains("begins with yes or no"), "{error}");
}

#[test]
fn a_server_that_knows_less_is_asked_for_less() {
    let openai = plan()
        .conduct(|_, request| match request["return_token_ids"] == true {
            true => medfocus_model_server::Wire::Status(400, None),
            false => medfocus_model_server::Wire::Well,
        })
        .start();
    let model = made(&openai, json!({})).unwrap();
    assert_eq!(model.info().unwrap().abilities, [Ability::Generate]);
    let answer = model.generate(&generate(255)).unwrap();
    assert_eq!((answer.text.as_str(), answer.tokens.len()), ("Yes", 1));

    let bare = plan()
        .edit(|_, answer| answer["choices"][0]["logprobs"] = Value::Null)
        .start();
    let model = made(&bare, json!({"score": "none"})).unwrap();
    let answer = model.generate(&generate(255)).unwrap();
    assert_eq!((answer.text.as_str(), answer.tokens.len()), ("Yes", 0));
    let error = refused(&bare, json!({"score": "first_token"}));
    assert!(
        error.message.contains("gives no log-probabilities"),
        "{error}"
    );
}

#[test]
fn it_is_looked_at_without_a_question() {
    let server = plan().start();
    let model = made(&server, json!({"inspect": true})).unwrap();
    assert!(model.info().unwrap().abilities.is_empty());
    assert!(server.asked().is_empty());
    let error = model.generate(&generate(9)).unwrap_err();
    assert!(error.message.contains("only looked at"), "{error}");
}
