//! Periodics: a callback when the wall clock shows a certain time.
//!
//! A [`Timer`](crate::Timer) counts elapsed time and does not care what the clock on the wall says; a
//! periodic is the other way round. "In an hour" is a timer, "on the hour" is a periodic, and it is still
//! on the hour after somebody has set the clock.

use super::{plain_event, verbs};
use crate::engine::{Band, Head, Key, NEVER, PeriodicSlot, Schedule, system_time};
use crate::{EvLoop, Kind};
use std::time::SystemTime;

const KIND: Kind = Kind::Periodic;

/// The key of a periodic (`ev_periodic`): call when the wall clock shows a certain time, once or
/// repeatedly.
///
/// ```
/// use evloop::{EvLoop, Schedule};
/// use std::time::{Duration, SystemTime};
///
/// let mut ev = EvLoop::new()?;
/// let tick = ev.periodic(Schedule::every(Duration::from_millis(10)), |ev, e| {
///     // Never early: the clock shows a multiple of 10 ms, or a bit more.
///     assert!(ev.wall_now() <= SystemTime::now());
///     e.watcher.stop(ev);
/// });
/// tick.start(&mut ev);
/// assert!(tick.due(&ev).unwrap() > SystemTime::now() - Duration::from_secs(1));
/// ev.run()?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # When the clock is set
///
/// A change of the wall clock by a second or more is a *jump*; it is noticed at once, or, where the
/// kernel does not tell, within a minute. Periodics with an interval or a rule of their own are computed
/// anew from the new time: those skipped by a jump forward are lost, a jump back repeats times that have
/// been. One for an absolute time stays: a jump past it fires it, a jump back delays it. Smaller changes
/// need nothing; the next time is due when the clock shows it. Timers never notice.
///
/// # Sharp edges
///
/// * **Times that pass while the loop is busy,** or the process is stopped, are one call, not one each.
/// * **A machine that sleeps** finds its clock jumped when it wakes: those of the time in between are lost, but
///   for an absolute time, which has passed and fires.
/// * **Intervals count from 1970 in UTC.** Every 24 hours is midnight in Greenwich; for local time use
///   [`Schedule::by`].
/// * **A rule that gives back the present or the past** makes its watcher due in every iteration.
/// * A periodic keeps the loop running, so a loop with an hourly job does not end by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Periodic(Key);

plain_event!(PeriodicEvent, Periodic, "a periodic");

impl EvLoop {
    /// Makes a periodic (`ev_periodic_init`): due when the wall clock shows what `schedule` says. It is not
    /// started yet.
    ///
    /// One with [`Schedule::at`] is stopped before its callback is called; it still exists, and started
    /// again it is due at once.
    #[track_caller]
    pub fn periodic(
        &mut self,
        schedule: Schedule,
        callback: impl FnMut(&mut EvLoop, PeriodicEvent) + 'static,
    ) -> Periodic {
        let cell = Cell::shared(callback);
        let slot = PeriodicSlot { cell, head: Head::new(), schedule };
        Periodic(self.periodics.slots.insert(slot))
    }
}

verbs!(Periodic, "periodic");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_periodic(key)
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_periodic(key);
    ev.periodics.slots.remove(key).is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

impl Periodic {
    /// Starts the periodic: its first time is computed from the present one. No effect if it is started
    /// already.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    #[inline]
    pub fn start(self, ev: &mut EvLoop) -> Self {
        ev.start_periodic(self.0);
        self
    }

    /// Computes its next time anew (`ev_periodic_again`): stop and start in one. Whatever was pending is
    /// forgotten. After [`set`](Self::set), or when what a rule depends on has changed.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn again(self, ev: &mut EvLoop) -> Self {
        ev.stop_periodic(self.0);
        ev.start_periodic(self.0);
        self
    }

    /// Gives the periodic another schedule (`ev_periodic_set`), in any state. The time at hand of a started
    /// one stays; the new schedule counts from its next call, [`again`](Self::again), or a jump of the clock.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn set(self, ev: &mut EvLoop, schedule: Schedule) -> Self {
        if let Some(slot) = ev.periodics.slots.get_mut(self.0) {
            slot.schedule = schedule;
            slot.head.put(PeriodicSlot::CHANGED, slot.head.is_active());
        }
        self
    }

    /// When it is due (`ev_periodic_at`); `None` if it is stopped, never due, or the key is stale.
    #[must_use]
    pub fn due(self, ev: &EvLoop) -> Option<SystemTime> {
        ev.periodics.slots.get(self.0)?;
        let due = ev.periodics.heap.get(self.0.index)?.due;
        (due != NEVER).then(|| system_time(due))
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the periodic exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, PeriodicEvent) + 'static,
    ) -> bool {
        let Some(slot) = ev.periodics.slots.get_mut(self.0) else { return false };
        slot.cell = Cell::shared(callback);
        true
    }
}
