//! Generation and scores against the reference.

use medfocus_lvlm::network::Family;
use medfocus_lvlm::{Backend, Error};
use medfocus_plugin_api::{
    AnswerSpan, GenerateEachRequest, GenerateRequest, GrayImage, ScoreRequest, WORKING_SIDE,
};
use medfocus_torch::tch::Tensor;
use ndarray::Array2;

use crate::fixture::{Fixture, Fixtures, TOLERANCE, check_within, go_on, ids, matrix, torch};
use crate::network::logits;

fn generate_request<F: Family>(fixture: &Fixture<F>, max_new_tokens: u32) -> GenerateRequest {
    GenerateRequest::new(fixture.image(0), fixture.question(), max_new_tokens)
}

fn score_request<F: Family>(fixture: &Fixture<F>, answer: &str, span: AnswerSpan) -> ScoreRequest {
    ScoreRequest::new(fixture.images(), fixture.question(), answer).with_span(span)
}

pub fn generations_match_token_for_token<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let mut backend = fixture.backend(1);
        for expected in fixture.facts["generations"].as_array().unwrap() {
            let (eos, tokens) = (ids(&expected["eos"]), ids(&expected["ids"]));
            backend.set_end_tokens(eos.clone());
            let found = backend
                .generate(&generate_request(&fixture, 12), &go_on)
                .unwrap();
            let found_ids: Vec<i64> = found
                .tokens
                .iter()
                .map(|token| i64::from(token.id))
                .collect();
            assert_eq!(found_ids, tokens, "{} eos {eos:?}", fixture.name);
            assert_eq!(found.text, expected["text"].as_str().unwrap().trim());
            assert_eq!(
                found.complete,
                tokens.last().is_some_and(|last| eos.contains(last))
            );
        }
    }
}

/// Several images are answered as each is alone, whenever the others end.
pub fn answers_side_by_side_are_those_alone<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let mut images: Vec<_> = [0, 1, 2, 0].map(|at| fixture.image(at)).into();
    images.extend([[255, 0], [0, 255], [255, 255], [0, 0], [90, 140]].map(stripes));
    let mut backend = fixture.backend(4);
    let alone = |backend: &Backend<F>| {
        let answers = images.iter().map(|image| {
            let request = GenerateRequest::new(image.clone(), fixture.question(), 12);
            backend.generate(&request, &go_on).unwrap()
        });
        answers.collect::<Vec<_>>()
    };
    backend.set_end_tokens(Vec::new());
    let said = alone(&backend);
    // What one of them says at some step ends it there, and others elsewhere or never.
    let mut ends = vec![Vec::new()];
    let tokens = said.iter().flat_map(|answer| &answer.tokens[1..6]);
    ends.extend(tokens.map(|token| vec![i64::from(token.id)]));
    let mut uneven = false;
    for eos in ends {
        backend.set_end_tokens(eos.clone());
        let request = GenerateEachRequest::new(images.clone(), fixture.question(), 12);
        let each = backend.generate_each(&request, &go_on).unwrap();
        assert_eq!(each.len(), images.len());
        uneven |= each[1..]
            .iter()
            .any(|one| one.tokens.len() != each[0].tokens.len());
        for (one, other) in each.iter().zip(alone(&backend)) {
            assert_eq!(one.tokens, other.tokens, "{} eos {eos:?}", fixture.name);
            assert_eq!((&one.text, one.complete), (&other.text, other.complete));
            fixture.check(
                "log-probabilities side by side",
                &Tensor::from_slice(&one.log_probs),
                &Tensor::from_slice(&other.log_probs),
            );
        }
    }
    assert!(uneven, "all of them always end together");
}

/// An image of broad stripes of two greys.
fn stripes(levels: [u8; 2]) -> GrayImage {
    let side = WORKING_SIDE as usize;
    let pixels = Array2::from_shape_fn((side, side), |(y, _)| levels[y * 4 / side % 2]);
    GrayImage::from_array(pixels).unwrap()
}

