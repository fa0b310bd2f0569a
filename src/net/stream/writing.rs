//! How bytes go out: from the output, through the filters, to the transport.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::cell::{Limits, State, StreamCell, Trace, flag, news};
use super::ending::{Moving, fail_filter, fail_io, nudge, other_end};
use super::hub::Hub;
use super::rates;
use super::reading::{filter_input, read_some, shaken};
use super::transport::Transport;
use crate::EvLoop;
use crate::net::{Buffer, Chunk, Direction};

/// What is read of a connection that cannot be written any more: the peer's last words.
const LAST_WORDS: usize = 256 * 1024;

/// Of a file so many times as much is sent at a time as of what is in memory: the system copies nothing, and takes about as
/// long for it. With 64 KiB of it per iteration most of what a large file costs would be the waits in between. 2 MiB is what
/// nginx sends at a time.
const FILE_STRETCH: usize = 32;

/// Files from this length on fill segments.
const CORKED: usize = 128 * 1024;

/// How much may wait below a filter before it is given more.
pub(super) const BELOW: usize = 64 * 1024;

pub(super) fn flush(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>, writable: bool) {
    let now = hub.now(ev);
    let moving = Moving::new(ev, hub, cell);
    let other = {
        let mut state = cell.state.borrow_mut();
        let state = &mut *state;
        if !state.wants_output() {
            return moving.end();
        }
        if !writable {
            if state.has(flag::BLOCKED) {
                return moving.end();
            }
            let is_told = !matches!(state.transport, Transport::Pair(_));
            if state.has(flag::PATIENT) && is_told && state.output_len() > 0 {
                state.set(flag::BLOCKED);
                return moving.end();
            }
        }
        if state.extra.is_none() && state.times.is_none() && flush_plainly(hub, state, now) {
            if state.has(flag::SHUT) && !state.has(flag::OVER) {
                send_end(state);
            }
            return moving.end();
        }
        let before = (state.bytes_out, state.has(flag::FIN_SENT));
        flush_some(hub, state, now);
        if state.has(flag::SHUT) && !state.has(flag::OVER) {
            send_end(state);
        }
        let after = (state.bytes_out, state.has(flag::FIN_SENT));
        if after == before { None } else { other_end(state) }
    };
    moving.end();
    nudge(ev, hub, other);
}

/// What [`flush_some`] comes to for most: a little output of a socket without filters, rates and limits of its own.
/// Says whether it was one of those; if not, nothing was done. An end that is owed behind it is still to be sent.
pub(super) fn flush_plainly(hub: &Hub, state: &mut State, now: u64) -> bool {
    const WRONG: u64 = flag::SHAKING | flag::WAITED;
    let State { transport, output, flags, .. } = &mut *state;
    let Some(output) = output else { return false };
    let len = output.len();
    let is_little = len > 0 && len <= Limits::DEFAULT.write_most && output.is_plain();
    if *flags & WRONG != 0 || !is_little || matches!(transport, Transport::Pair(_)) {
        return false;
    }
    let result = transport.write(output, len, None);
    wrote(hub, state, now, len, result);
    true
}

/// What becomes of a stream of which the system was given `len` bytes, all there are.
#[inline]
pub(super) fn wrote(hub: &Hub, state: &mut State, now: u64, len: usize, result: io::Result<usize>) {
    if matches!(result, Ok(n) if n == len)
        && state.flags & (flag::QUIET | flag::WAITED) == flag::QUIET
    {
        // As it is with nearly all: nothing waits, and nobody wants to know.
        state.bytes_out += len as u64;
        state.sent = 0;
        state.clear(flag::DIRTY | flag::BLOCKED | flag::ABOVE);
        return;
    }
    state.clear(flag::DIRTY | flag::BLOCKED);
    let written = match result {
        Ok(n) => n,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => {
            last_words(hub, state, now);
            fail_io(state, error, Direction::Write);
            return;
        }
    };
    state.bytes_out += written as u64;
    state.sent += written;
    // What the system did not take all of it will not take more of.
    state.put(flag::BLOCKED, written < len);
    if state.has(flag::QUIET) {
        quietly(state);
    } else if written > 0 || state.has(flag::LOUD) {
        state.news |= news::SENT;
    }
    if written == len {
        if state.has(flag::ABOVE) && !state.has(flag::QUIET) {
            state.news |= news::DRAINED;
        }
        state.clear(flag::ABOVE);
    }
}

