//! Separable transport against a textbook solver that forms every matrix.

use medfocus_method_medfocus::transport::{Entropy, Measure, Plan, Sinkhorn};
use ndarray::{Array1, Array2, ArrayView2};
use proptest::prelude::*;

/// Entropic unbalanced transport over lists of cells, as written in Chizat et al. (2018), with plain sums.
struct Dense {
    plan: Array2<f64>,
    cost: Array2<f64>,
}

type Cells = Vec<((usize, usize), f64)>;

fn support(measure: ArrayView2<'_, f64>) -> Cells {
    let cells = measure.indexed_iter().filter(|(_, m)| **m > 0.0);
    cells.map(|(at, &mass)| (at, mass)).collect()
}

impl Dense {
    /// In the log domain, so that no eps is too small.
    fn solve(settings: &Sinkhorn, a: &Cells, b: &Cells) -> Self {
        let between = |i: usize, j: usize| {
            let ((y, x), (row, column)) = (a[i].0, b[j].0);
            (y.abs_diff(row).pow(2) + x.abs_diff(column).pow(2)) as f64
        };
        let cost = Array2::from_shape_fn((a.len(), b.len()), |(i, j)| between(i, j));
        let mut sorted: Vec<f64> = cost.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let place = 0.9 * (sorted.len() - 1) as f64;
        let (low, high) = (
            sorted[place.floor() as usize],
            sorted[place.ceil() as usize],
        );
        let scale = low + place.fract() * (high - low);
        let scale = if scale > 0.0 { scale } else { 1.0 };

        let log_weight = |cells: &Cells| Array1::from_iter(cells.iter().map(|(_, m)| m.ln()));
        let (log_a, log_b) = (log_weight(a), log_weight(b));
        let log_kernel = Array2::from_shape_fn(cost.dim(), |(i, j)| {
            let reference = match settings.entropy {
                Entropy::Relative => log_a[i] + log_b[j],
                Entropy::Counting => 0.0,
            };
            reference - cost[(i, j)] / scale / settings.eps
        });
        let power = settings.lambda / (settings.lambda + settings.eps);
        let log_sum = |terms: Vec<f64>| {
            let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln()
        };
        let mut log_u = Array1::zeros(a.len());
        let mut log_v = Array1::<f64>::zeros(b.len());
        for _ in 0..settings.iterations {
            let before: [Array1<f64>; 2] = [log_u.clone(), log_v.clone()];
            for (i, row) in log_kernel.rows().into_iter().enumerate() {
                log_u[i] = power * (log_a[i] - log_sum((&row + &log_v).to_vec()));
            }
            for (j, column) in log_kernel.columns().into_iter().enumerate() {
                log_v[j] = power * (log_b[j] - log_sum((&column + &log_u).to_vec()));
            }
            // Either alone may stand still for a step.
            let changes = [&log_u - &before[0], &log_v - &before[1]];
            let small = |d: &f64| d.abs() < settings.tolerance;
            if changes.iter().flatten().all(small) {
                break;
            }
        }
        let plan = Array2::from_shape_fn(cost.dim(), |(i, j)| {
            (log_u[i] + log_kernel[(i, j)] + log_v[j]).exp()
        });
        Self { plan, cost }
    }

    fn mass(&self) -> f64 {
        self.plan.sum()
    }

    fn total_cost(&self) -> f64 {
        (&self.plan * &self.cost).sum()
    }

    /// What arrives at each target cell from the source cells, each by its share.
    fn transfer(&self, shares: &[f64]) -> Array1<f64> {
        self.plan.t().dot(&Array1::from(shares.to_vec()))
    }
}

fn settings(entropy: Entropy, eps: f64) -> Sinkhorn {
    Sinkhorn {
        eps,
        lambda: 0.1,
        entropy,
        tolerance: 1e-15,
        iterations: 20_000,
    }
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-10 * expected.abs().max(1.0)
}

