//! Every call between plugins passes here: counted, timed, cancellable.

#![allow(unsafe_code, reason = "messages of plugins come in as raw parts")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use medfocus_plugin_api::{
    Caller, Client, DECODE, Error, Message, Picture, Result, Tensor,
    abi::{
        self, AbiError, AbiMessage, ComponentBox, HostBox,
        std_types::{RErr, ROk, RResult, RStr},
        type_level::downcasting::TD_Opaque,
    },
};
use serde::Serialize;

/// What the components of one session share.
#[derive(Clone, Default)]
pub struct Session(Arc<Shared>);

#[derive(Default)]
struct Shared {
    cancelled: Arc<AtomicBool>,
    ledger: Mutex<BTreeMap<String, Calls>>,
    progress: Mutex<Option<ShowProgress>>,
}

type ShowProgress = Box<dyn Fn(&Progress<'_>) + Send>;

/// How often an operation was called, and what it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Calls {
    /// Calls.
    pub calls: u64,
    /// Tensors sent along: for `model.score` and its like, images.
    pub tensors: u64,
    /// Wall-clock seconds within the operation.
    pub seconds: f64,
}

/// How far a component is.
pub struct Progress<'a> {
    /// The component.
    pub component: &'a str,
    /// Steps done.
    pub done: u64,
    /// Of so many; 0 if unknown.
    pub total: u64,
    /// What it is doing.
    pub note: &'a str,
}

impl Progress<'_> {
    /// The component of a run's own progress.
    pub const RUN: &'static str = "run";
}

impl Session {
    /// A session that is cancelled with this one, shows no progress and counts for itself.
    pub fn fork(&self) -> Self {
        Self(Arc::new(Shared {
            cancelled: self.0.cancelled.clone(),
            ..Shared::default()
        }))
    }

    /// Asks all components to stop at their next step.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Takes that back; call it when no component is at work.
    pub fn resume(&self) {
        self.0.cancelled.store(false, Ordering::Relaxed);
    }

    /// Whether they were asked.
    pub fn cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// Shows progress through this function from now on.
    pub fn on_progress(&self, show: impl Fn(&Progress<'_>) + Send + 'static) {
        *lock(&self.0.progress) = Some(Box::new(show));
    }

    /// Shows progress, if anything shows it.
    pub fn show(&self, progress: &Progress<'_>) {
        if let Some(show) = &*lock(&self.0.progress) {
            show(progress);
        }
    }

    /// Shows progress, and stops here if the user asked to.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`]: return it to the caller.
    pub fn step(&self, progress: &Progress<'_>) -> Result<()> {
        if self.cancelled() {
            return Err(Error::cancelled());
        }
        self.show(progress);
        Ok(())
    }

    /// Takes what was counted since the last time, by `slot.operation`.
    pub fn take_ledger(&self) -> BTreeMap<String, Calls> {
        std::mem::take(&mut *lock(&self.0.ledger))
    }

    /// Tells it from every other that is alive.
    pub fn number(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn timed(
        &self,
        slot: &str,
        op: &str,
        message: AbiMessage,
        component: &ComponentBox,
    ) -> RResult<AbiMessage, AbiError> {
        if self.cancelled() {
            return RErr(AbiError::from(&Error::cancelled()));
        }
        let tensors = message.tensors.len() as u64;
        let start = Instant::now();
        let answer = component.invoke(op.into(), message);
        let seconds = start.elapsed().as_secs_f64();
        let mut ledger = lock(&self.0.ledger);
        let calls = ledger.entry(format!("{slot}.{op}")).or_default();
        calls.calls += 1;
        calls.tensors += tensors;
        calls.seconds += seconds;
        answer
    }
}

/// A component in its slot.
pub struct Instance {
    /// The name under which its calls are counted.
    slot: String,
    component: Arc<ComponentBox>,
    session: Session,
}

impl Instance {
    /// Puts a component in a slot.
    pub fn new(
        slot: impl Into<String>,
        component: Arc<ComponentBox>,
        session: Session,
    ) -> Arc<Self> {
        Arc::new(Self {
            slot: slot.into(),
            component,
            session,
        })
    }

    /// The same component, its calls counted under another name.
    pub fn named(&self, slot: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            slot: slot.into(),
            component: self.component.clone(),
            session: self.session.clone(),
        })
    }

