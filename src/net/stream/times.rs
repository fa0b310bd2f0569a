//! What a stream waits for no longer than.

use std::time::{Duration, Instant};

use super::Stream;
use super::cell::{NEVER, State, Times, flag, news};
use super::ending::fail;
use super::hub::Hub;
use crate::net::{Phase, Reason};
use crate::sys::queued;
use crate::{Error, ErrorKind, EvLoop};

impl Stream {
    /// Has `Timeout(Read)` told when for so long nothing was read, though reading is enabled and neither
    /// the high mark nor a rate holds it back (`bufferevent_set_timeouts`). Reading is disabled then.
    ///
    /// `None`, the default, is never. Returns whether the stream exists.
    pub fn set_read_timeout(self, ev: &mut EvLoop, limit: Option<Duration>) -> bool {
        let now = ev.local::<Hub>().now(ev);
        self.change(ev, |state| {
            state.read_timeout = nanos(limit);
            state.read_at = now;
            state.set(flag::RETIME);
        })
    }

    /// Has `Timeout(Write)` told when there is output and for so long the system took none of it, nor has the peer
    /// acknowledged any of what it has taken before: the system may hold megabytes, and not ask for more before a third
    /// of that has gone to a peer that is merely slow. Writing is disabled then.
    pub fn set_write_timeout(self, ev: &mut EvLoop, limit: Option<Duration>) -> bool {
        let now = ev.local::<Hub>().now(ev);
        self.change(ev, |state| {
            let times = state.times();
            times.write_timeout = nanos(limit);
            times.write_at = now;
            state.set(flag::RETIME);
            state.clear(flag::UNLIMITED);
        })
    }

    /// Closes the stream at a moment, whatever goes on: with an `Error` of
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut), and
    /// [`Reason::Timeout(Phase::Deadline)`](crate::net::Phase::Deadline). This is what helps against a peer
    /// that sends a byte a second.
    ///
    /// Returns the moment that was set before.
    pub fn set_deadline(self, ev: &mut EvLoop, moment: Option<Instant>) -> Option<Instant> {
        self.set_moment(ev, moment, |times| &mut times.deadline)
    }

    /// Has `Timer` told at a moment; one that has passed is told in the next iteration. Each stream has one
    /// such timer.
    ///
    /// Returns the moment that was set before; `None` cancels it.
    pub fn set_timer(self, ev: &mut EvLoop, moment: Option<Instant>) -> Option<Instant> {
        self.change(ev, |state| {
            if let Some(times) = &mut state.times {
                times.repeat = 0;
            }
            state.news &= !news::TIMER;
        });
        self.set_moment(ev, moment, |times| &mut times.timer)
    }

    /// [`set_deadline`](Self::set_deadline), so far from now.
    pub fn set_deadline_in(self, ev: &mut EvLoop, delay: Duration) -> Option<Instant> {
        let moment = ev.now().checked_add(delay);
        self.set_deadline(ev, moment)
    }

    /// [`set_timer`](Self::set_timer), so far from now.
    pub fn set_timer_in(self, ev: &mut EvLoop, delay: Duration) -> Option<Instant> {
        let moment = ev.now().checked_add(delay);
        self.set_timer(ev, moment)
    }

    /// Has `Timer` told again and again, first in an interval from now. Ticks that were missed are made up
    /// for by one. An interval of zero cancels it.
    ///
    /// Returns the moment that was set before.
    pub fn set_timer_every(self, ev: &mut EvLoop, interval: Duration) -> Option<Instant> {
        let repeat = nanos(Some(interval)).min(NEVER - 1);
        self.change(ev, |state| {
            state.times().repeat = repeat;
            state.news &= !news::TIMER;
        });
        let first = if repeat == 0 { None } else { ev.now().checked_add(interval) };
        self.set_moment(ev, first, |times| &mut times.timer)
    }

    /// Gives back the memory for times, if it waits for nothing: for protocols that begin with deadlines, and then have
    /// none for long.
    #[cfg(feature = "websocket")]
    pub(crate) fn forget_times(self, ev: &mut EvLoop) {
        self.change(ev, |state| {
            if state.times.as_ref().is_some_and(|times| times.are_none()) {
                state.times = None;
            }
        });
    }

    fn set_moment(
        self,
        ev: &mut EvLoop,
        moment: Option<Instant>,
        place: impl FnOnce(&mut Times) -> &mut u64,
    ) -> Option<Instant> {
        let hub = ev.local::<Hub>();
        let due = moment.map_or(NEVER, |moment| hub.nanos(ev, moment).min(NEVER - 1));
        let before = self.change_to(ev, |state| {
            if due == NEVER && state.times.is_none() {
                // To have no moment, none need be remembered.
                return NEVER;
            }
            state.set(flag::RETIME);
            std::mem::replace(place(state.times()), due)
        })?;
        hub.instant(ev, before)
    }
}

