//! The component under test, as its host knows it: by operations and messages.

use std::{marker::PhantomData, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    component::Component,
    error::{Error, Result},
    export::guarded,
    manifest::Kind,
    message::Message,
    params::Params,
    protocol::{Caller, Client, dataset, detector, editor, model, segmenter},
    testkit::{LocalHost, ToyDataset, ToyDetector, ToyEditor, ToySegmenter},
};

use super::scene;

/// What a kind's `serve` looks like.
pub(super) type Serve<T> = fn(&T, &str, Message) -> Result<Message>;

/// How to make the component, again and again.
pub(super) struct Subject<T> {
    /// Its parameters.
    pub params: Map<String, Value>,
    serve: Serve<T>,
    component: PhantomData<fn() -> T>,
}

/// One of its operations, with a request that is new each time.
pub(super) struct Ask {
    /// The operation.
    pub op: &'static str,
    pack: Box<dyn Fn() -> Result<Message>>,
}

impl Ask {
    pub fn new<Q: Serialize>(op: &'static str, request: impl Fn() -> Result<Q> + 'static) -> Self {
        let pack = Box::new(move || Message::pack(&request()?));
        Self { op, pack }
    }

    pub fn message(&self) -> Result<Message> {
        (self.pack)()
    }

    /// Asks a component.
    pub fn of(&self, component: &Made) -> Result<Message> {
        component.0.call(self.op, self.message()?)
    }
}

/// A component that was made.
#[derive(Clone)]
pub(super) struct Made(Arc<dyn Caller>);

impl Made {
    /// The component through the trait of its kind.
    pub fn client(&self) -> Client {
        Client::new(self.clone())
    }
}

impl Caller for Made {
    fn call(&self, op: &str, message: Message) -> Result<Message> {
        self.0.call(op, message)
    }
}

/// Lets no panic out, as the host's side of the boundary does.
struct Guarded<T> {
    component: T,
    serve: Serve<T>,
}

impl<T: Component> Caller for Guarded<T> {
    fn call(&self, op: &str, message: Message) -> Result<Message> {
        guarded(T::NAME, || (self.serve)(&self.component, op, message))
    }
}

impl<T: Component> Subject<T> {
    /// A component with these parameters.
    pub fn new(params: &T::Params, serve: Serve<T>) -> Self {
        let params = match serde_json::to_value(params) {
            Ok(Value::Object(params)) => params,
            // Refused by the check of the parameters.
            _ => Map::new(),
        };
        Self {
            params,
            serve,
            component: PhantomData,
        }
    }

    /// A host whose slots are all filled.
    pub fn host(&self) -> LocalHost {
        T::SLOTS.iter().fold(LocalHost::new(), |host, slot| {
            fill(host, slot.name, slot.kind)
        })
    }

    /// A host whose slots are filled, but for those that this says no to.
    pub fn host_with(&self, keep: impl Fn(&crate::Slot) -> bool) -> LocalHost {
        let slots = T::SLOTS.iter().filter(|slot| keep(slot));
        slots.fold(LocalHost::new(), |host, slot| {
            fill(host, slot.name, slot.kind)
        })
    }

    /// Makes the component.
    pub fn make(&self, host: &LocalHost) -> Result<Made> {
        self.make_with(host, self.params.clone())
    }

    /// Makes it with other parameters.
    pub fn make_with(&self, host: &LocalHost, params: Map<String, Value>) -> Result<Made> {
        let component = guarded(T::NAME, || {
            T::new(Params::from_json(params)?, host.context())
        })?;
        Ok(Made(Arc::new(Guarded {
            component,
            serve: self.serve,
        })))
    }

    /// Makes it on a host whose slots are all filled.
    pub fn made(&self) -> Result<Made, String> {
        let made = self.make(&self.host());
        made.map_err(|error| format!("it cannot be made: {error}"))
    }
}

/// Puts the toy of that kind in a slot.
fn fill(host: LocalHost, slot: &str, kind: Kind) -> LocalHost {
    let model = scene::model();
    match kind {
        Kind::Model => host.with_slot(slot, move |op, message| model::serve(&model, op, message)),
        Kind::Dataset => host.with_slot(slot, |op, message| {
            dataset::serve(&ToyDataset::default(), op, message)
        }),
        Kind::Editor => host.with_slot(slot, |op, message| editor::serve(&ToyEditor, op, message)),
        Kind::Segmenter => host.with_slot(slot, |op, message| {
            segmenter::serve(&ToySegmenter, op, message)
        }),
        Kind::Detector => host.with_slot(slot, |op, message| {
            detector::serve(&ToyDetector, op, message)
        }),
        // No method stands in a slot.
        Kind::Method => host.with_slot(slot, |op, _| Err(Error::unsupported(op))),
    }
}
