//! Counting what is passed over.

use medfocus_plugin_api::Oddity;

/// What was odd so far, in the order in which it was met.
#[derive(Clone, Debug, Default)]
pub struct Oddities(Vec<Oddity>);

impl Oddities {
    /// Counts one more of `what`; `place` says where it is, and is asked at the first only.
    pub fn note(&mut self, what: &str, place: impl FnOnce() -> String) {
        match self.0.iter_mut().find(|oddity| oddity.what == what) {
            Some(oddity) => oddity.count += 1,
            None => self.0.push(Oddity::new(what, 1, place())),
        }
    }

    /// All of them.
    pub fn found(&self) -> &[Oddity] {
        &self.0
    }
}
