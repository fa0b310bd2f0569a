//! How the handler is told what has happened.

use std::mem;
use std::rc::Rc;

use super::Handler;
use super::cell::{State, StreamCell, flag, news};
use super::ending::close_when_flushed;
use super::hub::Hub;
use crate::EvLoop;
use crate::net::{Direction, Reason, StreamEvent};

pub(super) fn tell(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>) {
    let mut from = 0;
    loop {
        let (event, handler) = {
            let mut state = cell.state.borrow_mut();
            let alone = if from == 0 { received_alone(&mut state, &mut from) } else { None };
            let next = alone.or_else(|| next_event(&mut state, &mut from));
            let Some(event) = next else { return };
            state.set(flag::BUSY);
            (event, state.handler.take())
        };
        if !(Calling { ev: &mut *ev, hub, cell, handler }.call(event)) {
            return;
        }
    }
}

/// What there is to tell where only something has come, as is mostly so.
#[inline]
fn received_alone(state: &mut State, from: &mut u32) -> Option<StreamEvent> {
    let is_alone = state.news == news::RECEIVED && state.reason.is_none();
    if !is_alone || !may_tell_received(state) {
        return None;
    }
    state.news = 0;
    *from = news::RECEIVED.trailing_zeros() + 1;
    Some(StreamEvent::Received(mem::take(&mut state.received)))
}

/// The next thing to tell, in the order of the bits; each at most once, but for messages.
fn next_event(state: &mut State, from: &mut u32) -> Option<StreamEvent> {
    if matches!(state.reason, Some(Reason::Local | Reason::HandedOff | Reason::LoopGone)) {
        // Whoever closed it is told so, and nothing else. `Opened` is owed whatever happens: it and
        // `Closed` are a pair.
        state.news &= news::OPENED;
    }
    loop {
        let left = u32::from(state.news & !news::FORCED) >> *from;
        if left == 0 {
            return None;
        }
        let bit = *from + left.trailing_zeros();
        *from = bit + 1;
        let what = 1_u16 << bit;
        let keeps = match what {
            news::RECEIVED => !may_tell_received(state),
            news::EOF => !state.has(flag::READ) || waits_with_eof(state),
            _ => false,
        };
        if keeps {
            continue;
        }
        state.news &= !what;
        return Some(match what {
            news::OPENED => StreamEvent::Opened,
            news::RESOLVED => StreamEvent::Resolved,
            news::CONNECTED => StreamEvent::Connected,
            news::ACCEPTED => StreamEvent::Accepted,
            news::HANDSHAKED => StreamEvent::Handshaked,
            news::WAKEUP => {
                let messages = &mut state.extra().messages;
                let Some(message) = messages.pop_front() else { continue };
                if !messages.is_empty() {
                    state.news |= what;
                    *from = bit;
                }
                StreamEvent::Wakeup(message)
            }
            news::RECEIVED => {
                state.news &= !news::FORCED;
                StreamEvent::Received(mem::take(&mut state.received))
            }
            news::SENT => StreamEvent::Sent(mem::take(&mut state.sent)),
            news::DRAINED => StreamEvent::Drained,
            news::TIMER => StreamEvent::Timer,
            news::TIMEOUT => {
                let timed_out = &mut state.extra().timed_out;
                let direction = if mem::take(&mut timed_out[0]) {
                    Direction::Read
                } else {
                    timed_out[1] = false;
                    Direction::Write
                };
                if timed_out[1] {
                    state.news |= what;
                    *from = bit;
                }
                StreamEvent::Timeout(direction)
            }
            news::EOF => {
                state.set(flag::TOLD_EOF);
                StreamEvent::Eof { clean: state.has(flag::CLEAN) }
            }
            news::ERROR => {
                let (error, direction) = state.extra().error.take()?;
                StreamEvent::Error { error, direction }
            }
            _ => continue,
        });
    }
}

/// Whether the end is told later, for once: the handler has asked to be told again of what came before it, perhaps on behalf
/// of the one that has followed it, to whom the end would be that of nothing.
fn waits_with_eof(state: &mut State) -> bool {
    let is_behind = state.news & news::RECEIVED != 0 && state.input_len() > 0;
    let waits = is_behind && !state.has(flag::EOF_WAITS) && may_tell_received(state);
    state.put(flag::EOF_WAITS, waits);
    waits
}

/// Begins to close it where that is what the end of the input is for. Not right behind the handler, which
/// may have panicked.
pub(super) fn close_on_eof(ev: &EvLoop, hub: &Hub, cell: &StreamCell) {
    let mut state = cell.state.borrow_mut();
    if state.has(flag::TOLD_EOF) && state.has(flag::CLOSE_ON_EOF) {
        close_when_flushed(&mut state, hub.now(ev), Reason::PeerEof, false);
    }
}

pub(super) fn may_tell_received(state: &State) -> bool {
    if state.news & news::FORCED != 0 {
        return true;
    }
    let enough = state.input_len() >= state.limits().read_low;
    state.has(flag::READ) && (enough || state.has(flag::ENDED | flag::OVER))
}

/// Calls the handler, with it out of the state.
pub(super) fn call(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>, event: StreamEvent) {
    let handler = {
        let mut state = cell.state.borrow_mut();
        state.set(flag::BUSY);
        state.handler.take()
    };
    Calling { ev, hub, cell, handler }.call(event);
}

struct Calling<'a> {
    ev: &'a mut EvLoop,
    hub: &'a Rc<Hub>,
    cell: &'a Rc<StreamCell>,
    handler: Option<Handler>,
}

impl Calling<'_> {
    /// Says whether there is more to tell.
    #[inline(always)]
    fn call(mut self, event: StreamEvent) -> bool {
        if let Some(handler) = &mut self.handler {
            handler(self.ev, self.cell.key, event);
        }
        let has_more = self.put_back();
        let old = self.handler.take();
        // What is left to be dropped is for who unwinds.
        mem::forget(self);
        drop(old);
        has_more
    }

    /// Unless it was replaced meanwhile. The old one is dropped when the state is not borrowed.
    #[inline(always)]
    fn put_back(&mut self) -> bool {
        let mut state = self.cell.state.borrow_mut();
        state.clear(flag::BUSY);
        if state.handler.is_none() {
            state.handler = self.handler.take();
        }
        state.news != 0
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.put_back();
        if std::thread::panicking() {
            // The pass ends here, in somebody else's hands; the rest of it is for the next iteration.
            self.hub.enqueue(self.ev, self.cell);
        }
    }
}
