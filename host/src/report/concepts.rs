//! Which concept is the evidence how often (Xiong et al., arXiv 2605.20158, Table 8).

use std::collections::HashMap;

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
    /// Of those methods that name any concept, each with how many of its scored results name what, or nothing.
    pub fn new<'a>(
        methods: impl IntoIterator<Item = (&'a str, HashMap<Option<&'a str>, usize>)>,
    ) -> Self {
        let methods = methods.into_iter();
        let methods = methods.filter(|(_, named)| named.keys().any(Option::is_some));
        let methods: Vec<_> = methods.collect();
        let mut counts: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, (_, named)) in methods.iter().enumerate() {
            for (name, count) in named {
                let row = counts.entry(name.unwrap_or(UNNAMED));
                row.or_insert_with(|| vec![0; methods.len()])[at] += count;
            }
        }
        let row = |(name, counts): (&str, _)| Concept {
            name: name.to_owned(),
            counts,
        };
        let total = |(method, named): &(&str, HashMap<_, usize>)| {
            ((*method).to_owned(), named.values().sum())
        };
        let mut concepts = Self {
            methods: methods.iter().map(total).collect(),
            rows: counts.into_iter().map(row).collect(),
        };
        let key = |row: &Concept| (std::cmp::Reverse(row.counts.clone()), row.name.clone());
        concepts.rows.sort_by_cached_key(key);
        concepts.fold();
        concepts
    }

    /// A count as a percentage of the method's scored results.
    pub fn share(&self, row: &Concept, method: usize) -> f64 {
        100.0 * row.counts[method] as f64 / self.methods[method].1 as f64
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
