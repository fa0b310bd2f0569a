//! How a pass leaves a stream: so that whatever happens to it next starts another.

use std::rc::Rc;

use super::cell::{NEVER, State, StreamCell, flag, news};
use super::ending::{fail, limit_flush};
use super::hub::Hub;
use super::rates;
use super::telling::may_tell_received;
use super::times::first_due;
use crate::net::{Buffer, Reason};
use crate::{EvLoop, Interest, Io, Result};

/// Leaves the stream so that whatever happens to it next starts a pass.
pub(super) fn settle(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>) {
    let unused = {
        let mut state = cell.state.borrow_mut();
        if rest(hub, &mut state) {
            return;
        }
        let is_done = state.has(flag::FIN_SENT);
        state.extra.as_mut().filter(|_| is_done).and_then(|extra| extra.write_io.take())
    };
    if let Some(io) = unused {
        // The one that was written: closing it is how its reader learns that nothing follows.
        io.free(ev);
    }
    let (change, queue, due) = {
        let mut state = cell.state.borrow_mut();
        let state = &mut *state;
        if state.has(flag::CLOSED) {
            return;
        }
        tidy(hub, state);
        limit_flush(state, hub.now(ev));
        let lingering = state.times.as_ref().is_some_and(|times| times.linger == 0);
        if lingering {
            let now = hub.now(ev);
            let times = state.times();
            times.linger = now.saturating_add(times.linger_time);
        }
        rates::withdraw(state);
        let change = interest(state, || hub.now(ev));
        (change, has_work(state), state.has(flag::RETIME).then(|| first_due(state)))
    };
    if let Some(wants) = change {
        ask(ev, hub, cell, wants);
    }
    if queue {
        hub.enqueue(ev, cell);
    }
    if let Some(due) = due {
        cell.state.borrow_mut().clear(flag::RETIME);
        if due == NEVER {
            hub.unschedule(ev, &mut cell.state.borrow_mut());
        } else {
            hub.schedule(ev, cell, due);
        }
    }
}

/// Leaves the stream as it is where there is nothing to be done but to wait. Says whether it is so.
#[inline]
pub(super) fn rest(hub: &Hub, state: &mut State) -> bool {
    let rests = is_at_rest(state);
    if rests {
        tidy(hub, state);
    }
    rests
}

/// Whether it waits for input, has asked for that, and there is nothing else: as most passes leave a stream,
/// and what all the rest of `settle` would come to.
fn is_at_rest(state: &State) -> bool {
    const RIGHT: u64 = flag::OPEN | flag::READ | flag::ASKS_READ;
    const WRONG: u64 = flag::EOF
        | flag::HELD
        | flag::BLOCKED
        | flag::DIRTY
        | flag::FIN_SENT
        | flag::CLOSING
        | flag::DISCARD
        | flag::OVER
        | flag::CLOSED
        | flag::FILTER
        | flag::SHAKING
        | flag::RETIME
        | flag::NUDGED
        | flag::ASKS_WRITE;
    state.flags & (RIGHT | WRONG) == RIGHT
        && state.news == 0
        && state.extra.is_none()
        && state.times.is_none()
}

/// Gives back the memory that holds nothing.
pub(super) fn tidy(hub: &Hub, state: &mut State) {
    tidy_one(hub, &mut state.input);
    tidy_one(hub, &mut state.output);
    if let Some(extra) = &mut state.extra {
        extra.chain.tidy();
    }
}

#[inline]
fn tidy_one(hub: &Hub, place: &mut Option<Box<Buffer>>) {
    let Some(buffer) = place.take() else { return };
    if buffer.is_empty() {
        hub.give_buffer(buffer);
    } else {
        *place = Some(lessened(hub, buffer));
    }
}

/// Few bytes in much memory are moved to less.
#[inline(never)]
fn lessened(hub: &Hub, mut buffer: Box<Buffer>) -> Box<Buffer> {
    if !buffer.is_wasteful() {
        return buffer;
    }
    let less = Box::new(buffer.lessened());
    hub.give_buffer(buffer);
    less
}