/// The cached steps of a generation give what one pass over the whole sequence gives.
pub fn cached_equals_recomputed<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let mut backend = fixture.backend(1);
        backend.set_end_tokens(Vec::new());
        let request = generate_request(&fixture, 12);
        let found = backend.generate(&request, &go_on).unwrap();
        let mut sequence = ids(&fixture.facts["prompt_ids"]);
        let prompt = sequence.len() as i64;
        sequence.extend(found.tokens.iter().map(|token| i64::from(token.id)));

        let pixels = backend
            .processor()
            .pixels(request.image.view())
            .unwrap()
            .unsqueeze(0);
        let batch = Tensor::from_slice(&sequence).unsqueeze(0);
        let logits = logits(backend.network(), &batch, &pixels);
        let rows = logits
            .log_softmax(-1, None)
            .squeeze_dim(0)
            .slice(0, prompt - 1, -1, 1);
        let generated = Tensor::from_slice(&sequence[prompt as usize..]);
        let found_again = rows.gather(-1, &generated.unsqueeze(-1), false);
        fixture.check(
            "log-probabilities of a generation",
            &Tensor::from_slice(&found.log_probs),
            &found_again.squeeze_dim(-1),
        );
    }
}

pub fn generation_stops_when_told_and_at_nothing<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let backend = fixture.backend(1);
    let none = backend
        .generate(&generate_request(&fixture, 0), &go_on)
        .unwrap();
    assert!(none.tokens.is_empty() && none.text.is_empty() && !none.complete);
    let stop = |done: usize, _: usize| {
        if done == 3 {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    };
    let mut endless = fixture.backend(1);
    endless.set_end_tokens(Vec::new());
    let stopped = endless.generate(&generate_request(&fixture, 12), &stop);
    assert!(matches!(stopped, Err(Error::Cancelled)));
}

pub fn scores_match_whatever_the_batch<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        for batch in [1, 2, 3, 8] {
            let backend = fixture.backend(batch);
            for index in 0..2 {
                let answer = fixture.answer(index);
                let turn = backend
                    .score(
                        &score_request(&fixture, &answer.text, AnswerSpan::Turn),
                        &go_on,
                    )
                    .unwrap();
                let expected = fixture.tensor(&format!("scores.{index}"));
                check_within(
                    &format!("{} batch {batch}", fixture.name),
                    &torch(&turn.log_probs),
                    expected,
                    TOLERANCE,
                );
                assert_eq!(turn.tokens.len(), answer.turn_end - answer.start);

                let own = backend
                    .score(
                        &score_request(&fixture, &answer.text, AnswerSpan::Answer),
                        &go_on,
                    )
                    .unwrap();
                let own = matrix(&own.log_probs);
                assert_eq!(own.dim(), (3, answer.end - answer.start));
                let shared = own.ncols();
                let turn = matrix(&turn.log_probs);
                let difference = (&own - &turn.slice(ndarray::s![.., ..shared])).mapv(f32::abs);
                assert!(difference.iter().all(|&d| f64::from(d) <= TOLERANCE));
            }
        }
    }
}

/// What was asked before, and equal images beside each other, change no number: a fresh backend says the same.
pub fn what_is_remembered_changes_nothing<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let answer = fixture.answer(0).text;
    let mut request = score_request(&fixture, &answer, AnswerSpan::Turn);
    let single = |at: usize| {
        let mut single = request.clone();
        single.images = vec![request.images[at].clone()];
        single
    };
    let score = |backend: &Backend<F>, request: &ScoreRequest| {
        matrix(&backend.score(request, &go_on).unwrap().log_probs)
    };
    let asked = fixture.backend(1);
    for at in [0, 1, 0, 2, 1] {
        let again = score(&asked, &single(at));
        assert_eq!(again, score(&fixture.backend(1), &single(at)));
    }
    let generate = generate_request(&fixture, 4);
    let [one, other] = [&asked, &fixture.backend(1)]
        .map(|backend| backend.generate(&generate, &go_on).unwrap().log_probs);
    assert_eq!(one, other);

    let plain = score(&asked, &request);
    let places = [2, 0, 0, 1, 2, 2];
    request.images = places.map(|at| request.images[at].clone()).to_vec();
    let repeated = score(&asked, &request);
    for (row, at) in repeated.rows().into_iter().zip(places) {
        let difference = (&row - &plain.row(at)).mapv(f32::abs);
        assert!(difference.iter().all(|&d| f64::from(d) <= TOLERANCE));
    }
}

pub fn scoring_nothing_is_refused<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let mut request = score_request(&fixture, "yes", AnswerSpan::Answer);
    request.images.clear();
    let error = fixture
        .backend(1)
        .score(&request, &go_on)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no image"), "{error}");
}
