//! How a stream fails, is closed, and is forgotten.

use std::io;
use std::mem;
use std::rc::Rc;

use super::cell::{NEVER, State, StreamCell, flag, news};
use super::hub::Hub;
use super::rates;
use super::telling::call;
use super::transport::Transport;
use super::writing::BELOW;
use crate::net::filter::FilterError;
use crate::net::{Buffer, Direction, Reason, StreamEvent, listener};
use crate::{Error, ErrorKind, EvLoop};

/// What a stream that closes when it is flushed may take for that without the system taking a byte, unless
/// its write time-out says otherwise.
const FLUSH_TIME: u64 = 30_000_000_000;

const READING: &str = "reading from a stream";
const WRITING: &str = "writing to a stream";
const MOVING: &str = "moving the bytes of a stream";

/// It cannot go on. What was received before is told first.
pub(super) fn fail(state: &mut State, error: Error, direction: Option<Direction>, reason: Reason) {
    if state.has(flag::OVER) {
        return;
    }
    state.reason = Some(reason);
    state.set(flag::OVER);
    state.news |= news::ERROR;
    state.extra().error = Some((error, direction));
}

#[cold]
pub(super) fn fail_io(state: &mut State, error: io::Error, direction: Direction) {
    let reason = match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted => Reason::Reset,
        _ => Reason::Failed,
    };
    let doing = if direction == Direction::Read { READING } else { WRITING };
    fail(state, Error::os(ErrorKind::Io, doing, error), Some(direction), reason);
}

/// The peer has ended its side, or is gone, while nothing is read. Of the first nothing is told before the end of what it
/// sent; of the second there is nobody any more who would want that to be read.
#[cold]
pub(super) fn hung_up(state: &mut State) {
    let Some(socket) = state.transport.socket() else { return };
    match rustix::net::sockopt::socket_error(socket) {
        Ok(Ok(())) => {
            // Each report is the last of its kind: the state would be told again and again.
            let seen = state.has(flag::ASKS_URGENT);
            state.set(if seen { flag::UNWATCHED } else { flag::HUNG_UP });
        }
        Ok(Err(error)) | Err(error) => fail_io(state, error.into(), Direction::Read),
    }
}

#[cold]
pub(super) fn fail_filter(state: &mut State, error: FilterError, direction: Direction) {
    let doing = if direction == Direction::Read { READING } else { WRITING };
    let error = match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::caused(ErrorKind::Filter, doing, error),
    };
    #[cfg(feature = "tls")]
    let reason = if error.kind() == ErrorKind::Tls { Reason::Tls } else { Reason::Failed };
    #[cfg(not(feature = "tls"))]
    let reason = Reason::Failed;
    if state.has(flag::FIN_SENT | flag::OVER) || !state.has(flag::OPEN) {
        return fail(state, error, Some(direction), reason);
    }
    // It may have something to say about it to the peer: in one go, or not at all. Closed at once the
    // connection would be reset for what was not read, and the peer might never see that; so the stream
    // lingers first.
    let mut rest = Buffer::new();
    if let State { extra: Some(extra), transport, .. } = &mut *state {
        let _ = extra.chain.send(&mut rest, BELOW, usize::MAX, false);
        if let Some(last) = extra.chain.lowest_output().filter(|last| !last.is_empty()) {
            let _ = transport.write(last, BELOW, None);
        }
        extra.chain.forget_output();
        transport.end();
    }
    state.output = None;
    state.reason = Some(reason);
    state.news |= news::ERROR;
    state.extra().error = Some((error, Some(direction)));
    state.set(flag::SHUT | flag::CLOSING | flag::LINGER | flag::FIN_SENT);
    state.clear(flag::BLOCKED | flag::DIRTY | flag::FILTER | flag::SHAKING);
}

/// Begins to close it when it is flushed.
pub(super) fn close_when_flushed(state: &mut State, now: u64, reason: Reason, lingers: bool) {
    // A server says something by itself after the handshake (TLS 1.3: its tickets). The system answers
    // what comes to a closed socket with a reset, and forgets what it has not sent.
    let is_client = state.has_filters() && !state.has(flag::ACCEPTED);
    if lingers || is_client {
        state.set(flag::LINGER);
    }
    if state.has(flag::OVER | flag::CLOSING) {
        return;
    }
    state.reason.get_or_insert(reason);
    state.set(flag::CLOSING | flag::SHUT | flag::DIRTY | flag::RETIME);
    state.news &= !(news::RECEIVED | news::FORCED | news::EOF);
    // Most have nothing to wait for, and need no memory for times: what has is given them there (`limit_flush`).
    if state.times.is_some() {
        limit(state, now);
    } else {
        state.set(flag::UNLIMITED);
    }
}

