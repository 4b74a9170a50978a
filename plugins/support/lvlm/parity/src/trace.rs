//! Traces against the reference: captures, gradients, paths; and what is not recorded.

use medfocus_lvlm::network::{Family, Network};
use medfocus_lvlm::tape::{Place, Plan, Tape};
use medfocus_lvlm::{Backend, Error};
use medfocus_plugin_api::{
    GrayImage, Objective, PixelBaseline, PixelPath, Quantity, Trace, TraceRequest, Want, Wrt,
};
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use ndarray::Array2;

use crate::fixture::{Fixture, Fixtures, TOLERANCE, check_within, go_on, torch};

fn request<F: Family>(fixture: &Fixture<F>, wants: &[&str]) -> TraceRequest {
    TraceRequest::new(
        fixture.image(0),
        fixture.question(),
        fixture.answer(1).text,
        wants.iter().map(|want| want.parse().unwrap()).collect(),
    )
}

fn captured(trace: &Trace, want: &str) -> Tensor {
    torch(trace.capture(want.parse().unwrap()).unwrap())
}

fn run<F: Family>(fixture: &Fixture<F>, request: &TraceRequest) -> Trace {
    fixture.backend(2).trace(request, &go_on).unwrap()
}

/// Gradients are compared relative to their largest value, since they span orders of magnitude.
fn check_gradient<F: Family>(fixture: &Fixture<F>, name: &str, found: &Tensor, expected: &Tensor) {
    let scale = expected.abs().max().double_value(&[]).max(1.0);
    check_within(
        &format!("{} {name}", fixture.name),
        &(found / scale),
        &(expected / scale),
        TOLERANCE,
    );
}

pub fn hidden_states_and_features_match<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let states = fixture.layers("hidden");
        let mut wants: Vec<String> = states
            .iter()
            .map(|layer| format!("hidden:{layer}"))
            .collect();
        wants.extend(["features".to_owned(), "hidden:-1".to_owned()]);
        let wants: Vec<&str> = wants.iter().map(String::as_str).collect();
        let trace = run(&fixture, &request(&fixture, &wants));
        for layer in &states {
            let found = captured(&trace, &format!("hidden:{layer}"));
            fixture.check(
                &format!("hidden {layer}"),
                &found,
                fixture.tensor(&format!("hidden.{layer}")),
            );
        }
        let last = fixture.tensor(&format!("hidden.{}", states.last().unwrap()));
        fixture.check(
            "the state after the norm",
            &captured(&trace, "hidden:-1"),
            last,
        );
        fixture.check(
            "features",
            &captured(&trace, "features"),
            fixture.tensor("features"),
        );
    }
}

pub fn attention_matches_by_head_and_in_the_mean<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        for layer in fixture.layers("attention") {
            let expected = fixture.tensor(&format!("attention.{layer}"));
            if expected.dim() != 3 {
                continue;
            }
            let (mean, heads) = (
                format!("attention:{layer}"),
                format!("attention:{layer}:heads"),
            );
            let trace = run(&fixture, &request(&fixture, &[&mean, &heads]));
            fixture.check(&heads, &captured(&trace, &heads), expected);
            fixture.check(
                &mean,
                &captured(&trace, &mean),
                &expected.mean_dim(0, false, Kind::Float),
            );
        }
    }
}

pub fn the_layout_says_where_image_and_answer_lie<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let answer = fixture.answer(1);
        let trace = run(&fixture, &request(&fixture, &[]));
        let layout = &trace.layout;
        let image = fixture.network(Kind::Float).image_token();
        assert_eq!(
            layout
                .input_ids
                .iter()
                .map(|&id| i64::from(id))
                .collect::<Vec<_>>(),
            answer.ids
        );
        assert_eq!(layout.answer, answer.start..answer.end);
        assert_eq!(
            layout.image_positions.len() as u32,
            layout.grid.0 * layout.grid.1
        );
        assert!(
            layout
                .image_positions
                .iter()
                .all(|&at| answer.ids[at] == image)
        );
        let text: String = layout
            .tokens
            .iter()
            .map(|token| token.text.as_str())
            .collect();
        assert_eq!(text.trim(), answer.text.trim());

        let scores =
            fixture
                .tensor("scores.1")
                .get(0)
                .slice(0, 0, (answer.end - answer.start) as i64, 1);
        fixture.check("log-probabilities", &torch(&trace.log_probs), &scores);
        let expected = fixture.tensor("pixels.0");
        let pixels = torch(&trace.pixel_values).narrow(0, 0, expected.size()[0]);
        check_within("pixel values", &pixels, expected, 0.0);
    }
}