#[cfg(feature = "websocket")]
impl Times {
    fn are_none(&self) -> bool {
        let [read, write] = self.rate;
        [self.write_timeout, self.deadline, self.timer, self.handshake, self.linger, read, write]
            .iter()
            .all(|due| *due == NEVER)
    }
}

pub(super) fn nanos(limit: Option<Duration>) -> u64 {
    limit.map_or(NEVER, |limit| u64::try_from(limit.as_nanos()).unwrap_or(NEVER))
}

// --- when a stream is due, and what for ---

/// Says whether what waited for tokens may go on.
pub(super) fn judge_state(state: &mut State, now: u64) -> bool {
    if read_due(state) <= now {
        // Who enables it again at once waits anew.
        state.read_at = now;
        state.clear(flag::READ);
        state.extra().timed_out[0] = true;
        state.news |= news::TIMEOUT;
    }
    let write_due = write_due(state);
    let is_stuck = write_due <= now && !moves_on(state, now);
    let Some(times) = &mut state.times else { return false };
    if is_stuck {
        times.write_at = now;
        if state.has(flag::CLOSING) {
            time_out(state, Phase::Flush);
        } else {
            state.clear(flag::WRITE);
            state.extra().timed_out[1] = true;
            state.news |= news::TIMEOUT;
        }
    }
    let Some(times) = &mut state.times else { return false };
    if times.timer <= now {
        // Ticks that were missed are made up for by one.
        times.timer = match times.repeat {
            0 => NEVER,
            repeat => times.timer.saturating_add(repeat).max(now.saturating_add(1)),
        };
        state.news |= news::TIMER;
    }
    let mut freed = false;
    for rate in &mut times.rate {
        if *rate <= now {
            *rate = NEVER;
            freed = true;
        }
    }
    let (deadline, handshake, linger) = (times.deadline, times.handshake, times.linger);
    if linger <= now {
        state.set(flag::OVER);
    }
    if deadline <= now {
        time_out(state, Phase::Deadline);
    }
    if handshake <= now && state.has(flag::SHAKING) {
        time_out(state, Phase::Handshake);
    }
    freed
}

/// Whether the peer has acknowledged some of what the system has taken, or it is too early to say: it is looked at when half
/// of the time has passed, and again at its end.
fn moves_on(state: &mut State, now: u64) -> bool {
    let Some(socket) = state.transport.socket() else { return false };
    // Where the system does not say it is the same each time.
    let queued = queued::output(socket).unwrap_or(u64::MAX);
    let Some(times) = &mut state.times else { return false };
    let is_first = times.queued_at != times.write_at;
    if !is_first && queued >= times.queued {
        return false;
    }
    // The other half is left.
    times.write_at = now.saturating_sub(times.write_timeout / 2);
    (times.queued_at, times.queued) = (times.write_at, queued);
    true
}

fn time_out(state: &mut State, phase: Phase) {
    let doing = match phase {
        Phase::Handshake => "agreeing with the peer on how to begin",
        Phase::Flush => "sending what was written before closing",
        _ => "waiting for the end of a stream",
    };
    fail(state, Error::new(ErrorKind::TimedOut, doing), None, Reason::Timeout(phase));
}

fn read_due(state: &State) -> u64 {
    if state.read_timeout == NEVER || !state.has(flag::ASKS_READ) || state.has(flag::DISCARD) {
        return NEVER;
    }
    state.read_at.saturating_add(state.read_timeout)
}

fn write_due(state: &State) -> u64 {
    let Some(times) = &state.times else { return NEVER };
    let waits =
        state.has(flag::ASKS_WRITE) || state.has(flag::CLOSING) && !state.has(flag::DISCARD);
    if times.write_timeout == NEVER || times.rate[1] != NEVER || !waits || !state.has(flag::OPEN) {
        return NEVER;
    }
    let is_half = times.queued_at != times.write_at && state.transport.socket().is_some();
    let limit = if is_half { times.write_timeout / 2 } else { times.write_timeout };
    times.write_at.saturating_add(limit)
}

pub(super) fn first_due(state: &State) -> u64 {
    let mut due = read_due(state).min(write_due(state));
    if let Some(times) = &state.times {
        due = due.min(times.deadline).min(times.timer).min(times.linger);
        due = due.min(times.rate[0]).min(times.rate[1]);
        if state.has(flag::SHAKING) {
            due = due.min(times.handshake);
        }
    }
    due
}
