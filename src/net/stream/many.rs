//! One message for many: it waits in each of their streams without a buffer of its own.

// A thousand buffers with one segment each are memory that is made, written, read and given back, between a thousand
// calls of the system that have no room for it in the caches. So what is sent to many, and is all that a stream has to
// send, is one more owner of the message. Whoever touches the output otherwise has it [unshared](State::unshare) first.

use std::io;
use std::sync::Arc;

use super::cell::{Limits, NEVER, State, StreamCell, flag};
use super::finding::{closed, full};
use super::hub::Hub;
use super::transport::Transport;
use super::writing::wrote;
use super::{Stream, Written};
use crate::net::{Shared, socket};
use crate::{EvLoop, Result};

/// Behind other output, messages that are longer are shared, shorter ones copied.
const SHARED: usize = 1024;

impl Stream {
    /// As [`write_shared`](Self::write_shared), and refused where as much waits already as the hard limit says: for who
    /// sends the same to many.
    pub(crate) fn write_for_many(self, ev: &mut EvLoop, bytes: &Arc<Shared>) -> Result<Written> {
        let (hub, cell) = self.find(ev).ok_or_else(closed)?;
        let (is_all, is_looked_at) = {
            let mut state = cell.state.borrow_mut();
            if state.has(flag::SHUT | flag::OVER) {
                return Err(closed());
            }
            if state.output_len() >= state.limits().hard {
                return Err(full());
            }
            let has_none = state.output.is_none() && state.shared.is_none();
            let is_all = has_none && state.extra.is_none() && !bytes.is_empty();
            let is_looked_at = state.has(flag::BUSY | flag::QUEUED);
            if is_all {
                state.shared = Some(Arc::clone(bytes));
                state.set(flag::DIRTY | flag::ABOVE);
            }
            if is_all && !is_looked_at {
                state.set(flag::QUEUED);
            }
            (is_all, is_looked_at)
        };
        if is_all {
            if !is_looked_at {
                hub.put_in_queue(ev, cell);
            }
            // Without anything extra its limits are those that all have.
            let is_full = bytes.len() >= Limits::DEFAULT.soft;
            Ok(if is_full { Written::Full } else { Written::Room })
        } else if bytes.len() < SHARED {
            self.write(ev, &***bytes)
        } else {
            self.write_shared(ev, Shared::clone(bytes))
        }
    }
}

impl State {
    /// What waits is in the output, as if it had been written there.
    #[cold]
    pub(super) fn unshare(&mut self, hub: &Hub) {
        if let Some(bytes) = self.shared.take() {
            self.keep_from(hub, &bytes, 0);
        }
    }

    fn keep_from(&mut self, hub: &Hub, bytes: &Shared, sent: usize) {
        let output = self.output.get_or_insert_with(|| hub.take_buffer());
        output.append_shared(bytes.slice(sent..));
    }
}

/// What a pass comes to for a stream that waits for input, has such a message, and nothing else to do: one call of the
/// system. Says whether it was one of those and all of it was sent; if not, the rest is for a pass.
pub(super) fn send(hub: &Hub, cell: &StreamCell, now: u64) -> bool {
    const RIGHT: u64 =
        flag::OPEN | flag::READ | flag::WRITE | flag::ASKS_READ | flag::QUIET | flag::DIRTY;
    const WRONG: u64 = flag::EOF
        | flag::HELD
        | flag::BLOCKED
        | flag::SHUT
        | flag::FIN_SENT
        | flag::CLOSING
        | flag::DISCARD
        | flag::OVER
        | flag::CLOSED
        | flag::BUSY
        | flag::FILTER
        | flag::SHAKING
        | flag::RETIME
        | flag::PATIENT
        | flag::NUDGED
        | flag::WAITED
        | flag::ASKS_WRITE;
    let mut state = cell.state.borrow_mut();
    let state = &mut *state;
    let is_at_rest = state.flags & (RIGHT | WRONG) == RIGHT
        && state.news == 0
        && state.input.is_none()
        && state.extra.is_none()
        && state.times.as_ref().is_none_or(|times| times.rate == [NEVER; 2]);
    let State { transport, shared, .. } = &mut *state;
    let (true, Transport::Socket(socket)) = (is_at_rest, transport) else { return false };
    let Some(bytes) = shared.take_if(|bytes| bytes.len() <= Limits::DEFAULT.write_most) else {
        return false;
    };
    let result = loop {
        match socket::send(&*socket, &bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    let sent = *result.as_ref().unwrap_or(&0);
    if sent == bytes.len() {
        state.bytes_out += sent as u64;
        state.sent = 0;
        state.clear(flag::DIRTY | flag::ABOVE);
        if let Some(times) = &mut state.times {
            times.write_at = now;
        }
        return true;
    }
    state.keep_from(hub, &bytes, sent);
    wrote(hub, state, now, bytes.len(), result);
    false
}
