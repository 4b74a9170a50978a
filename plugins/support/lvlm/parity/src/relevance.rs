//! Relevance: what a modified backward pass must keep, and the logits it starts from.

use medfocus_lvlm::Backend;
use medfocus_lvlm::network::Family;
use medfocus_plugin_api::{Objective, Quantity, Trace, TraceRequest};
use medfocus_torch::tch::{Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::fixture::{Fixture, Fixtures, go_on, torch};

const RULES: [&str; 2] = ["", ":cp_lrp"];

fn request<F: Family>(fixture: &Fixture<F>, wants: &[String]) -> TraceRequest {
    TraceRequest::new(
        fixture.image(0),
        fixture.question(),
        fixture.answer(1).text,
        wants.iter().map(|want| want.parse().unwrap()).collect(),
    )
    .with_objective(Objective {
        quantity: Quantity::Logit,
        tokens: None,
    })
}

/// A trace by a network whose parameters were changed.
fn changed<F: Family>(
    fixture: &Fixture<F>,
    change: impl Fn(&str, Tensor) -> Tensor,
    want: &str,
) -> Trace {
    let weights = fixture.weights().into_iter();
    let weights = weights.map(|(name, tensor)| {
        let tensor = change(&name, tensor);
        (name, tensor)
    });
    let network = F::network(&fixture.config(), &Weights::from_tensors(weights.collect())).unwrap();
    let backend = Backend::<F>::with_network(network, fixture.config(), &fixture.folder, 1);
    let request = request(fixture, &[want.to_owned()]);
    backend.unwrap().trace(&request, &go_on).unwrap()
}

fn only(trace: &Trace) -> Tensor {
    torch(&trace.captures[0].tensor)
}

fn total(trace: &Trace) -> f64 {
    only(trace).sum(Kind::Double).double_value(&[])
}

pub fn relevance_changes_no_value<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let backend = fixture.backend(1);
        let trace = |wants: &[String]| backend.trace(&request(&fixture, wants), &go_on).unwrap();
        let plain = trace(&["hidden:1".into(), "hidden:-1".into()]);
        for rule in RULES {
            let handed = trace(&[
                "hidden:1".into(),
                "hidden:-1".into(),
                format!("relevance:features{rule}"),
            ]);
            for (plain, handed) in plain.captures.iter().zip(&handed.captures) {
                assert_eq!(torch(&plain.tensor), torch(&handed.tensor), "{rule}");
            }
            assert_eq!(torch(&plain.log_probs), torch(&handed.log_probs));
            assert_eq!(plain.objective, handed.objective);
        }
        // Afterwards gradients are gradients.
        let want = "gradient:features".to_owned();
        let objective = Objective::default();
        let gradient = request(&fixture, &[want]).with_objective(objective);
        let found = only(&backend.trace(&gradient, &go_on).unwrap());
        let expected = fixture.tensor("gradient.log_prob.features");
        let difference = (found - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-3 * expected.abs().max().double_value(&[]).max(1.0));
    }
}

pub fn features_are_the_images_part_of_all_tokens<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        for rule in RULES {
            let wants = ["features", "hidden:0"].map(|of| format!("relevance:{of}{rule}"));
            let trace = fixture.backend(1).trace(&request(&fixture, &wants), &go_on);
            let trace = trace.unwrap();
            let [image, all] = [0, 1].map(|i| torch(&trace.captures[i].tensor));
            let at: Vec<i64> = trace
                .layout
                .image_positions
                .iter()
                .map(|&p| p as i64)
                .collect();
            assert_eq!(all.size(), [trace.layout.input_ids.len() as i64]);
            let part = all.index_select(0, &Tensor::from_slice(&at));
            let difference = (&part - &image).abs().max().double_value(&[]);
            assert!(difference <= 1e-6 * image.abs().max().double_value(&[]));
            assert!(image.abs().max().double_value(&[]) > 0.0);
        }
    }
}

/// Without biases the whole logit arrives at the input under CP-LRP, where only linear maps pass relevance on; at the final
/// state it does under either rule.
pub fn nothing_is_lost_where_all_is_linear<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let unbiased = |name: &str, tensor: Tensor| match name.ends_with("_proj.bias") {
            true => tensor.zeros_like(),
            false => tensor,
        };
        for want in [
            "relevance:hidden:0:cp_lrp",
            "relevance:hidden:-1:cp_lrp",
            "relevance:hidden:-1",
        ] {
            let trace = changed(&fixture, unbiased, want);
            let (found, objective) = (total(&trace), trace.objective);
            assert!(
                (found - objective).abs() < 1e-3 * objective.abs().max(1e-2),
                "{} {want}: {found} of {objective}",
                fixture.name
            );
        }
    }
}

/// Only the products of queries and keys are seen.
pub fn relevance_is_blind_to_how_queries_and_keys_share_a_scale<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        for rule in RULES {
            let want = format!("relevance:features{rule}");
            let plain = only(&changed(&fixture, |_, tensor| tensor, &want));
            let scaled = only(&changed(
                &fixture,
                |name, tensor| match (name.contains("q_proj"), name.contains("k_proj")) {
                    (true, _) => tensor * 4.0,
                    (_, true) => tensor / 4.0,
                    _ => tensor,
                },
                &want,
            ));
            let difference = (&plain - &scaled).abs().max().double_value(&[]);
            let scale = plain.abs().max().double_value(&[]);
            assert!(difference < 1e-3 * scale, "{difference:e} of {scale:e}");
        }
    }
}

pub fn logits_are_those_that_the_answer_is_scored_by<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let backend = fixture.backend(1);
        let asked = request(&fixture, &["logits".into()]);
        let trace = backend.trace(&asked, &go_on).unwrap();
        let logits = only(&trace);
        let length = trace.layout.input_ids.len() as i64;
        assert_eq!(logits.size(), [length, length]);
        let mut sum = 0.0;
        for k in trace.layout.answer.clone() {
            let t = k - trace.layout.answer.start;
            let mut one = asked.clone();
            one.objective.tokens = Some(t..t + 1);
            let objective = backend.trace(&one, &go_on).unwrap().objective;
            let logit = logits.double_value(&[k as i64, k as i64 - 1]);
            assert!((logit - objective).abs() < 1e-4, "{logit} of {objective}");
            sum += logit;
        }
        assert!((sum - trace.objective).abs() < 1e-3);
    }
}

pub fn a_pass_hands_down_one_thing<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let backend = fixture.backend(1);
    for wants in [
        ["relevance:features", "gradient:features"],
        ["relevance:features", "relevance:features:cp_lrp"],
        ["gradient:pixels", "relevance:hidden:0"],
    ] {
        let request = request(&fixture, &wants.map(str::to_owned));
        let error = backend.trace(&request, &go_on).unwrap_err().to_string();
        assert!(error.contains("a pass of their own"), "{error}");
    }
    let beyond = request(&fixture, &["relevance:hidden:9".to_owned()]);
    let error = backend.trace(&beyond, &go_on).unwrap_err().to_string();
    assert!(error.contains("hidden state 9"), "{error}");
}
