//! What became of each film, by the digest of its file: kept on the disk, so that each is explained once.

use std::{collections::BTreeMap, path::Path};

use medfocus_plugin_api::Result;
use serde::{Deserialize, Serialize};

use crate::experiment::journal::Journal;

/// How far a film has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its results are written.
    Explained,
    /// They are stored in the archive, too.
    Sent,
    /// It cannot be explained, for this reason.
    Failed(String),
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
struct Entry {
    film: String,
    state: State,
}

/// The state of every film, and the journal that holds it.
pub struct Ledger {
    journal: Journal<Entry>,
    states: BTreeMap<String, State>,
}

impl Ledger {
    /// Opens or begins it; with `again`, what failed counts as new.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::open`].
    pub fn open(path: &Path, again: bool) -> Result<Self> {
        let (journal, entries) = Journal::open(path)?;
        let states = entries
            .into_iter()
            .map(|entry: Entry| (entry.film, entry.state));
        let mut states: BTreeMap<_, _> = states.collect();
        states.retain(|_, state| !(again && matches!(state, State::Failed(_))));
        Ok(Self { journal, states })
    }

    /// How far a film has come; nothing if it is new.
    pub fn state(&self, film: &str) -> Option<&State> {
        self.states.get(film)
    }

    /// Keeps how far a film has come.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::append`].
    pub fn keep(&mut self, film: &str, state: State) -> Result<()> {
        let entry = Entry {
            film: film.to_owned(),
            state,
        };
        self.journal.append(&entry)?;
        self.states.insert(entry.film, entry.state);
        Ok(())
    }

    /// The films in this state, as a list of its own.
    pub fn with(&self, state: &State) -> Vec<String> {
        let films = self.states.iter().filter(|(_, other)| *other == state);
        films.map(|(film, _)| film.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_counts_also_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let failed = State::Failed("why".to_owned());
        {
            let mut ledger = Ledger::open(&path, false).unwrap();
            ledger.keep("a", State::Explained).unwrap();
            ledger.keep("b", State::Explained).unwrap();
            ledger.keep("a", State::Sent).unwrap();
            ledger.keep("c", failed.clone()).unwrap();
            assert!(Ledger::open(&path, false).is_err(), "two at the same time");
        }
        {
            let ledger = Ledger::open(&path, false).unwrap();
            assert_eq!(ledger.state("a"), Some(&State::Sent));
            assert_eq!(ledger.state("c"), Some(&failed));
            assert_eq!(ledger.with(&State::Explained), ["b"]);
            assert_eq!(ledger.state("d"), None);
        }
        assert_eq!(Ledger::open(&path, true).unwrap().state("c"), None);
    }
}
