//! Which concept is the evidence how often (Xiong et al., arXiv 2605.20158, Table 8).

use crate::{
    evidence,
    experiment::record::{MethodOutcome, Outcome, Record},
};

/// At most so many concepts, the most frequent; a method may name whatever it likes.
const MOST: usize = 30;
/// What stands for all others.
pub const OTHERS: &str = "others";
/// What stands for results that name nothing.
pub const UNNAMED: &str = "not named";

/// How the shares are to be read.
pub const READING: &str = "Of the results that a method scored, the percentage that has each concept as its evidence, as \
                           the method names it: a pair counts as the pair, not for its members.";

/// How often each method's evidence is each concept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Concepts {
    /// The methods that name concepts, each with the number of its scored results.
    pub methods: Vec<(String, usize)>,
    /// The concepts, by the first method's share from high to low, then by the next's, then by name.
    pub rows: Vec<Concept>,
}

/// A concept's line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Concept {
    /// Its name.
    pub name: String,
    /// In how many results of each method it is the evidence.
    pub counts: Vec<usize>,
}

impl Concepts {
    /// Counts the results of the methods that name a concept in any of these records.
    pub fn new<'m>(methods: impl Iterator<Item = &'m str>, records: &[&Record]) -> Self {
        let mut concepts = Self::default();
        for method in methods {
            let named = named(method, records);
            if named.iter().any(Option::is_some) {
                concepts.add(method, &named);
            }
        }
        for row in &mut concepts.rows {
            row.counts.resize(concepts.methods.len(), 0);
        }
        let key = |row: &Concept| (std::cmp::Reverse(row.counts.clone()), row.name.clone());
        concepts.rows.sort_by_cached_key(key);
        concepts.fold();
        concepts
    }

    /// A count as a percentage of the method's scored results.
    pub fn share(&self, row: &Concept, method: usize) -> f64 {
        100.0 * row.counts[method] as f64 / self.methods[method].1 as f64
    }

    fn add(&mut self, method: &str, named: &[Option<&str>]) {
        let at = self.methods.len();
        self.methods.push((method.to_owned(), named.len()));
        for name in named {
            let name = name.unwrap_or(UNNAMED);
            let place = self.rows.iter().position(|row| row.name == name);
            let place = place.unwrap_or_else(|| {
                self.rows.push(Concept {
                    name: name.to_owned(),
                    counts: Vec::new(),
                });
                self.rows.len() - 1
            });
            let counts = &mut self.rows[place].counts;
            counts.resize(at + 1, 0);
            counts[at] += 1;
        }
    }

    /// Makes one row of all beyond the most frequent.
    fn fold(&mut self) {
        if self.rows.len() <= MOST {
            return;
        }
        let rest = self.rows.split_off(MOST);
        let total = |at: usize| rest.iter().map(|row| row.counts[at]).sum();
        self.rows.push(Concept {
            name: OTHERS.to_owned(),
            counts: (0..self.methods.len()).map(total).collect(),
        });
    }
}

/// What each scored result of a method names as its evidence.
fn named<'a>(method: &str, records: &[&'a Record]) -> Vec<Option<&'a str>> {
    let results = records.iter().filter_map(|record| match &record.outcome {
        Outcome::Attributed { results } => results.iter().find(|result| result.method == method),
        Outcome::Excluded { .. } | Outcome::Failed { .. } => None,
    });
    let named = results.filter_map(|result| match &result.outcome {
        MethodOutcome::Scored {
            evidence, fallback, ..
        } => Some(evidence::chosen(evidence, *fallback)),
        MethodOutcome::Failed { .. } => None,
    });
    named.collect()
}
