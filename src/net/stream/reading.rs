//! How bytes come in: from the transport, through the filters, into the input.

use std::io;
use std::rc::Rc;

use super::cell::{Limits, NEVER, State, StreamCell, flag, news};
use super::chain::Outcome;
use super::ending::{Moving, fail, fail_filter, fail_io, nudge, other_end};
use super::hub::Hub;
use super::rates;
use super::transport::Transport;
use super::writing::trace;
use crate::net::{Buffer, Direction, LimitKind, Reason};
use crate::{Error, ErrorKind, EvLoop};

/// What may wait for filters that want more before they take any: else a peer could send for ever.
const MOST_BELOW: usize = 1024 * 1024;

pub(super) fn read(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>) {
    let now = hub.now(ev);
    let moving = Moving::new(ev, hub, cell);
    let other = {
        let mut state = cell.state.borrow_mut();
        let state = &mut *state;
        if !state.wants_input() {
            return moving.end();
        }
        if read_plainly(hub, state, now) {
            return moving.end();
        }
        let before = state.bytes_in;
        if state.has(flag::DISCARD) {
            discard(hub, state);
        } else {
            read_some(hub, state, now);
        }
        // There is room for the other end's output.
        if state.bytes_in == before { None } else { other_end(state) }
    };
    moving.end();
    nudge(ev, hub, other);
}

/// What [`read_some`] comes to for most: a socket without filters, rates and limits of its own, of which all that came
/// before was taken. Says whether it was one of those; if not, nothing was done.
fn read_plainly(hub: &Hub, state: &mut State, now: u64) -> bool {
    let is_plain = state.extra.is_none()
        && !state.has(flag::DISCARD | flag::CLOSING)
        && matches!(state.transport, Transport::Socket(_))
        && state.input.as_ref().is_none_or(|input| input.is_empty());
    if !is_plain {
        return false;
    }
    let mut fresh = state.input.take().unwrap_or_else(|| hub.take_buffer());
    match state.transport.read(&mut fresh, Limits::DEFAULT.read_most) {
        Ok(n @ 1..) => {
            state.bytes_in += n as u64;
            state.received += n;
            state.read_at = now;
            state.news |= news::RECEIVED;
            state.input = Some(fresh);
        }
        Ok(_) => {
            hub.give_buffer(fresh);
            end_of_input(hub, state);
        }
        Err(error) => {
            hub.give_buffer(fresh);
            if error.kind() != io::ErrorKind::WouldBlock {
                fail_io(state, error, Direction::Read);
            }
        }
    }
    true
}

pub(super) fn read_some(hub: &Hub, state: &mut State, now: u64) {
    let limits = *state.limits();
    let filtered = state.has_filters();
    let room =
        if filtered { usize::MAX } else { limits.read_high.saturating_sub(state.input_len()) };
    if filtered && state.extra().chain.input_len() >= MOST_BELOW {
        let error = Error::new(ErrorKind::Full, "waiting for a filter to take what came");
        let reason = Reason::Limit(LimitKind::Filter);
        return fail(state, error, Some(Direction::Read), reason);
    }
    let most = limits.read_most.min(room);
    if most == 0 {
        state.set(flag::HELD);
        return;
    }
    let most = match rates::allowance(state, Direction::Read, now, most) {
        Ok(most) => most,
        Err(until) => {
            state.times().rate[0] = until;
            state.set(flag::RETIME);
            return;
        }
    };
    let mut fresh = hub.take_buffer();
    let result = match &mut state.extra {
        Some(extra) if extra.takes_fds => {
            state.transport.read_with_fds(&mut fresh, most, &mut extra.fds_in)
        }
        _ => state.transport.read(&mut fresh, most),
    };
    let unused;
    let mut came = 0;
    match result {
        Ok(0) => {
            unused = Some(fresh);
            end_of_input(hub, state);
        }
        Ok(n) => {
            came = n;
            state.bytes_in += n as u64;
            state.read_at = now;
            if state.extra.is_some() {
                trace(state, Direction::Read, &fresh, n);
            }
            // Also if that was all there is: the end may be behind it.
            if matches!(state.transport, Transport::Pair(_)) {
                state.set(flag::NUDGED);
            }
            if filtered {
                if let Some(to) = state.extra().chain.lowest_input() {
                    to.append_buffer(&mut fresh);
                }
                filter_input(hub, state);
                unused = Some(fresh);
            } else {
                unused = take_in(state, fresh);
                came_in(state, n);
            }
        }
        Err(error) => {
            unused = Some(fresh);
            if error.kind() != io::ErrorKind::WouldBlock {
                fail_io(state, error, Direction::Read);
            }
        }
    }
    // Also where nothing came: its turn is over.
    rates::charge(state, Direction::Read, came);
    if let Some(unused) = unused {
        hub.give_buffer(unused);
    }
}

