//! Sends a plugin's `tracing` events to the host: each library has statics of its own.
//!
//! A line goes to the host of the component that is being called on its thread, and so bears that component's name. On
//! a thread that a component started by itself nothing is being called: lines from there go nowhere.

use std::{cell::RefCell, fmt::Write as _, sync::Arc};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::abi::{HostBox, std_types::RStr};

thread_local! {
    /// Held only while a component is called: what is kept here for longer is never freed.
    static HOST: RefCell<Option<Arc<HostBox>>> = const { RefCell::new(None) };
}

/// Sends this thread's lines to a host until it is dropped, then again to the one before.
pub(crate) struct Speaking(Option<Arc<HostBox>>);

impl Speaking {
    pub fn to(host: &Arc<HostBox>) -> Self {
        Self(HOST.replace(Some(host.clone())))
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        // Dropped after the borrow: it may hold the last of a component, which then speaks, too.
        drop(HOST.replace(self.0.take()));
    }
}

/// Forwards this library's lines from now on.
pub(crate) fn install() {
    // A second component finds the first one's forwarder in place, which is the same.
    let _ = tracing::subscriber::set_global_default(Forward);
}

struct Forward;

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(host) = HOST.with_borrow(Option::clone) else {
            return;
        };
        let mut line = Line::default();
        event.record(&mut line);
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        };
        let text = line.message + &line.fields;
        host.log(level, RStr::from(metadata.target()), RStr::from(&*text));
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