/// Closing has begun and is not over: it may take only so long. There may be other times by now.
pub(super) fn limit_flush(state: &mut State, now: u64) {
    if state.has(flag::UNLIMITED) {
        state.clear(flag::UNLIMITED);
        limit(state, now);
    }
}

fn limit(state: &mut State, now: u64) {
    let times = state.times();
    if times.write_timeout == NEVER {
        times.write_timeout = FLUSH_TIME;
    }
    times.write_at = now;
    state.set(flag::RETIME);
}

/// Bytes are being moved, and may be in filters and traces, which are not ours. Should one of these panic
/// there is no telling what it has lost, so the stream fails, rather than go on without some bytes.
pub(super) struct Moving<'a> {
    ev: &'a mut EvLoop,
    hub: &'a Rc<Hub>,
    cell: &'a Rc<StreamCell>,
}

impl<'a> Moving<'a> {
    pub(super) fn new(ev: &'a mut EvLoop, hub: &'a Rc<Hub>, cell: &'a Rc<StreamCell>) -> Self {
        Self { ev, hub, cell }
    }

    pub(super) fn end(self) {
        mem::forget(self);
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let error =
            Error::caused(ErrorKind::Filter, MOVING, "a filter or trace has panicked".into());
        if let Ok(mut state) = self.cell.state.try_borrow_mut() {
            fail(&mut state, error, None, Reason::Failed);
        }
        self.hub.enqueue(self.ev, self.cell);
    }
}

/// Closes what it has, tells so, and forgets it.
pub(super) fn finish(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>) {
    // Whoever is at the other end of a pair finds it closed.
    let leaving = Leaving { ev, hub, cell };
    let other = release(leaving.ev, hub, cell);
    nudge(leaving.ev, hub, other);
    let reason = cell.state.borrow().reason.unwrap_or(Reason::Local);
    call(leaving.ev, hub, cell, StreamEvent::Closed(reason));
}

/// Lets go of everything outside the process.
fn release(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>) -> Option<Rc<StreamCell>> {
    let (io, write_io, dial, transport, output, other) = {
        let mut state = cell.state.borrow_mut();
        let state = &mut *state;
        let is_unsent = state.output_len() > 0;
        state.put(flag::UNSENT, is_unsent);
        state.set(flag::CLOSED | flag::OVER | flag::SHUT);
        state.clear(flag::OPEN | flag::ASKS | flag::SHAKING);
        hub.unschedule(ev, state);
        if state.has(flag::RESET) {
            state.transport.reset();
        }
        let other = other_end(state);
        rates::leave(state);
        let (write_io, dial) = match &mut state.extra {
            Some(extra) => {
                extra.fds_out.clear();
                (extra.write_io.take(), extra.dial.take())
            }
            None => (None, None),
        };
        #[cfg(feature = "websocket")]
        drop(state.shared.take());
        let transport = mem::replace(&mut state.transport, Transport::None);
        (transport.io(), write_io, dial, transport, state.output.take(), other)
    };
    for io in [io, write_io].into_iter().flatten() {
        io.free(ev);
    }
    if let Some(dial) = dial {
        dial.cancel(ev);
    }
    drop(transport);
    if let Some(output) = output {
        hub.give_buffer(output);
    }
    listener::descriptor_closed(ev);
    other
}

/// Has the stream forgotten when its handler was told, or has panicked.
struct Leaving<'a> {
    ev: &'a mut EvLoop,
    hub: &'a Rc<Hub>,
    cell: &'a Rc<StreamCell>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let _cell = self.hub.remove(self.cell);
        let (input, handler, extra, permit) = {
            let mut state = self.cell.state.borrow_mut();
            let state = &mut *state;
            (state.input.take(), state.handler.take(), state.extra.take(), state.permit.take())
        };
        if let Some(input) = input {
            self.hub.give_buffer(input);
        }
        drop(permit);
        drop((handler, extra));
    }
}

pub(super) fn other_end(state: &State) -> Option<Rc<StreamCell>> {
    match &state.transport {
        Transport::Pair(end) => end.other(),
        _ => None,
    }
}

/// Has the other end of a pair look at what was done at this one.
pub(super) fn nudge(ev: &mut EvLoop, hub: &Rc<Hub>, other: Option<Rc<StreamCell>>) {
    let Some(other) = other else { return };
    other.state.borrow_mut().set(flag::NUDGED);
    hub.enqueue(ev, &other);
}
