//! What held and what did not.

use std::fmt;

/// The outcome of a conformance suite.
#[must_use = "`assert` fails the test where a check failed"]
#[derive(Clone, Debug)]
pub struct Report {
    component: &'static str,
    checks: Vec<(&'static str, Result<(), String>)>,
}

impl Report {
    pub(super) fn new(component: &'static str) -> Self {
        Self {
            component,
            checks: Vec::new(),
        }
    }

    pub(super) fn check(&mut self, name: &'static str, outcome: Result<(), String>) {
        self.checks.push((name, outcome));
    }

    /// Names of the checks that failed, in the order in which they were made.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.checks.iter().filter(|(_, outcome)| outcome.is_err());
        failed.map(|(name, _)| *name).collect()
    }

    /// Does nothing if every check passed.
    ///
    /// # Panics
    ///
    /// With the whole report if a check failed.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.failed().is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, all) = (self.failed().len(), self.checks.len());
        write!(
            f,
            "conformance of `{}`: {failed} of {all} checks failed",
            self.component
        )?;
        for (name, outcome) in &self.checks {
            match outcome {
                Ok(()) => write!(f, "\n  ok   {name}")?,
                Err(why) => write!(f, "\n  FAIL {name}: {why}")?,
            }
        }
        Ok(())
    }
}
