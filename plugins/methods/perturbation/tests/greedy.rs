//! The greedy order against NumPy, against trying everything, and what holds whatever the scores.

use medfocus_method_perturbation::{Gains, Order, Pair, Search};
use medfocus_plugin_api::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use safetensors::SafeTensors;

/// s(S) = sigmoid(-0.5 + the weights of S + what its pairs add).
#[derive(Clone, Debug)]
struct Scores {
    weights: Array1<f64>,
    pairs: Array2<f64>,
}

impl Scores {
    fn count(&self) -> usize {
        self.weights.len()
    }

    fn shown(&self, kept: impl Fn(usize) -> bool) -> f64 {
        let kept: Vec<usize> = (0..self.count()).filter(|&region| kept(region)).collect();
        let alone: f64 = kept.iter().map(|&region| self.weights[region]).sum();
        let later = |i: usize| kept[i + 1..].iter().map(move |&j| (i, j));
        let pairs = (0..kept.len()).flat_map(later);
        let pairs: f64 = pairs.map(|(i, j)| self.pairs[(kept[i], j)]).sum();
        1.0 / (1.0 + (0.5 - alone - pairs).exp())
    }

    fn pair(&self, set: &[usize]) -> Pair {
        Pair {
            alone: self.shown(|region| set.contains(&region)),
            without: self.shown(|region| !set.contains(&region)),
        }
    }

    /// The order, and the images it took.
    fn order(&self, search: &Search) -> Result<(Order, usize)> {
        let mut images = 0;
        let order = search.order(self.count(), |sets| {
            images += 2 * sets.len();
            Ok(sets.iter().map(|set| self.pair(set)).collect())
        })?;
        Ok((order, images))
    }
}

const EXACT: Search = Search {
    budget: usize::MAX,
    update_step: 1,
    search_scope: 1,
    pending: 0,
};
const PUBLISHED: Search = Search {
    budget: usize::MAX,
    update_step: 5,
    search_scope: 10,
    pending: 8,
};

#[test]
fn numpy_agrees() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/fixtures/methods/expected.safetensors"
    );
    let bytes = std::fs::read(file).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let doubles = |name: &str| -> Array1<f64> {
        let values = reference.tensor(name).unwrap().data().chunks_exact(8);
        values
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let indices = |name: &str| -> Vec<usize> {
        let values = reference.tensor(name).unwrap().data().iter();
        values.map(|&value| usize::from(value)).collect()
    };
    let weights = doubles("eagle.weights");
    let pairs = doubles("eagle.pairs");
    let count = weights.len();
    let pairs = pairs.into_shape_with_order((count, count)).unwrap();
    let scores = Scores { weights, pairs };
    for name in ["exact", "published", "odd"] {
        let search = indices(&format!("eagle.{name}.search"));
        let search = Search {
            budget: usize::MAX,
            update_step: search[0],
            search_scope: search[1],
            pending: search[2],
        };
        let (order, _) = scores.order(&search).unwrap();
        assert_eq!(
            order.regions,
            indices(&format!("eagle.{name}.order")),
            "{name}"
        );
        assert_eq!(order.settled(), count);
        let expected = doubles(&format!("eagle.{name}.heat"));
        let gains = match name {
            "published" => Gains::Published,
            _ => Gains::Remaining,
        };
        let difference = Array1::from(order.heat(gains)) - expected;
        assert!(difference.iter().all(|d| d.abs() < 1e-12), "{name}");
    }
}

#[test]
fn the_searches_cost_what_the_publication_says() {
    // n (n + 1) of the exact search; the faster one's as counted for the published settings.
    for (count, exact, published) in [(64, 4160, 1412), (49, 2450, 986), (32, 1056, 560)] {
        let weights = Array1::from_shape_fn(count, |i| ((i * 37) % count) as f64 / 50.0 - 0.3);
        let pairs = Array2::zeros((count, count));
        let scores = Scores { weights, pairs };
        assert_eq!(scores.order(&EXACT).unwrap().1, exact);
        assert_eq!(scores.order(&PUBLISHED).unwrap().1, published);
    }
}

