//! What holds for every kind.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    growth, parameters,
    report::Report,
    subject::{Ask, Subject},
};
use crate::{
    component::Component,
    error::{Error, ErrorKind},
    message::Message,
    tensor::Dtype,
};

/// How soon a cancelled component ends.
const SOON: Duration = Duration::from_secs(1);

/// Checks all that does not depend on the kind.
pub(super) fn check<T: Component>(subject: &Subject<T>, asks: &[Ask]) -> Report {
    let mut report = Report::new(T::NAME);
    report.check("declaration", parameters::declaration::<T>());
    report.check("defaults", parameters::defaults(subject));
    report.check("parameters", parameters::refusals(subject));
    type Check<T> = fn(&Subject<T>, &Ask) -> Result<(), String>;
    let checks: [(&'static str, Check<T>); 5] = [
        ("determinism", determinism),
        ("cancellation", cancellation),
        ("growth", grows_not),
        ("empty slots", empty_slots),
        ("failing slots", failing_slots),
    ];
    for (name, check) in checks {
        report.check(name, asks.iter().try_for_each(|ask| check(subject, ask)));
    }
    report
}

/// An answer to the last bit.
#[derive(PartialEq)]
struct Bits(Value, Vec<(Dtype, Vec<usize>, Vec<u8>)>);

impl Bits {
    fn of(message: &Message) -> Self {
        let body = serde_json::from_slice(message.body()).unwrap_or(Value::Null);
        let tensors = message.tensors().iter();
        let tensors =
            tensors.map(|tensor| (tensor.dtype(), tensor.shape().to_vec(), tensor.to_bytes()));
        Self(body, tensors.collect())
    }
}

fn failed(op: &str) -> impl Fn(Error) -> String {
    move |error| format!("`{op}` fails: {error}")
}

fn determinism<T: Component>(subject: &Subject<T>, ask: &Ask) -> Result<(), String> {
    let op = ask.op;
    let answer = |component| {
        ask.of(component)
            .map(|answer| Bits::of(&answer))
            .map_err(failed(op))
    };
    let component = subject.made()?;
    let first = answer(&component)?;
    if first != answer(&component)? {
        return Err(format!("the same `{op}` twice gives two answers"));
    }
    if first != answer(&subject.made()?)? {
        return Err(format!(
            "the same `{op}` to another instance gives another answer"
        ));
    }
    Ok(())
}

fn cancellation<T: Component>(subject: &Subject<T>, ask: &Ask) -> Result<(), String> {
    let op = ask.op;
    let host = subject.host();
    let component = subject.make(&host).map_err(failed("new"))?;
    let (made, start) = (host.requests(), Instant::now());
    ask.of(&component).map_err(failed(op))?;
    let slow = start.elapsed() > SOON;
    let requests = host.requests() - made;
    // Before it begins, and in the middle.
    for after in [0, requests / 2] {
        let host = subject.host();
        let component = subject.make(&host).map_err(failed("new"))?;
        host.cancel_after(after);
        let start = Instant::now();
        let outcome = ask.of(&component);
        let took = start.elapsed();
        match outcome {
            Err(error) if error.kind == ErrorKind::Cancelled => {}
            Err(error) => {
                return Err(format!(
                    "a cancelled `{op}` ends with another error: {error}"
                ));
            }
            Ok(_) if slow || requests > 0 => {
                return Err(format!(
                    "a cancelled `{op}` goes on to its end: return the error of `Context::step` and of each call"
                ));
            }
            Ok(_) => {}
        }
        if took > SOON {
            return Err(format!(
                "a cancelled `{op}` takes {:.1} s to end",
                took.as_secs_f64()
            ));
        }
    }
    Ok(())
}

fn grows_not<T: Component>(subject: &Subject<T>, ask: &Ask) -> Result<(), String> {
    growth::check(&subject.made()?, ask)
}

fn empty_slots<T: Component>(subject: &Subject<T>, ask: &Ask) -> Result<(), String> {
    let used = used(subject, ask)?;
    for slot in T::SLOTS
        .iter()
        .filter(|slot| slot.required && used.contains(&slot.name))
    {
        let host = subject.host_with(|other| other.name != slot.name);
        let outcome = subject.make(&host).and_then(|component| ask.of(&component));
        match outcome {
            Err(error) if error.kind == ErrorKind::Missing => {}
            Err(error) => {
                return Err(format!(
                    "without its slot `{}` `{}` fails with another error: {error}",
                    slot.name, ask.op
                ));
            }
            Ok(_) => {
                return Err(format!(
                    "`{}` works without its slot `{}`, which is declared as required",
                    ask.op, slot.name
                ));
            }
        }
    }
    let host = subject.host_with(|slot| slot.required);
    let outcome = subject.make(&host).and_then(|component| ask.of(&component));
    outcome
        .map(drop)
        .map_err(|error| format!("`{}` fails without the optional slots: {error}", ask.op))
}

fn failing_slots<T: Component>(subject: &Subject<T>, ask: &Ask) -> Result<(), String> {
    const SENTENCE: &str = "the scanner is on fire";
    let used = used(subject, ask)?;
    for slot in T::SLOTS
        .iter()
        .filter(|slot| slot.required && used.contains(&slot.name))
    {
        let fails = |_: &str, _: Message| Err(Error::unsupported(SENTENCE));
        let host = subject.host().with_slot(slot.name, fails);
        let outcome = subject.make(&host).and_then(|component| ask.of(&component));
        match outcome {
            Err(error)
                if error.kind == ErrorKind::Unsupported && error.message.contains(SENTENCE) => {}
            Err(error) => {
                return Err(format!(
                    "when slot `{}` fails, its error is lost: {error}",
                    slot.name
                ));
            }
            Ok(_) => {
                return Err(format!(
                    "when slot `{}` fails, `{}` answers all the same",
                    slot.name, ask.op
                ));
            }
        }
    }
    Ok(())
}

/// The slots that are called for a request.
fn used<T: Component>(subject: &Subject<T>, ask: &Ask) -> Result<Vec<&'static str>, String> {
    let host = subject.host();
    let component = subject.make(&host).map_err(failed("new"))?;
    ask.of(&component).map_err(failed(ask.op))?;
    let names = T::SLOTS.iter().map(|slot| slot.name);
    Ok(names.filter(|name| host.called(name)).collect())
}
