//! A stream goes one step further: bytes are read, events are told, bytes are written, what is over ends.

// A *pass* is the same whoever starts it, the watcher of the descriptor, the queue or a time-out:
//
//   read (only where the watcher or the other end of a pair said so)
//   -> tell what there is to tell -> write what there is to write -> tell -> end it, or settle
//
// `settle` leaves the stream so that whatever can happen to it next will start a pass: interest in the
// descriptor, an entry in the heap, or a place in the queue. Verbs change the state and put the stream in
// the queue; they call no handler and do no I/O, so they may be called from anywhere.
//
// The handler is out of the state while it is called. What happens to the stream meanwhile, by the handler's
// verbs or in a run nested in it, only changes the state: the pass that called the handler goes on with that.

use std::rc::Rc;

use super::cell::{StreamCell, flag, news};
use super::ending::{Moving, finish, hung_up};
use super::hub::Hub;
use super::reading::{filter_input, read};
use super::settling::{mute, rest, settle};
use super::telling::{close_on_eof, tell};
use super::times::judge_state;
use super::writing::{flush, flush_plainly};
use crate::net::Reason;
use crate::{EvLoop, Events};

/// The descriptor is ready.
pub(super) fn on_io(ev: &mut EvLoop, cell: &Rc<StreamCell>, ready: Events) {
    let hub = ev.local::<Hub>();
    if cell.has(flag::BUSY) {
        // A run nested in the handler. Not now, and not over and over again.
        mute(ev, cell);
        return;
    }
    if ready.contains(Events::ERROR) {
        // The loop watches it no more: the descriptor is bad, which reading will tell, or the system has refused
        // a change. `settle` asks again, and then it is watched or has failed.
        cell.state.borrow_mut().clear(flag::ASKS);
    }
    let writable = ready.intersects(Events::WRITE);
    if ready.intersects(Events::PEER_CLOSE | Events::PRIORITY) {
        hung_up(&mut cell.state.borrow_mut());
    }
    // What has an error or was hung up is reported as ready for what is asked.
    if ready.intersects(Events::READ) {
        read(ev, &hub, cell);
    }
    pass(ev, &hub, cell, writable, false);
}

/// The stream was in the queue.
pub(super) fn resume(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>) {
    if cell.has(flag::BUSY | flag::CLOSED) {
        return;
    }
    let moving = Moving::new(ev, hub, cell);
    let nudged = {
        let mut state = cell.state.borrow_mut();
        let nudged = state.has(flag::NUDGED);
        state.clear(flag::NUDGED);
        if state.has(flag::FILTER) {
            filter_input(hub, &mut state);
        }
        nudged
    };
    moving.end();
    if nudged {
        read(ev, hub, cell);
    }
    pass(ev, hub, cell, nudged, true);
}

/// Its entry in the heap came up.
pub(super) fn judge(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>, now: u64) {
    let nudged = {
        let mut state = cell.state.borrow_mut();
        state.set(flag::RETIME);
        if state.has(flag::BUSY | flag::CLOSED) {
            return;
        }
        judge_state(&mut state, now)
    };
    if nudged {
        read(ev, hub, cell);
    }
    pass(ev, hub, cell, nudged, true);
}

/// Ends it at once and tells so.
pub(super) fn close(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>, reason: Reason) {
    {
        let mut state = cell.state.borrow_mut();
        if state.has(flag::CLOSED) {
            return;
        }
        state.reason.get_or_insert(reason);
        state.set(flag::OVER);
        state.news &= news::OPENED;
    }
    if !cell.has(flag::BUSY) {
        tell(ev, hub, cell);
        if !cell.has(flag::CLOSED) {
            finish(ev, hub, cell);
        }
    }
}

/// `writable`: output that waits may be offered again.
pub(super) fn pass(
    ev: &mut EvLoop,
    hub: &Rc<Hub>,
    cell: &Rc<StreamCell>,
    writable: bool,
    from_queue: bool,
) {
    if !from_queue && cell.has(flag::DEFERRED) {
        if writable {
            flush(ev, hub, cell, true);
        }
        settle(ev, hub, cell);
        return;
    }
    tell(ev, hub, cell);
    if end_plainly(ev, hub, cell) {
        return;
    }
    close_on_eof(ev, hub, cell);
    flush(ev, hub, cell, writable);
    if cell.state.borrow().news != 0 {
        tell(ev, hub, cell);
    }
    if is_over(cell) {
        // A handler may have closed it inside a run nested in another's pass.
        if !cell.has(flag::CLOSED | flag::BUSY) {
            finish(ev, hub, cell);
        }
    } else {
        settle(ev, hub, cell);
    }
}

/// What the rest of a pass comes to for most: what was written leaves in one go, and then the stream waits for more, with
/// nothing to tell. Says whether it was so; if not, the rest is still to be done.
fn end_plainly(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>) -> bool {
    const WRONG: u64 = flag::BLOCKED
        | flag::TOLD_EOF
        | flag::EOF
        | flag::SHUT
        | flag::CLOSING
        | flag::DISCARD
        | flag::OVER
        | flag::CLOSED
        | flag::PATIENT
        | flag::FILTER;
    let now = hub.now(ev);
    let moving = Moving::new(ev, hub, cell);
    let rests = {
        let mut state = cell.state.borrow_mut();
        let state = &mut *state;
        if state.has(WRONG) || state.extra.is_some() || state.times.is_some() {
            false
        } else {
            if state.wants_output() {
                flush_plainly(hub, state, now);
            }
            rest(hub, state)
        }
    };
    moving.end();
    rests
}

/// Whether there is nothing left to be done but to end it.
fn is_over(cell: &StreamCell) -> bool {
    let mut state = cell.state.borrow_mut();
    if state.has(flag::OVER) {
        return true;
    }
    let flushed = if state.has(flag::OPEN) {
        state.has(flag::FIN_SENT)
    } else {
        // Not connected, and nothing to say to whom it would be connected to.
        state.output_len() == 0
    };
    if state.has(flag::CLOSING) && flushed {
        let lingers = state.has(flag::LINGER) && state.has(flag::OPEN) && !state.has(flag::EOF);
        if !lingers {
            state.set(flag::OVER);
            return true;
        }
        if !state.has(flag::DISCARD) {
            state.set(flag::DISCARD | flag::RETIME | flag::NUDGED);
            state.times().linger = 0;
        }
    }
    // Both sides have ended, and the owner knows.
    if state.has(flag::ENDED) && state.has(flag::FIN_SENT) && state.news == 0 {
        state.reason.get_or_insert(Reason::PeerEof);
        state.set(flag::OVER);
        return true;
    }
    false
}