/// What is to be asked of the descriptor, if that changes.
fn interest(state: &mut State, now: impl Fn() -> u64) -> Option<Wants> {
    let [read_rate, write_rate] = state.times.as_ref().map_or([NEVER; 2], |times| times.rate);
    let reads = state.wants_input() && read_rate == NEVER;
    let writes = state.has(flag::BLOCKED) && state.wants_output() && write_rate == NEVER;
    let watches = !reads && state.wants_watching();
    // What was reported once would be reported for ever. Behind that there is only the reset, which is
    // told to whoever asks for anything; urgent data is what hardly anybody sends.
    let is_known = state.has(flag::EOF | flag::HUNG_UP);
    let wants = Wants { reads, writes, closes: watches && !is_known, urgent: watches && is_known };
    let before = Wants {
        reads: state.has(flag::ASKS_READ),
        writes: state.has(flag::ASKS_WRITE),
        closes: state.has(flag::ASKS_CLOSE),
        urgent: state.has(flag::ASKS_URGENT),
    };
    // A watcher that was not started does not keep the loop running, also if nothing is asked of it.
    if wants == before && !state.has(flag::UNSTARTED) {
        return None;
    }
    state.clear(flag::UNSTARTED);
    // Where waiting begins, so does the time it may take.
    if reads && !before.reads && state.read_timeout != NEVER {
        state.read_at = now();
        state.set(flag::RETIME);
    }
    if writes && !before.writes {
        if let Some(times) = &mut state.times {
            times.write_at = now();
            state.set(flag::RETIME);
        }
    }
    if reads && !before.reads || writes && !before.writes {
        state.look_at_pair();
    }
    state.put(flag::ASKS_READ, reads);
    state.put(flag::ASKS_WRITE, writes);
    state.put(flag::ASKS_CLOSE, wants.closes);
    state.put(flag::ASKS_URGENT, wants.urgent);
    Some(wants)
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Wants {
    reads: bool,
    writes: bool,
    /// The end of the peer's side, and what comes with that if it is more.
    closes: bool,
    urgent: bool,
}

/// Whether it has something to do without anybody's help.
fn has_work(state: &State) -> bool {
    let mut told = state.news;
    if !may_tell_received(state) {
        told &= !news::RECEIVED;
    }
    if !state.has(flag::READ) {
        told &= !news::EOF;
    }
    let filter = state.has(flag::FILTER)
        && (state.has(flag::SHAKING) || state.has(flag::READ) && !state.has(flag::HELD));
    let [_, write_rate] = state.times.as_ref().map_or([NEVER; 2], |times| times.rate);
    let output = state.has(flag::DIRTY)
        && !state.has(flag::BLOCKED)
        && state.wants_output()
        && write_rate == NEVER;
    told & !news::FORCED != 0
        || state.has(flag::OVER)
        || filter
        || output
        || state.has(flag::NUDGED) && (state.wants_input() || state.has(flag::BLOCKED))
}

fn ask(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>, wants: Wants) {
    let (io, write_io) = {
        let state = cell.state.borrow();
        (state.transport.io(), state.extra.as_ref().and_then(|extra| extra.write_io))
    };
    let mut read = if wants.reads { Interest::READ } else { Interest::NONE };
    if wants.closes {
        read |= Interest::PEER_CLOSE;
    }
    if wants.urgent {
        read |= Interest::PRIORITY;
    }
    let write = if wants.writes { Interest::WRITE } else { Interest::NONE };
    let result = match (io, write_io) {
        (Some(io), Some(write_io)) => {
            set_interest(ev, io, read).and_then(|()| set_interest(ev, write_io, write))
        }
        (Some(io), None) => set_interest(ev, io, read | write),
        (None, Some(write_io)) => set_interest(ev, write_io, write),
        (None, None) => Ok(()),
    };
    if let Err(error) = result {
        fail(&mut cell.state.borrow_mut(), error, None, Reason::Failed);
        hub.enqueue(ev, cell);
    }
}

fn set_interest(ev: &mut EvLoop, io: Io, interest: Interest) -> Result<()> {
    io.set_interest(ev, interest)?.start(ev)?;
    Ok(())
}

/// Asks for nothing, until the next `settle`.
pub(super) fn mute(ev: &mut EvLoop, cell: &Rc<StreamCell>) {
    let (io, write_io) = {
        let mut state = cell.state.borrow_mut();
        state.clear(flag::ASKS);
        (state.transport.io(), state.extra.as_ref().and_then(|extra| extra.write_io))
    };
    for io in [io, write_io].into_iter().flatten() {
        // Asking for less is refused by nobody.
        let _ = io.set_interest(ev, Interest::NONE);
    }
}
