//! How verbs find their stream, and what most of them do with it.

// A verb is asked of a key, so each of them looks the stream up; a request of HTTP has several. So nothing is shared
// for that but the state itself: the table is borrowed while a verb works on one, which is safe as long as no code
// gets an `EvLoop` meanwhile. What has to be done with the loop is done behind it.

use std::rc::Rc;

use super::cell::{State, StreamCell, flag};
use super::hub::Hub;
use super::{Stream, WRITING, Written};
use crate::net::Buffer;
#[cfg(feature = "http-server")]
use crate::net::Reason;
use crate::{Error, ErrorKind, EvLoop, Result};

impl Stream {
    pub(super) fn cell_of(self, ev: &EvLoop) -> Option<Rc<StreamCell>> {
        ev.local_if_made::<Hub>()?.get(self)
    }

    /// The stream, also in the call that tells that it was closed.
    pub(super) fn find(self, ev: &mut EvLoop) -> Option<(Rc<Hub>, Rc<StreamCell>)> {
        let hub = ev.local::<Hub>();
        let cell = hub.get(self)?;
        Some((hub, cell))
    }

    #[inline]
    pub(super) fn look<T>(self, ev: &EvLoop, look: impl FnOnce(&State) -> T) -> Option<T> {
        ev.local_if_made::<Hub>()?.with(self, |cell| look(&cell.state.borrow()))
    }

    /// Changes the state of a stream that was not closed, and has it looked at.
    pub(super) fn change(self, ev: &mut EvLoop, change: impl FnOnce(&mut State)) -> bool {
        self.change_to(ev, change).is_some()
    }

    pub(super) fn change_to<T>(
        self,
        ev: &mut EvLoop,
        change: impl FnOnce(&mut State) -> T,
    ) -> Option<T> {
        let found = ev.local_if_made::<Hub>()?.with(self, |cell| {
            let mut state = cell.state.borrow_mut();
            if state.has(flag::CLOSED) {
                return None;
            }
            let result = change(&mut state);
            Some((result, state.has(flag::BUSY | flag::QUEUED)))
        });
        let (result, is_seen) = found??;
        self.have_seen(ev, is_seen);
        Some(result)
    }

    /// Works on what has come, where it is; `None` if nothing waits there, or its owner has closed the stream: whoever
    /// does that wants no more of it. `work` must not call anybody.
    #[cfg(feature = "http-server")]
    #[inline]
    pub(crate) fn with_input<T>(
        self,
        ev: &mut EvLoop,
        work: impl FnOnce(&mut Buffer) -> T,
    ) -> Option<T> {
        let hub = ev.local_if_made::<Hub>()?;
        let worked = hub.with(self, |cell| {
            let mut state = cell.state.borrow_mut();
            if state.has(flag::OVER) && state.reason == Some(Reason::Local) {
                return None;
            }
            let input = state.input.as_deref_mut().filter(|input| !input.is_empty())?;
            let result = work(input);
            let is_freed = super::input::taken(hub, &mut state);
            Some((result, !is_freed || state.has(flag::BUSY | flag::QUEUED)))
        });
        let (result, is_seen) = worked??;
        self.have_seen(ev, is_seen);
        Some(result)
    }

    /// Adds to the output of a stream that takes `n` bytes more.
    #[inline]
    pub(super) fn append<T>(
        self,
        ev: &mut EvLoop,
        n: usize,
        append: impl FnOnce(&mut Buffer) -> T,
    ) -> Result<Written> {
        self.append_if(ev, |state| may_write(state, n), append)
    }

    /// Adds to the output of a stream, however much waits there: for what there is only so much of, as whoever writes
    /// sees to.
    #[cfg(feature = "http-server")]
    #[inline]
    pub(crate) fn append_anyway<T>(
        self,
        ev: &mut EvLoop,
        append: impl FnOnce(&mut Buffer) -> T,
    ) -> Result<Written> {
        self.append_if(ev, takes_any, append)
    }

    #[inline(always)]
    fn append_if<T>(
        self,
        ev: &mut EvLoop,
        check: impl FnOnce(&State) -> Result<()>,
        append: impl FnOnce(&mut Buffer) -> T,
    ) -> Result<Written> {
        let hub = ev.local_if_made::<Hub>().ok_or_else(closed)?;
        let found = hub.with(self, |cell| {
            let mut state = cell.state.borrow_mut();
            check(&state)?;
            #[cfg(feature = "websocket")]
            if state.shared.is_some() {
                state.unshare(hub);
            }
            append(state.output.get_or_insert_with(|| hub.take_buffer()));
            Ok((added(&mut state), state.has(flag::BUSY | flag::QUEUED)))
        });
        let (written, is_seen) = found.unwrap_or_else(|| Err(closed()))?;
        self.have_seen(ev, is_seen);
        Ok(written)
    }

    /// Has the stream looked at later in this iteration, unless that is being done.
    #[inline]
    fn have_seen(self, ev: &mut EvLoop, is_seen: bool) {
        if !is_seen {
            self.enqueue(ev);
        }
    }

    #[inline(never)]
    fn enqueue(self, ev: &mut EvLoop) {
        if let Some((hub, cell)) = self.find(ev) {
            hub.enqueue(ev, &cell);
        }
    }
}

/// Has the stream looked at later in this iteration, unless that is being done.
pub(super) fn touch(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>) {
    if !cell.has(flag::BUSY | flag::QUEUED) {
        hub.enqueue(ev, cell);
    }
}

/// Whether a stream takes anything more.
#[inline]
fn takes_any(state: &State) -> Result<()> {
    if state.has(flag::SHUT | flag::OVER) { Err(closed()) } else { Ok(()) }
}

/// Whether a stream takes so many bytes more.
#[inline]
pub(super) fn may_write(state: &State, n: usize) -> Result<()> {
    takes_any(state)?;
    let hard = state.limits().hard;
    let waits = state.output_owned();
    if waits.saturating_add(n) > hard || n == 0 && waits >= hard && hard > 0 {
        return Err(full());
    }
    Ok(())
}

/// Something was added to the output.
#[inline]
pub(super) fn added(state: &mut State) -> Written {
    let waits = state.output_len();
    let limits = state.limits();
    let is_full = waits >= limits.soft || state.has_many_files();
    let is_above = waits > limits.write_low;
    state.set(flag::DIRTY);
    if is_above || is_full {
        state.set(flag::ABOVE);
    }
    // Shared bytes and files are never refused, but to go on with them is to pile up work too.
    if is_full { Written::Full } else { Written::Room }
}

#[cold]
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, WRITING)
}

#[cold]
pub(super) fn full() -> Error {
    Error::new(ErrorKind::Full, WRITING)
}