    /// The component through the trait of its kind.
    pub fn client(self: &Arc<Self>) -> Client {
        Client::new(Direct(self.clone()))
    }

    fn invoke(&self, op: &str, message: AbiMessage) -> RResult<AbiMessage, AbiError> {
        self.session.timed(&self.slot, op, message, &self.component)
    }
}

/// The host's own calls take the same way as those between plugins.
struct Direct(Arc<Instance>);

impl Caller for Direct {
    fn call(&self, op: &str, message: Message) -> Result<Message> {
        match self.0.invoke(op, message.into_abi()) {
            // SAFETY: a plugin's handles are made by `into_abi`; a plugin runs in this process and is trusted.
            ROk(message) => unsafe { Message::from_abi(message) },
            RErr(error) => Err(error.into()),
        }
    }
}

/// Makes a picture of an image file's bytes.
pub type Decode = Arc<dyn Fn(&[u8]) -> Result<Picture> + Send + Sync>;

/// What a component is given of the host.
pub struct Mediator {
    component: String,
    slots: BTreeMap<String, Arc<Instance>>,
    session: Session,
    decode: Decode,
}

impl Mediator {
    /// The services for a component whose slots are filled like this.
    pub fn boxed(
        component: &str,
        slots: BTreeMap<String, Arc<Instance>>,
        session: Session,
        decode: Decode,
    ) -> HostBox {
        HostBox::from_value(
            Self {
                component: component.to_owned(),
                slots,
                session,
                decode,
            },
            TD_Opaque,
        )
    }

    fn own(&self, op: &str, message: AbiMessage) -> Result<AbiMessage> {
        match op {
            abi::FILLED => {
                // SAFETY: as above.
                let slot: String = unsafe { Message::from_abi(message) }?.unpack()?;
                Ok(Message::pack(&self.slots.contains_key(&slot))?.into_abi())
            }
            DECODE => {
                // SAFETY: as above.
                let file: Tensor = unsafe { Message::from_abi(message) }?.unpack()?;
                let picture = (self.decode)(&file.native_bytes())?;
                Ok(Message::pack(&picture)?.into_abi())
            }
            _ => Err(Error::unsupported(format!(
                "this host has no operation `{op}`"
            ))),
        }
    }
}

impl Drop for Mediator {
    fn drop(&mut self) {
        tracing::debug!(component = self.component, "freed");
    }
}

impl abi::Host for Mediator {
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>) {
        let component = self.component.as_str();
        let (target, message) = (target.as_str(), message.as_str());
        match level {
            1 => tracing::error!(target: "medfocus::plugin", component, target, "{message}"),
            2 => tracing::warn!(target: "medfocus::plugin", component, target, "{message}"),
            3 => tracing::info!(target: "medfocus::plugin", component, target, "{message}"),
            4 => tracing::debug!(target: "medfocus::plugin", component, target, "{message}"),
            _ => tracing::trace!(target: "medfocus::plugin", component, target, "{message}"),
        }
    }

    fn progress(&self, done: u64, total: u64, note: RStr<'_>) {
        self.session.show(&Progress {
            component: &self.component,
            done,
            total,
            note: note.as_str(),
        });
    }

    fn cancelled(&self) -> bool {
        self.session.cancelled()
    }

    fn call(
        &self,
        slot: RStr<'_>,
        op: RStr<'_>,
        message: AbiMessage,
    ) -> RResult<AbiMessage, AbiError> {
        let (slot, op) = (slot.as_str(), op.as_str());
        if slot.is_empty() {
            return match self.own(op, message) {
                Ok(message) => ROk(message),
                Err(error) => RErr(AbiError::from(&error)),
            };
        }
        match self.slots.get(slot) {
            Some(instance) => instance.invoke(op, message),
            None => RErr(AbiError::from(
                &Error::missing(format!("slot `{slot}` of `{}` is empty", self.component))
                    .with_hint(format!("fill it in the config under `slots.{slot}`")),
            )),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