pub fn every_objective_has_the_reference_value_and_gradient<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let whole = |quantity| Objective {
            quantity,
            tokens: None,
        };
        let objectives = [
            ("log_prob", whole(Quantity::LogProb)),
            ("mean_probability", whole(Quantity::MeanProbability)),
            (
                "margin",
                whole(Quantity::Margin("yes".to_owned(), " no".to_owned())),
            ),
            (
                "tokens_1_3",
                Objective {
                    quantity: Quantity::LogProb,
                    tokens: Some(1..3),
                },
            ),
        ];
        for (name, objective) in objectives {
            let trace = run(
                &fixture,
                &request(&fixture, &["gradient:features"]).with_objective(objective),
            );
            let value = fixture.facts["objectives"][name].as_f64().unwrap();
            assert!(
                (trace.objective - value).abs() < 1e-4,
                "{name}: {} against {value}",
                trace.objective
            );
            let expected = fixture.tensor(&format!("gradient.{name}.features"));
            check_gradient(
                &fixture,
                name,
                &captured(&trace, "gradient:features"),
                expected,
            );
        }
    }
}

/// Each gradient alone, where the graph begins at it, and all at once, where it begins below.
pub fn gradients_match_wherever_the_graph_begins<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let mut names: Vec<String> = vec!["pixels".to_owned()];
        for kind in ["hidden", "attention"] {
            let layers = fixture.layers(&format!("gradient.log_prob.{kind}"));
            names.extend(layers.iter().map(|layer| format!("{kind}:{layer}")));
        }
        let wants: Vec<String> = names
            .iter()
            .map(|name| format!("gradient:{name}"))
            .collect();
        let all: Vec<&str> = wants
            .iter()
            .map(String::as_str)
            .chain(["gradient:features"])
            .collect();
        let together = run(&fixture, &request(&fixture, &all));
        for (name, want) in names.iter().zip(&wants) {
            let alone = run(&fixture, &request(&fixture, &[want]));
            let expected = fixture.tensor(&format!("gradient.log_prob.{}", name.replace(':', ".")));
            check_gradient(
                &fixture,
                &format!("{want} alone"),
                &captured(&alone, want),
                expected,
            );
            check_gradient(
                &fixture,
                &format!("{want} together"),
                &captured(&together, want),
                expected,
            );
        }
    }
}

pub fn a_path_gives_the_gradient_at_each_point<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        for alphas in [vec![0.25, 0.75], vec![0.25, 0.5, 0.75]] {
            let path = PixelPath {
                baseline: PixelBaseline::NormalisedZero,
                alphas: alphas.clone(),
            };
            let trace = run(
                &fixture,
                &request(&fixture, &["gradient:pixels"]).with_path(path),
            );
            let found = captured(&trace, "gradient:pixels").sum_dim_intlist(
                [1i64].as_slice(),
                false,
                Kind::Float,
            );
            assert_eq!(found.size()[0], alphas.len() as i64);
            check_gradient(
                &fixture,
                "path, first",
                &found.get(0),
                fixture.tensor("path.0"),
            );
            check_gradient(
                &fixture,
                "path, last",
                &found.get(-1),
                fixture.tensor("path.1"),
            );
            assert_eq!(
                torch(&trace.baseline_values.unwrap())
                    .abs()
                    .max()
                    .double_value(&[]),
                0.0
            );
        }
    }
}

/// The whole step is what its gradients add up to: completeness of integrated gradients.
pub fn a_fine_path_accounts_for_the_whole_difference<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let black = GrayImage::from_array(Array2::zeros(fixture.image(0).view().dim())).unwrap();
    let steps = 400;
    let alphas = (0..steps)
        .map(|step| (f64::from(step) + 0.5) / f64::from(steps))
        .collect();
    let path = PixelPath {
        baseline: PixelBaseline::Image(black.clone()),
        alphas,
    };
    let wanted = request(&fixture, &["gradient:pixels"]).with_path(path);
    let trace = fixture.backend(64).trace(&wanted, &go_on).unwrap();
    let line = torch(&trace.pixel_values) - torch(trace.baseline_values.as_ref().unwrap());
    let mean = captured(&trace, "gradient:pixels").mean_dim(0, false, Kind::Float);
    let sum = (line * mean).sum(Kind::Double).double_value(&[]);
    let difference = trace.objective - trace.baseline_objective.unwrap();
    assert!(
        (sum - difference).abs() < 0.02 * difference.abs().max(1.0),
        "{sum} against {difference}"
    );

    let mut request = request(&fixture, &[]);
    request.image = black;
    let at_black = run(&fixture, &request);
    assert!((at_black.objective - trace.baseline_objective.unwrap()).abs() < 1e-4);
}

/// Nothing attends after the last layer, so only predicting rows matter to the state after the norm.
pub fn the_last_state_has_no_gradient_at_the_image<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let trace = run(&fixture, &request(&fixture, &["gradient:hidden:-1"]));
        let gradient = captured(&trace, "gradient:hidden:-1");
        let rows = trace.layout.predicting_rows();
        for row in 0..trace.layout.input_ids.len() {
            let largest = gradient.get(row as i64).abs().max().double_value(&[]);
            assert_eq!(largest > 0.0, rows.contains(&row), "row {row}");
        }
    }
}