#[test]
fn regions_that_only_add_up_are_ordered_by_what_they_add() {
    // No other order of the six has a larger sum of G over its steps.
    let weights = Array1::from(vec![0.3, -0.2, 0.9, 0.1, -0.7, 0.5]);
    let pairs = Array2::zeros((6, 6));
    let scores = Scores { weights, pairs };
    let value = |regions: &[usize]| -> f64 {
        let steps = 1..regions.len();
        steps.map(|size| scores.pair(&regions[..size]).gain()).sum()
    };
    let mut orders = vec![vec![]];
    for region in 0..6 {
        let longer = |order: &Vec<usize>| {
            let places = 0..=order.len();
            let insert = |place| {
                let mut order = order.clone();
                order.insert(place, region);
                order
            };
            places.map(insert).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    assert_eq!(orders.len(), 720);
    let best = orders.iter().max_by(|a, b| value(a).total_cmp(&value(b)));
    for search in [EXACT, PUBLISHED] {
        assert_eq!(&scores.order(&search).unwrap().0.regions, best.unwrap());
    }
    assert_eq!(best.unwrap(), &[2, 5, 0, 3, 1, 4]);
}

#[test]
fn a_budget_below_one_ranking_is_refused() {
    let scores = Scores {
        weights: Array1::ones(9),
        pairs: Array2::zeros((9, 9)),
    };
    let search = |budget| Search {
        budget,
        ..PUBLISHED
    };
    let error = scores.order(&search(19)).unwrap_err();
    assert!(error.to_string().contains("which takes 20"), "{error}");
    let (order, images) = scores.order(&search(20)).unwrap();
    assert_eq!((images, order.regions.len()), (20, 9));
    // The ranking gives the two ends; the seven between share a heat.
    assert_eq!((order.points.len(), order.settled()), (4, 2));
    let heat = order.heat(Gains::Remaining);
    let shared: Vec<f64> = order.regions[1..8].iter().map(|&r| heat[r]).collect();
    assert!(shared.windows(2).all(|two| two[0] == two[1]));
    assert!(heat[order.regions[0]] > shared[0] && shared[0] > heat[order.regions[8]]);
}

#[test]
fn what_scoring_fails_with_comes_out() {
    let mut calls = 0;
    let error = PUBLISHED.order(30, |sets| {
        calls += 1;
        let pair = Pair {
            alone: 0.0,
            without: 0.0,
        };
        match calls {
            3 => Err(Error::cancelled()),
            _ => Ok(vec![pair; sets.len()]),
        }
    });
    assert_eq!(error.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(calls, 3);
}

fn scores() -> impl Strategy<Value = Scores> {
    (1usize..14).prop_flat_map(|count| {
        let weights = prop::collection::vec(-2.0..2.0, count);
        let pairs = prop::collection::vec(-0.5..0.5, count * count);
        (weights, pairs).prop_map(move |(weights, pairs)| Scores {
            weights: Array1::from(weights),
            pairs: Array2::from_shape_vec((count, count), pairs).unwrap(),
        })
    })
}

proptest! {
    /// Whatever is asked: every region once, never more images than allowed, the curves those of the order, the same again.
    #[test]
    fn an_order_is_a_permutation_within_its_budget(
        scores in scores(),
        update_step in 1usize..7,
        search_scope in 1usize..7,
        pending in 0usize..5,
        spare in 0usize..150,
    ) {
        let count = scores.count();
        let budget = Search::least(count) + spare;
        let search = Search { budget, update_step, search_scope, pending };
        let (order, images) = scores.order(&search).unwrap();
        prop_assert!(images <= budget);
        let mut sorted = order.regions.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, Vec::from_iter(0..count));
        for (shown, pair) in &order.points {
            let expected = scores.pair(&order.regions[..*shown]);
            prop_assert!((pair.alone - expected.alone).abs() < 1e-12);
            prop_assert!((pair.without - expected.without).abs() < 1e-12);
        }
        let shown: Vec<usize> = order.points.iter().map(|(shown, _)| *shown).collect();
        prop_assert!(shown.is_sorted_by(|a, b| a < b));
        prop_assert_eq!((shown[0], shown[shown.len() - 1]), (0, count));
        let heat = order.heat(Gains::Remaining);
        prop_assert!(order.regions.windows(2).all(|two| heat[two[0]] >= heat[two[1]]));
        prop_assert_eq!(scores.order(&search).unwrap().0, order);
    }

    /// The exact search takes at each step what no other region beats.
    #[test]
    fn the_exact_search_is_greedy(scores in scores()) {
        let (order, _) = scores.order(&EXACT).unwrap();
        for (taken, &region) in order.regions.iter().enumerate() {
            let with = |other: usize| {
                let mut set = order.regions[..taken].to_vec();
                set.push(other);
                scores.pair(&set).gain()
            };
            let best = order.regions[taken..].iter().map(|&other| with(other));
            prop_assert!(with(region) >= best.fold(f64::NEG_INFINITY, f64::max));
        }
    }
}