/// Everything a plan says, against the dense one.
fn agree(plan: &Plan, dense: &Dense, a: &Cells, b: &Cells, mask: &Array2<f64>) {
    let (cost, mass) = (plan.cost(), plan.mass());
    assert!(close(mass, dense.mass()), "mass {mass} {}", dense.mass());
    assert!(
        close(cost, dense.total_cost()),
        "cost {cost} {}",
        dense.total_cost()
    );
    let shares: Vec<_> = a.iter().map(|(at, _)| mask[*at]).collect();
    let moved = plan.transfer(mask.view());
    let means = plan.barycentric(mask.view());
    let arriving = dense.transfer(&vec![1.0; a.len()]);
    for (j, expected) in dense.transfer(&shares).iter().enumerate() {
        let at = b[j].0;
        assert!(
            close(moved[at], *expected),
            "{at:?}: {} {expected}",
            moved[at]
        );
        let mean = expected / arriving[j];
        assert!(close(means[at], mean), "{at:?}: {} {mean}", means[at]);
    }
    let on_support: f64 = b.iter().map(|(at, _)| moved[*at]).sum();
    assert!(
        close(moved.sum(), on_support),
        "nothing arrives off the support"
    );
}

#[derive(Clone, Debug)]
struct Case {
    source: Array2<f64>,
    target: Array2<f64>,
    mask: Array2<f64>,
}

fn case() -> impl Strategy<Value = Case> {
    (1usize..6, 1usize..7).prop_flat_map(|(rows, columns)| {
        let grid = move |holes: f64| {
            let cell = prop_oneof![Just(0.0), 0.02f64..1.0, Just(holes)];
            proptest::collection::vec(cell, rows * columns)
                .prop_map(move |cells| Array2::from_shape_vec((rows, columns), cells).unwrap())
        };
        (grid(0.0), grid(0.5), grid(1.0)).prop_map(|(source, target, mask)| Case {
            source,
            target,
            mask,
        })
    })
}

proptest! {
    #[test]
    fn the_textbook_agrees(case in case(), eps in 0.02f64..0.6, counting in any::<bool>()) {
        prop_assume!(case.source.sum() > 0.0 && case.target.sum() > 0.0);
        let entropy = if counting { Entropy::Counting } else { Entropy::Relative };
        let settings = settings(entropy, eps);
        let (source, target) = (Measure::new(case.source).unwrap(), Measure::new(case.target).unwrap());
        let plan = settings.solve(&source, &target).unwrap();
        let (a, b) = (support(source.view()), support(target.view()));
        let dense = Dense::solve(&settings, &a, &b);
        agree(&plan, &dense, &a, &b, &case.mask);
    }
}

/// Two soft chests of intensities, the second moved and narrower.
fn chests(side: usize) -> (Array2<f64>, Array2<f64>) {
    let chest = |centre: f64, width: f64| {
        Array2::from_shape_fn((side, side), |(y, x)| {
            let (y, x) = (
                y as f64 / side as f64 - 0.5,
                x as f64 / side as f64 - centre,
            );
            let lung = |at: f64| (-((x - at).powi(2) / 0.01 + y * y / 0.05)).exp();
            let value =
                0.9 - lung(width) - lung(-width) - 1.5 * (x.abs() - 0.4).max(0.0) - y.abs() * 0.4;
            if value > 0.02 { value } else { 0.0 }
        })
    };
    (chest(0.5, 0.2), chest(0.54, 0.17))
}

#[test]
fn the_smallest_eps_stays_exact() {
    for (entropy, eps, slowest) in [
        (Entropy::Relative, 0.002, 720),
        (Entropy::Counting, 0.002, 720),
        (Entropy::Relative, 0.01, 140),
    ] {
        let (source, target) = chests(20);
        let (source, target) = (Measure::new(source).unwrap(), Measure::new(target).unwrap());
        let settings = Sinkhorn {
            tolerance: 1e-13,
            ..settings(entropy, eps)
        };
        let plan = settings.solve(&source, &target).unwrap();
        assert!(plan.convergence.converged, "{:?}", plan.convergence);
        // A fifth more without the scaling of u against v.
        assert!(
            plan.convergence.iterations < slowest,
            "{:?}",
            plan.convergence
        );
        let (a, b) = (support(source.view()), support(target.view()));
        let dense = Dense::solve(&settings, &a, &b);
        let mask = Array2::from_shape_fn((20, 20), |(y, x)| f64::from(u8::from(y > 7 && x < 9)));
        agree(&plan, &dense, &a, &b, &mask);
    }
}

