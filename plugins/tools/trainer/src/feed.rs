//! Training samples drawn ahead of their use, on threads of their own.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use medfocus_phantom::Renderer;

/// The seed of the first patient to measure on; training stays below it.
pub const FIRST_TEST_SEED: u64 = 1 << 40;
/// Samples drawn ahead.
const AHEAD: usize = 64;

/// An endless stream of samples, the same for the same first seed.
pub struct Feed<S>(Receiver<S>);

impl<S: Send + 'static> Feed<S> {
    /// Draws samples from this seed on.
    pub fn start(
        first_seed: u64,
        draw: impl Fn(u64, &mut Renderer) -> S + Send + 'static,
    ) -> Feed<S> {
        let (send, receive) = sync_channel(AHEAD);
        thread::spawn(move || {
            let mut renderer = Renderer::default();
            let mut seeds = first_seed..;
            // Sending fails once nobody listens any more.
            while seeds
                .next()
                .is_some_and(|seed| send.send(draw(seed, &mut renderer)).is_ok())
            {}
        });
        Feed(receive)
    }

    /// The next samples.
    pub fn take(&self, count: usize) -> Vec<S> {
        self.0.iter().take(count).collect()
    }
}