fn flush_some(hub: &Hub, state: &mut State, now: u64) {
    state.clear(flag::DIRTY | flag::BLOCKED);
    let limits = *state.limits();
    state.unshare(hub);
    let mut output = state.output.take();
    let filtered = state.has_filters();
    if filtered {
        let mut above = output.take().unwrap_or_else(|| hub.take_buffer());
        let finish = state.has(flag::SHUT);
        let before = above.len();
        let chain = &mut state.extra().chain;
        let result = chain.send(&mut above, limits.write_most, BELOW, finish);
        let went_on = above.len() < before;
        let left = !above.is_empty();
        output = Some(above);
        let more = match result {
            Ok(more) => more,
            Err(error) => {
                state.output = output;
                fail_filter(state, error, Direction::Write);
                return;
            }
        };
        shaken(state);
        if left && went_on || more {
            state.set(flag::DIRTY);
        }
    }
    let most = limits.write_most;
    let has_any = match (&output, filtered) {
        (Some(output), false) => !output.is_empty(),
        (None, false) => false,
        (_, true) => state.extra().chain.lowest_output().is_some_and(|below| !below.is_empty()),
    };
    let allowed =
        if has_any { rates::allowance(state, Direction::Write, now, most) } else { Ok(0) };
    let mut written = 0;
    let mut failed = None;
    match allowed {
        Ok(allowed) if has_any => {
            let offset = state.bytes_out;
            let is_rated = state.extra.as_ref().is_some_and(|extra| extra.rate.is_some());
            let stretches =
                !filtered && !is_rated && matches!(state.transport, Transport::Socket(_));
            let stretch = if stretches { FILE_STRETCH } else { 1 };
            if stretches && !state.has(flag::CORKED | flag::OWN_CORK) {
                cork(state, output.as_deref());
            }
            let State { transport, extra, flags, .. } = &mut *state;
            let (fds, trace, below) = match extra {
                Some(extra) => {
                    let below = if filtered { extra.chain.lowest_output() } else { None };
                    (Some(&mut extra.fds_out), extra.trace.as_mut(), below)
                }
                None => (None, None, None),
            };
            if let Some(from) = below.or(output.as_deref_mut()) {
                let mut out = Out { transport, from, fds, trace, offset, stretch };
                let result = out.write(allowed);
                written = usize::try_from(out.offset - offset).unwrap_or(usize::MAX);
                match result {
                    Ok(true) => {}
                    Ok(false) => *flags |= flag::BLOCKED,
                    Err(error) => failed = Some(error),
                }
            }
        }
        Ok(_) => {}
        Err(until) => {
            state.times().rate[1] = until;
            state.set(flag::RETIME | flag::BLOCKED);
        }
    }
    if output.as_ref().is_none_or(|output| output.is_plain()) {
        uncork(state);
    }
    state.output = output;
    if has_any && allowed.is_ok() {
        rates::charge(state, Direction::Write, written);
    }
    if written > 0 {
        state.bytes_out += written as u64;
        // A handshake is not the owner's output, and its bytes go before `Handshaked` is told.
        if !state.has(flag::SHAKING) {
            state.sent += written;
            if !state.has(flag::QUIET) {
                state.news |= news::SENT;
            }
        }
        if let Some(times) = &mut state.times {
            times.write_at = now;
        }
        // A pair has no watcher that would say that it takes more: only its reader does, if it was full.
        if written == allowed.unwrap_or(0) && matches!(state.transport, Transport::Pair(_)) {
            state.clear(flag::BLOCKED);
            if state.output_len() > 0 {
                state.set(flag::DIRTY);
            }
        }
        if filtered && state.output_len() > 0 && !state.has(flag::BLOCKED) {
            state.set(flag::DIRTY);
        }
    }
    if state.has(flag::QUIET) {
        quietly(state);
    } else if state.has(flag::LOUD) && state.has(flag::BLOCKED) {
        state.news |= news::SENT;
    }
    if state.has(flag::ABOVE) && state.output_len() <= limits.write_low {
        let tells = !state.has(flag::QUIET) || state.has(flag::WAITED);
        state.clear(flag::ABOVE | flag::WAITED);
        if tells {
            state.news |= news::DRAINED;
        }
    }
    if let Some(error) = failed {
        last_words(hub, state, now);
        fail_io(state, error, Direction::Write);
    }
}

/// Where a large file is about to leave.
///
/// The system sends a file page by page, and acknowledgements come in meanwhile. At each of them it would send what it
/// has of the next segment, so that a file would leave in half as many segments again as it fills.
fn cork(state: &mut State, output: Option<&Buffer>) {
    let Some(output) = output.filter(|output| !output.is_plain()) else { return };
    let is_large = |chunk| matches!(chunk, Chunk::File(part) if part.len >= CORKED);
    if output.chunks().take(2).any(is_large) {
        let corked = state.transport.cork(true);
        state.set(if corked { flag::CORKED } else { flag::OWN_CORK });
    }
}

/// What was held back leaves.
pub(super) fn uncork(state: &mut State) {
    if state.has(flag::CORKED) {
        state.clear(flag::CORKED);
        state.transport.cork(false);
    }
}