#[test]
fn at_the_papers_grid_the_smallest_eps_is_finite_and_exact() {
    let (source, target) = chests(56);
    let (source, target) = (Measure::new(source).unwrap(), Measure::new(target).unwrap());
    for entropy in [Entropy::Relative, Entropy::Counting] {
        consistent(
            &Sinkhorn {
                tolerance: 1e-12,
                ..settings(entropy, 0.002)
            },
            &source,
            &target,
        );
    }
}

#[test]
fn at_full_resolution_the_smallest_eps_is_finite_and_exact() {
    let (source, target) = chests(224);
    let (source, target) = (Measure::new(source).unwrap(), Measure::new(target).unwrap());
    let settings = Sinkhorn {
        iterations: 10,
        ..settings(Entropy::Relative, 0.002)
    };
    consistent(&settings, &source, &target);
}

/// Some rows of the plan, summed densely in the log domain: what a plan of these scalings has to be, and, once the
/// iterations have converged, that u is the textbook's function of v.
fn consistent(settings: &Sinkhorn, source: &Measure, target: &Measure) {
    let plan = settings.solve(source, target).unwrap();
    assert!(plan.mass().is_finite() && plan.cost().is_finite());
    let (u, v) = plan.scalings();
    let arriving = plan.arriving();
    let ones = Array2::ones(plan.dim());
    assert!(close(plan.transfer(ones.view()).sum(), plan.mass()));
    let (a, b) = (support(source.view()), support(target.view()));
    let power = settings.lambda / (settings.lambda + settings.eps);
    let log_sum = |(y, x): (usize, usize), scaling: ArrayView2<'_, f64>| {
        let terms = scaling
            .indexed_iter()
            .filter(|(_, s)| **s > 0.0)
            .map(|((row, column), s)| {
                let squared = (y.abs_diff(row).pow(2) + x.abs_diff(column).pow(2)) as f64;
                s.ln() - squared / plan.width()
            });
        let terms: Vec<_> = terms.collect();
        let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln()
    };
    for (at, _) in b.iter().step_by(b.len() / 19) {
        let dense = (log_sum(*at, u) + v[*at].ln()).exp();
        assert!((arriving[*at] / dense - 1.0).abs() < 1e-10, "{at:?}");
    }
    if plan.convergence.converged {
        for (at, mass) in a.iter().step_by(a.len() / 19) {
            let weight = match settings.entropy {
                Entropy::Relative => mass.ln(),
                Entropy::Counting => power * mass.ln(),
            };
            let textbook = weight - power * log_sum(*at, v);
            assert!((u[*at].ln() - textbook).abs() < 1e-8, "{at:?}");
        }
    } else {
        assert!(settings.iterations < 100, "{:?}", plan.convergence);
    }
}

#[test]
fn degenerate_problems_have_a_plan_or_an_error() {
    let at = |y: usize, x: usize| {
        let mut mass = Array2::zeros((5, 7));
        mass[(y, x)] = 3.0;
        Measure::new(mass).unwrap()
    };
    let settings = settings(Entropy::Relative, 0.05);
    // A pixel to itself costs nothing and moves all: with K = 1 the densities are 1.
    let plan = settings.solve(&at(2, 3), &at(2, 3)).unwrap();
    assert!(close(plan.mass(), 1.0) && plan.cost() == 0.0);
    // A pixel to another: cost 1 after scaling, mass m solves eps log m + 2 lambda log m + 1 = 0.
    let plan = settings.solve(&at(0, 0), &at(3, 4)).unwrap();
    let mass = (-1.0f64 / (settings.eps + 2.0 * settings.lambda)).exp();
    assert!(close(plan.mass(), mass), "{} {mass}", plan.mass());
    assert!(close(plan.cost(), 25.0 * mass), "{}", plan.cost());
    // An empty mask sends nothing.
    let none = Array2::zeros((5, 7));
    assert_eq!(plan.transfer(none.view()).sum(), 0.0);
    assert_eq!(plan.barycentric(none.view()).sum(), 0.0);
    // Out of reach of f64.
    let error = Sinkhorn {
        eps: 0.001,
        ..settings
    }
    .solve(&at(0, 0), &at(3, 4))
    .unwrap_err();
    assert!(error.to_string().contains("raise `eps`"), "{error}");
    // Most of the source is, and the scalings are at once.
    let column = |cells: [f64; 2]| {
        let cells = Array2::from_shape_vec((2, 1), cells.to_vec());
        Measure::new(cells.unwrap()).unwrap()
    };
    let error = Sinkhorn {
        eps: 0.001,
        lambda: 1.0,
        iterations: 1,
        ..settings
    }
    .solve(&column([1.0, 9.0]), &column([1.0, 0.0]))
    .unwrap_err();
    assert!(error.to_string().contains("raise `eps`"), "{error}");
    let other = Measure::new(Array2::ones((2, 2))).unwrap();
    assert!(settings.solve(&at(0, 0), &other).is_err());
    for (eps, lambda) in [(0.0, 0.1), (0.1, -1.0), (f64::NAN, 0.1)] {
        assert!(
            Sinkhorn {
                eps,
                lambda,
                ..settings
            }
            .solve(&at(0, 0), &at(0, 0))
            .is_err()
        );
    }
}

