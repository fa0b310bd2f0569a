//! A call: its way through the table, from the first stage to the one report.
//!
//! Who works on a call takes it out, and `settle` or `settle_later` ends the work: one of them puts it back or
//! reports. What is reported is reported from the loop.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{io, mem};

use super::race::{Open, Race, Winner, begin_race};
use crate::net::resolve::{Resolve, Unresolved};
use crate::net::socket::Target;
use crate::{ErrorKind, EvLoop, Result, Timer};

/// What is being dialled, per loop.
#[derive(Default)]
pub(super) struct Calls(pub(super) RefCell<BTreeMap<u64, Call>>);

pub(super) struct Call {
    pub(super) stage: Stage,
    /// For the whole.
    pub(super) limit: Timer,
    pub(super) done: Done,
}

type Done = Box<dyn FnOnce(&mut EvLoop, Result<Winner>)>;

pub(super) enum Stage {
    Naming(Naming),
    Racing(Race),
    /// It ended inside of a user's call, and the loop has not come to report it.
    Over(Result<Winner>),
}

/// The name is being resolved.
pub(super) struct Naming {
    pub(super) host: String,
    pub(super) port: u16,
    /// `None` if the options have the answer.
    pub(super) question: Option<Resolve>,
    /// What follows.
    pub(super) race: Race,
    pub(super) on_resolved: Box<dyn FnOnce(&mut EvLoop)>,
}

pub(super) fn draw_id() -> u64 {
    static IDS: AtomicU64 = AtomicU64::new(1);
    IDS.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn take(ev: &mut EvLoop, id: u64) -> Option<Call> {
    ev.local::<Calls>().0.borrow_mut().remove(&id)
}

pub(super) fn put(ev: &mut EvLoop, id: u64, call: Call) {
    ev.local::<Calls>().0.borrow_mut().insert(id, call);
}

/// Takes a call of which one attempt is to be looked after.
pub(super) fn take_attempt(ev: &mut EvLoop, id: u64, number: usize) -> Option<(Call, Open)> {
    let mut call = take(ev, id)?;
    let open = match &mut call.stage {
        Stage::Racing(race) => race.take_open(number),
        Stage::Naming(_) | Stage::Over(_) => None,
    };
    match open {
        Some(open) => Some((call, open)),
        None => {
            put(ev, id, call);
            None
        }
    }
}

/// Goes on waiting, or reports how it ended. Only from the loop.
pub(super) fn settle(ev: &mut EvLoop, id: u64, call: Call, outcome: Option<Result<Winner>>) {
    let Some(outcome) = outcome else { return put(ev, id, call) };
    let Call { stage, limit, done } = call;
    limit.free(ev);
    release(ev, stage);
    done(ev, outcome);
}

/// The same from inside a user's call: what is to be reported waits for the loop.
pub(super) fn settle_later(
    ev: &mut EvLoop,
    id: u64,
    mut call: Call,
    outcome: Option<Result<Winner>>,
) {
    if let Some(outcome) = outcome {
        let stage = mem::replace(&mut call.stage, Stage::Over(outcome));
        release(ev, stage);
        ev.defer(move |ev| deliver(ev, id));
    }
    put(ev, id, call);
}

fn deliver(ev: &mut EvLoop, id: u64) {
    let Some(Call { stage, limit, done }) = take(ev, id) else { return };
    limit.free(ev);
    if let Stage::Over(outcome) = stage {
        done(ev, outcome);
    }
}

/// Ends what is under way: closes the sockets, frees the watchers.
pub(super) fn release(ev: &mut EvLoop, stage: Stage) {
    match stage {
        Stage::Naming(Naming { question, race, .. }) => {
            if let Some(question) = question {
                question.cancel(ev);
            }
            release(ev, Stage::Racing(race));
        }
        Stage::Racing(race) => {
            for open in race.open {
                open.wait.end(ev);
            }
            if let Some(next) = race.next {
                next.free(ev);
            }
        }
        Stage::Over(_) => {}
    }
}

pub(super) fn watch_the_time(ev: &mut EvLoop, id: u64, limit: Duration) -> Timer {
    start_timer(ev, limit, move |ev| {
        // Behind the sockets: if the loop was held up, one that is connected by now has come in time.
        ev.defer(move |ev| time_is_up(ev, id, limit));
    })
}

/// The timer counts from the present moment: the callback that dials may have computed for long. It is freed by
/// who waits for it.
pub(super) fn start_timer(
    ev: &mut EvLoop,
    delay: Duration,
    mut due: impl FnMut(&mut EvLoop) + 'static,
) -> Timer {
    ev.timer(delay, Duration::ZERO, move |ev, _| due(ev)).start_from_real_now(ev)
}

fn time_is_up(ev: &mut EvLoop, id: u64, limit: Duration) {
    let Some(mut call) = take(ev, id) else { return };
    let outcome = match &mut call.stage {
        Stage::Naming(naming) => Some(Err(Unresolved::late(&naming.host, limit))),
        Stage::Racing(race) => {
            for open in mem::take(&mut race.open) {
                let address = open.target.as_ref().map(Target::address);
                race.fail(open.number, address, io::ErrorKind::TimedOut.into());
                open.wait.end(ev);
            }
            Some(Err(race.error(ErrorKind::TimedOut)))
        }
        // There is an outcome, which is about to be delivered.
        Stage::Over(_) => None,
    };
    settle(ev, id, call, outcome);
}

pub(super) fn named(ev: &mut EvLoop, id: u64, answer: Result<Rc<[SocketAddr]>>) {
    let Some(call) = take(ev, id) else { return };
    let Call { stage: Stage::Naming(naming), limit, done } = call else {
        return put(ev, id, call);
    };
    let Naming { host, port, question: _, mut race, on_resolved } = naming;
    let answer = match answer {
        Ok(addresses) if addresses.is_empty() => Err(Unresolved::none(&host)),
        Ok(addresses) => {
            let at_port = addresses.iter().map(|address| {
                let mut address = *address;
                address.set_port(port);
                address
            });
            race.waiting = race.plan.order(at_port);
            if race.waiting.is_empty() { Err(Unresolved::unwanted(&host)) } else { Ok(()) }
        }
        Err(error) => Err(error),
    };
    let call = Call { stage: Stage::Racing(race), limit, done };
    match answer {
        Err(error) => {
            drop(on_resolved);
            settle(ev, id, call, Some(Err(error)));
        }
        Ok(()) => {
            put(ev, id, call);
            // Said beforehand, so that it happens also if the callback panics.
            ev.defer(move |ev| begin_race(ev, id));
            on_resolved(ev);
        }
    }
}