/// A quiet stream tells what it sends only from when something had to wait until all of it has left; that it has to,
/// it tells even if nothing was taken.
fn quietly(state: &mut State) {
    let waits = state.has(flag::BLOCKED) || state.output_len() > 0;
    if waits || state.has(flag::WAITED) {
        let is_new = waits && !state.has(flag::WAITED);
        state.set(flag::WAITED);
        if is_new || state.sent > 0 {
            state.news |= news::SENT;
        }
    } else {
        state.sent = 0;
    }
}

/// One flush: where from and where to.
struct Out<'a> {
    transport: &'a Transport,
    from: &'a mut Buffer,
    fds: Option<&'a mut VecDeque<(u64, Vec<OwnedFd>)>>,
    trace: Option<&'a mut Trace>,
    /// How many bytes the transport has been given in all.
    offset: u64,
    /// How many bytes of a file count as one.
    stretch: usize,
}

impl Out<'_> {
    /// Writes up to `most` bytes; says whether that was all there is.
    fn write(&mut self, most: usize) -> io::Result<bool> {
        let mut left = most;
        while !self.from.is_empty() {
            if left == 0 {
                return Ok(false);
            }
            let file = match self.from.chunks().next() {
                Some(Chunk::File(part)) => Some(part.len),
                _ => None,
            };
            let counts = if file.is_some() { self.stretch } else { 1 };
            // Descriptors go with the byte they were given with, and with none before it.
            let mut most = left.saturating_mul(counts);
            let mut with = None;
            if let Some(fds) = &mut self.fds {
                if fds.front().is_some_and(|(at, _)| *at <= self.offset) {
                    with = fds.pop_front();
                }
                // Nor may the next ones be left behind.
                if let Some((at, _)) = fds.front() {
                    let before = usize::try_from(at.saturating_sub(self.offset));
                    most = most.min(before.unwrap_or(usize::MAX).max(1));
                }
            }
            let kept = self.trace.is_some().then(|| copy(self.from, most));
            // Where a file is the next but one, what is before it goes alone.
            let is_one = self.from.is_plain() || file.is_some();
            let offered = most.min(file.unwrap_or(self.from.len()));
            let result =
                self.transport.write(self.from, most, with.as_ref().map(|(_, fds)| fds.as_slice()));
            let n = match result {
                Ok(n) => n,
                Err(error) => {
                    if let (Some(with), Some(fds)) = (with, &mut self.fds) {
                        fds.push_front(with);
                    }
                    let blocked = error.kind() == io::ErrorKind::WouldBlock;
                    return if blocked { Ok(false) } else { Err(error) };
                }
            };
            self.offset += n as u64;
            left -= n.div_ceil(counts).min(left);
            if let (Some(trace), Some(bytes)) = (&mut self.trace, kept) {
                trace(Direction::Write, &bytes[..n.min(bytes.len())]);
            }
            // What the system did not take all of it will not take more of. Descriptors are given to it piece by piece.
            if n < offered && is_one && with.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn copy(from: &Buffer, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most.min(from.memory_len())];
    let n = from.copy_out(0, &mut bytes);
    bytes.truncate(n);
    bytes
}

/// When all output has left: says that nothing follows.
fn send_end(state: &mut State) {
    if state.has(flag::FIN_SENT) || state.output_len() > 0 {
        return;
    }
    if state.has(flag::SHAKING) && !state.has(flag::CLOSING) {
        // An end now would be one of the handshake. When that is done, so is this.
        return;
    }
    // Filters that never agreed with the peer have nothing to end.
    let filters_done = match &state.extra {
        Some(extra) => extra.chain.is_finished() || state.has(flag::SHAKING),
        None => true,
    };
    if filters_done {
        state.transport.end();
        state.set(flag::FIN_SENT);
        state.clear(flag::BLOCKED | flag::DIRTY);
    } else if !state.has(flag::BLOCKED) {
        state.set(flag::DIRTY);
    }
}

/// The peer has ended it the hard way; what it said before that is read.
fn last_words(hub: &Hub, state: &mut State, now: u64) {
    let before = state.bytes_in;
    let progress = |state: &State| {
        let below = state.extra.as_ref().map_or(0, |extra| extra.chain.input_len());
        (state.bytes_in, state.input_len(), below, state.has(flag::FILTER))
    };
    while !state.has(flag::DISCARD) {
        let had = progress(state);
        if state.has(flag::FILTER) {
            filter_input(hub, state);
        } else if state.wants_input() {
            read_some(hub, state, now);
        }
        if progress(state) == had || state.bytes_in - before >= LAST_WORDS as u64 {
            break;
        }
    }
}

#[inline]
pub(super) fn trace(state: &mut State, direction: Direction, bytes: &Buffer, n: usize) {
    let Some(trace) = state.extra.as_mut().and_then(|extra| extra.trace.as_mut()) else { return };
    let mut left = n;
    for chunk in bytes.chunks() {
        if let Chunk::Bytes(bytes) = chunk {
            let n = bytes.len().min(left);
            trace(direction, &bytes[..n]);
            left -= n;
        }
    }
}