proptest! {
    /// All parameters that a method takes, however few the iterations.
    #[test]
    fn any_problem_has_a_finite_plan_or_an_error(
        case in case(), eps in -3f64..1.0, lambda in -3f64..2.0, counting in any::<bool>(), iterations in 1u32..6,
    ) {
        let entropy = if counting { Entropy::Counting } else { Entropy::Relative };
        let settings = Sinkhorn {
            eps: 10f64.powf(eps),
            lambda: 10f64.powf(lambda),
            entropy,
            tolerance: 1e-3,
            iterations,
        };
        let (source, target) = (Measure::new(case.source), Measure::new(case.target));
        let solve = |source| target.and_then(|target| settings.solve(&source, &target));
        if let Ok(plan) = source.and_then(solve) {
            prop_assert!(plan.mass().is_finite() && plan.mass() > 0.0, "{}", plan.mass());
            prop_assert!(plan.cost().is_finite(), "{}", plan.cost());
            prop_assert!(plan.barycentric(case.mask.view()).iter().all(|mean| mean.is_finite()));
        }
    }
}

#[test]
fn a_lone_cell_out_of_reach_sends_nothing() {
    // Two blobs that lie on each other set the scale; the cell in the corner is far from everything.
    let mut source = Array2::zeros((60, 60));
    source.slice_mut(ndarray::s![..6, ..6]).fill(1.0);
    let target = Measure::new(source.clone()).unwrap();
    source[(59, 59)] = 1.0;
    let source = Measure::new(source).unwrap();
    let plan = settings(Entropy::Relative, 0.005)
        .solve(&source, &target)
        .unwrap();
    let corner = Array2::from_shape_fn((60, 60), |at| f64::from(u8::from(at == (59, 59))));
    assert_eq!(plan.transfer(corner.view()).sum(), 0.0);
    assert!(plan.mass() > 0.9 && plan.cost().is_finite());
    // The map stays put where nothing is in reach.
    let places = Array2::from_shape_fn((60, 60), |(y, _)| y as f64);
    assert_eq!(plan.barycentric(places.view())[(59, 59)], 59.0);
}

#[test]
fn the_mass_of_the_relative_entropy_does_not_depend_on_the_grid() {
    let mass = |side, entropy| {
        let (source, target) = chests(side);
        let (source, target) = (Measure::new(source).unwrap(), Measure::new(target).unwrap());
        let plan = Sinkhorn {
            tolerance: 1e-9,
            ..settings(entropy, 0.05)
        }
        .solve(&source, &target);
        plan.unwrap().mass()
    };
    let (coarse, fine) = (mass(14, Entropy::Relative), mass(56, Entropy::Relative));
    assert!((coarse / fine - 1.0).abs() < 0.02, "{coarse} {fine}");
    let (coarse, fine) = (mass(14, Entropy::Counting), mass(56, Entropy::Counting));
    assert!(fine > 2.0 * coarse, "{coarse} {fine}");
}