/// The promise about memory: of weights that would record everything, only what lies above the
/// lowest gradient is recorded.
pub fn nothing_is_recorded_below_the_lowest_gradient<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let leaves = fixture
        .weights()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.set_requires_grad(true)))
        .collect();
    let network = F::network(&fixture.config(), &Weights::from_tensors(leaves)).unwrap();
    let ids = fixture.answer(0).ids;
    let (_, _, height, width) = fixture.pixels(0).size4().unwrap();
    let pass = network.prefill(&ids, network.grid(height, width)).unwrap();
    let features = fixture.tensor("features").unsqueeze(0);
    let [h0, h1, a1, h2] = [
        Place::hidden(0),
        Place::hidden(1),
        Place::attention(1),
        Place::hidden(2),
    ];

    let cases: [(&[&str], &[Place]); 6] = [
        (&["hidden:0", "attention:1"], &[]),
        (&["gradient:hidden:2", "hidden:0"], &[h2]),
        (&["gradient:attention:1", "hidden:1"], &[a1, h2]),
        (&["gradient:hidden:1", "attention:1"], &[h1, a1, h2]),
        (
            &["gradient:hidden:1", "gradient:attention:-1"],
            &[h1, a1, h2],
        ),
        (&["gradient:features"], &[Place::Features, h0, h1, h2]),
    ];
    for (wants, expected) in cases {
        let wants: Vec<Want> = wants.iter().map(|want| want.parse().unwrap()).collect();
        let plan = Plan::new(&wants, 2).unwrap();
        let mut tape = Tape::new(&plan, plan.lowest());
        let _ = tape.walk(&network, &ids, &pass, &features).unwrap();
        assert_eq!(tape.recorded(), expected, "{wants:?}");
    }
}

pub fn pixels_are_rounded_before_anything_else_sees_them<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let backend =
        Backend::<F>::from_folder(&fixture.folder, Device::Cpu, Kind::BFloat16, 1).unwrap();
    let path = PixelPath {
        baseline: PixelBaseline::NormalisedZero,
        alphas: vec![0.5],
    };
    let wanted = request(&fixture, &["gradient:pixels", "gradient:attention:1"]).with_path(path);
    let trace = backend.trace(&wanted, &go_on).unwrap();
    let pixels = torch(&trace.pixel_values);
    let rounded = pixels.to_kind(Kind::BFloat16).to_kind(Kind::Float);
    check_within("bf16 pixels", &pixels, &rounded, 0.0);
    let gradient = captured(&trace, "gradient:pixels");
    assert!(gradient.isfinite().all().int64_value(&[]) == 1);
    assert!(gradient.abs().max().double_value(&[]) > 0.0);
}

pub fn a_trace_leaves_the_autograd_mode_as_it_was<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let backend = fixture.backend(1);
    let wanted = request(&fixture, &["gradient:pixels", "gradient:hidden:1"]);
    for before in [true, false] {
        let _mode = if before {
            GradMode::recording()
        } else {
            GradMode::off()
        };
        backend.trace(&wanted, &go_on).unwrap();
        assert_eq!(GradMode::is_recording(), before);
        let cancel = |_: usize, _: usize| Err(Error::Cancelled);
        assert!(backend.trace(&wanted, &cancel).is_err());
        assert_eq!(GradMode::is_recording(), before);
    }
}

pub fn what_does_not_exist_is_refused_by_name<F: Family>(fixtures: &Fixtures<F>) {
    let fixture = fixtures.smallest();
    let backend = fixture.backend(1);
    let refusal = |request: &TraceRequest| backend.trace(request, &go_on).unwrap_err().to_string();
    assert!(refusal(&request(&fixture, &["attention:2"])).contains("attention layer 2"));
    assert!(refusal(&request(&fixture, &["hidden:-4"])).contains("hidden state -4"));

    let path = PixelPath {
        baseline: PixelBaseline::NormalisedZero,
        alphas: vec![0.5],
    };
    let useless = request(&fixture, &["features"]).with_path(path);
    assert!(refusal(&useless).contains("pixel path"));
    let none = PixelPath {
        baseline: PixelBaseline::NormalisedZero,
        alphas: Vec::new(),
    };
    let empty = request(&fixture, &["gradient:pixels"]).with_path(none);
    assert!(refusal(&empty).contains("no points"));

    let with = |objective| request(&fixture, &[]).with_objective(objective);
    let beyond = Objective {
        quantity: Quantity::LogProb,
        tokens: Some(0..99),
    };
    assert!(refusal(&with(beyond)).contains("answer tokens 0 to 99"));
    let same = Objective {
        quantity: Quantity::Margin("yes".into(), "yes no".into()),
        tokens: None,
    };
    assert!(refusal(&with(same)).contains("same token"));
    assert_eq!(Want::Gradient(Wrt::Pixels).to_string(), "gradient:pixels");
}