/// Where there is nothing yet, the whole buffer changes hands: most of what comes is consumed before the
/// next read, and is never copied. Returns the one that is not needed any more.
fn take_in(state: &mut State, mut fresh: Box<Buffer>) -> Option<Box<Buffer>> {
    match &mut state.input {
        Some(input) if !input.is_empty() => {
            input.append_buffer(&mut fresh);
            Some(fresh)
        }
        input => input.replace(fresh),
    }
}

/// So many bytes are new in the input.
fn came_in(state: &mut State, n: usize) {
    state.received += n;
    if !state.has(flag::CLOSING) {
        state.news |= news::RECEIVED;
    }
    hold_back(state);
}

fn hold_back(state: &mut State) {
    let held = state.input_len() >= state.limits().read_high;
    state.put(flag::HELD, held);
}

fn end_of_input(hub: &Hub, state: &mut State) {
    state.set(flag::EOF);
    if state.has_filters() {
        filter_input(hub, state);
    } else {
        ended(state, true);
    }
}

pub(super) fn ended(state: &mut State, clean: bool) {
    state.set(flag::ENDED);
    state.put(flag::CLEAN, clean);
    if state.has(flag::CLOSING) {
        return;
    }
    state.news |= news::EOF;
    if state.received == 0 && state.input_len() > 0 && state.limits().read_low > 0 {
        state.news |= news::RECEIVED;
    }
}

/// Has the filters make input of what they hold.
pub(super) fn filter_input(hub: &Hub, state: &mut State) {
    state.clear(flag::FILTER);
    let shaking = state.has(flag::SHAKING);
    let unwanted = state.has(flag::ENDED | flag::OVER | flag::DISCARD);
    // Whoever closes is told of nothing that came; but without a handshake nothing leaves.
    if unwanted || state.has(flag::CLOSING) && !shaking {
        return;
    }
    let limits = *state.limits();
    if state.has(flag::CLOSING) && !shaking {
        return;
    }
    let room = limits.read_high.saturating_sub(state.input_len());
    if !shaking && (room == 0 || !state.has(flag::READ)) {
        state.set(flag::FILTER);
        state.put(flag::HELD, room == 0);
        return;
    }
    let limit = limits.read_most.min(room).max(1);
    let mut input = state.input.take().unwrap_or_else(|| hub.take_buffer());
    let before = input.len();
    let eof = state.has(flag::EOF);
    let result = state.extra().chain.receive(&mut input, limit, eof);
    let n = input.len().saturating_sub(before);
    state.input = Some(input);
    // Whatever it was, there may be an answer to it.
    state.set(flag::DIRTY);
    if n > 0 {
        came_in(state, n);
    }
    match result {
        Ok(Outcome::Done) => {}
        Ok(Outcome::More) => state.set(flag::FILTER),
        Ok(Outcome::Ended { clean }) => ended(state, clean),
        Err(error) => fail_filter(state, error, Direction::Read),
    }
    shaken(state);
    if state.has(flag::SHAKING) && state.has(flag::ENDED) {
        let error = Error::os(
            ErrorKind::Filter,
            "agreeing with the peer on how to begin",
            io::ErrorKind::UnexpectedEof.into(),
        );
        fail(state, error, Some(Direction::Read), Reason::PeerEof);
    }
}

/// Whether the filters have agreed meanwhile.
pub(super) fn shaken(state: &mut State) {
    if state.has(flag::SHAKING) && state.extra().chain.is_ready() {
        state.clear(flag::SHAKING);
        state.times().handshake = NEVER;
        state.set(flag::DIRTY | flag::RETIME);
        state.news |= news::HANDSHAKED;
        // What came with the last of it.
        if state.extra().chain.input_len() > 0 {
            state.set(flag::FILTER);
        }
    }
}

/// Reads what nobody wants, so that the peer gets what was sent and not a reset.
fn discard(hub: &Hub, state: &mut State) {
    let mut fresh = hub.take_buffer();
    let most = state.limits().read_most;
    match state.transport.read(&mut fresh, most) {
        Ok(0) => state.set(flag::EOF | flag::OVER),
        Ok(n) => {
            state.bytes_in += n as u64;
            let linger_most = state.times().linger_most;
            let discarded = &mut state.extra().discarded;
            *discarded += n;
            if *discarded >= linger_most {
                state.set(flag::OVER);
            } else if matches!(state.transport, Transport::Pair(_)) {
                state.set(flag::NUDGED);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(_) => state.set(flag::OVER),
    }
    hub.give_buffer(fresh);
}
