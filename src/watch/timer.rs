//! Timers: a callback after a delay, once or repeatedly, on the monotonic clock.
//!
//! A timer is due when the loop's own idea of now ([`EvLoop::now`]) reaches its deadline. A long
//! callback therefore delays every timer behind it, and none fires early.

// Deadlines live in the engine's heap of (due, ticket, slot). `again` to a later time writes only the
// slot: the heap's entry is then early, and is moved when it comes up. So an entry is never later
// than its slot says, and a timer that is pushed back a thousand times before it fires costs a
// thousand stores and one sift.

use std::cell::Cell as OnceSlot;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{plain_event, verbs};
use crate::engine::{Band, Callback, Deadline, Head, Key, NEVER, TimerData, TimerSlot, nanos};
use crate::event::Events;
use crate::{EvLoop, Kind};

const KIND: Kind = Kind::Timer;

/// The key of a timer (`ev_timer`): call after a delay, once or repeatedly.
///
/// Made by [`EvLoop::timer`], [`EvLoop::timer_at`] and [`EvLoop::after`]. A key is a number: copy it
/// freely.
///
/// ```
/// use evloop::EvLoop;
/// use std::time::Duration;
///
/// let mut ev = EvLoop::new()?;
/// // An inactivity time-out: `again` pushes it back whenever something happens.
/// let inactive = ev.timer(Duration::ZERO, Duration::from_millis(20), |ev, e| {
///     e.watcher.stop(ev);
/// });
/// inactive.again(&mut ev);
/// ev.timer(Duration::from_millis(5), Duration::ZERO, move |ev, _| {
///     inactive.again(ev);
/// })
/// .start(&mut ev);
/// ev.run()?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **Delays count from the loop's time**, which stands still while callbacks run. A timer started
///   at the end of a callback that took a second comes a second early by your watch. If that matters,
///   use [`start_from_real_now`](Timer::start_from_real_now), [`EvLoop::update_now`] or
///   [`Builder::fresh_timers`](crate::Builder::fresh_timers).
/// * **A repeating timer that fell behind** is called once, not once per tick missed, and its phase
///   shifts to the end of the delay; [`set_keep_phase`](Timer::set_keep_phase) keeps it.
/// * **A zero delay** means the next iteration, never the present one. A zero `repeat` means no
///   repetition; to run in every iteration use an [idle](crate::Idle) watcher.
/// * **A stopped timer remembers what was left**, and starts again with that.
/// * The monotonic clock does not count the time a machine sleeps.
///
/// # Not guaranteed
///
/// How late a timer is: that depends on the other callbacks and on the kernel, which adds some 50 µs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timer(Key);

plain_event!(TimerEvent, Timer, "a timer");

impl EvLoop {
    /// Makes a timer (`ev_timer_init`): due `after` the start and, unless `repeat` is zero, every
    /// `repeat` from then on. It is not started yet.
    ///
    /// A one-shot timer is stopped before its callback is called; it still exists, and can be started
    /// again. For one that frees itself there is [`after`](Self::after). A delay too long for the
    /// clock means never.
    #[track_caller]
    pub fn timer(
        &mut self,
        after: Duration,
        repeat: Duration,
        callback: impl FnMut(&mut EvLoop, TimerEvent) + 'static,
    ) -> Timer {
        self.insert_timer(Cell::shared(callback), nanos(after), nanos(repeat))
    }

    /// Makes a timer that is due once, at an instant. It is not started yet.
    ///
    /// Stopped and started again it is still due at that instant, until `set`, `restart` or a
    /// repeat time gives it another.
    #[track_caller]
    pub fn timer_at(
        &mut self,
        due: Instant,
        callback: impl FnMut(&mut EvLoop, TimerEvent) + 'static,
    ) -> Timer {
        let due = self.nanos_of(due);
        let timer = self.insert_timer(Cell::shared(callback), due, 0);
        if let Some(slot) = self.timers.get_mut(timer.0) {
            slot.head.flags |= TimerSlot::ABSOLUTE;
        }
        timer
    }

    /// Calls `f` once after a delay: a timer that is started already and frees itself.
    ///
    /// The key is good for calling it off.
    ///
    /// ```
    /// use evloop::EvLoop;
    /// use std::time::Duration;
    ///
    /// let mut ev = EvLoop::new()?;
    /// ev.after(Duration::from_millis(1), |ev| ev.break_loop(evloop::Break::All));
    /// let never = ev.after(Duration::from_secs(3600), |_| unreachable!());
    /// ev.run()?;
    /// never.free(&mut ev);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[track_caller]
    pub fn after(&mut self, delay: Duration, f: impl FnOnce(&mut EvLoop) + 'static) -> Timer {
        let cell = Rc::new(AfterCell(OnceSlot::new(Some(f))));
        self.insert_timer(cell, nanos(delay), 0).start(self)
    }

    #[track_caller]
    fn insert_timer(&mut self, cell: Rc<dyn Callback>, after: u64, repeat: u64) -> Timer {
        let data = TimerData { due: after, repeat, ticket: 0 };
        Timer(self.timers.insert(TimerSlot { cell, head: Head::new(), data }))
    }

    /// Puts a stopped timer into the heap.
    fn schedule(&mut self, key: Key, due: u64) {
        let ticket = self.draw_ticket();
        let Some(slot) = self.timers.get_mut(key) else { return };
        slot.data.due = due;
        slot.data.ticket = ticket;
        slot.head.flags |= Head::ACTIVE;
        let counted = usize::from(!slot.head.has(Head::EXEMPT));
        self.add_refs(counted);
        self.heap.insert(Deadline { due, ticket, index: key.index });
    }

    /// The usual `again`: in a callback, on an active timer with nothing pending, to a later time.
    /// Returns whether it was that.
    #[inline]
    fn push_back(&mut self, key: Key) -> bool {
        let (Some(now), Some(ticket)) = (self.standing_time(), self.draw_spare_ticket()) else {
            return false;
        };
        let Some(slot) = self.timers.get_mut(key) else { return false };
        let due = now.saturating_add(slot.data.repeat);
        let usual = slot.head.flags & (Head::ACTIVE | Head::LATER) == Head::ACTIVE
            && slot.head.pend.is_none()
            && slot.data.repeat != 0
            && due >= slot.data.due;
        if usual {
            slot.data.due = due;
            slot.data.ticket = ticket;
        }
        usual
    }

    /// Gives an active timer another deadline.
    fn reschedule(&mut self, key: Key, due: u64) {
        let ticket = self.draw_ticket();
        let Some(slot) = self.timers.get_mut(key) else { return };
        let later = due >= slot.data.due;
        slot.data.due = due;
        slot.data.ticket = ticket;
        // Later than before is no earlier than the heap's entry, which may stay where it is.
        if !later && self.heap.get(key.index).is_some_and(|entry| due < entry.due) {
            self.heap.update(Deadline { due, ticket, index: key.index });
        }
    }
}

/// The closure of [`EvLoop::after`]: the watcher is gone before it is called.
struct AfterCell<C>(OnceSlot<Option<C>>);

impl<C: FnOnce(&mut EvLoop)> Callback for AfterCell<C> {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, _ready: Events) {
        remove(ev, key);
        if let Some(f) = self.0.take() {
            f(ev);
        }
    }
}

verbs!(Timer, "timer");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    let Some(slot) = ev.timers.get(key) else { return false };
    if !slot.head.pend.is_none() || slot.head.has(Head::LATER) {
        ev.unqueue(KIND, key);
    }
    let now = ev.now_nanos();
    let Some(TimerSlot { head, data, .. }) = ev.timers.get_mut(key) else { return false };
    if !head.is_active() {
        return true;
    }
    head.flags &= !Head::ACTIVE;
    // What is left, for the next start. Never stays never.
    if data.due != NEVER && !head.has(TimerSlot::ABSOLUTE | TimerSlot::AFTER_SET) {
        data.due = data.due.saturating_sub(now);
    }
    let counted = usize::from(!head.has(Head::EXEMPT));
    ev.drop_refs(counted);
    ev.heap.remove(key.index);
    true
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    if !stop_it(ev, key) {
        return false;
    }
    let slot = ev.timers.remove(key);
    if slot.as_ref().is_some_and(|slot| slot.head.has(TimerSlot::AFTER_SET)) {
        ev.afters.remove(&key.index);
    }
    slot.is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

impl Timer {
    /// Starts the timer; no effect if it is started already.
    ///
    /// It is due after what was given last, or, if it had been stopped before its time, after what
    /// was left then. A one-shot timer that has fired is due at once. Outside of `run` the delay
    /// counts from the present moment; in callbacks from the loop's time.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn start(self, ev: &mut EvLoop) -> Self {
        let Some(slot) = ev.timers.get_mut(self.0) else { return self };
        if slot.head.is_active() {
            return self;
        }
        if slot.head.has(TimerSlot::AFTER_SET) {
            slot.head.flags &= !TimerSlot::AFTER_SET;
            slot.data.due = ev.afters.remove(&self.0.index).unwrap_or(0);
        }
        let (after, absolute) = (slot.data.due, slot.head.has(TimerSlot::ABSOLUTE));
        let due = if absolute { after } else { ev.start_time().saturating_add(after) };
        ev.schedule(self.0, due);
        self
    }

    /// Starts the timer relative to the present moment instead of the loop's time: reads the clock.
    ///
    /// For callbacks that have computed for long. Other timers and [`EvLoop::now`] are not affected.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn start_from_real_now(self, ev: &mut EvLoop) -> Self {
        let stopped = ev.timers.get(self.0).is_some_and(|slot| !slot.head.is_active());
        self.start(ev);
        let Some(slot) = ev.timers.get(self.0) else { return self };
        if stopped && !slot.head.has(TimerSlot::ABSOLUTE) && slot.data.due != NEVER {
            let stale_by = ev.real_nanos().saturating_sub(ev.now_nanos());
            let due = slot.data.due.saturating_add(stale_by);
            ev.reschedule(self.0, due);
        }
        self
    }

    /// Pushes a repeating timer back: due `repeat` from now (`ev_timer_again`). The way to run
    /// inactivity time-outs; it costs a few instructions.
    ///
    /// Whatever was pending is forgotten. A stopped repeating timer is started with `repeat` as its
    /// delay; an active one that does not repeat is stopped; a stopped one that does not repeat stays
    /// so.
    #[inline]
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn again(self, ev: &mut EvLoop) -> Self {
        if !ev.push_back(self.0) {
            self.again_in_general(ev);
        }
        self
    }

    fn again_in_general(self, ev: &mut EvLoop) {
        let Some(slot) = ev.timers.get(self.0) else { return };
        let (active, repeat) = (slot.head.is_active(), slot.data.repeat);
        if !slot.head.pend.is_none() || slot.head.has(Head::LATER) {
            ev.unqueue(KIND, self.0);
        }
        match (active, repeat) {
            (false, 0) => {}
            (true, 0) => {
                stop_it(ev, self.0);
            }
            (true, repeat) => {
                let due = ev.start_time().saturating_add(repeat);
                ev.reschedule(self.0, due);
            }
            (false, repeat) => {
                forget_delay(ev, self.0);
                let due = ev.start_time().saturating_add(repeat);
                ev.schedule(self.0, due);
            }
        }
    }

    /// Makes the timer due `delay` from now, at once and in any state; a stopped one is started.
    /// Whatever was pending is forgotten. The repeat time stays.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn restart(self, ev: &mut EvLoop, delay: Duration) -> Self {
        if ev.timers.get(self.0).is_none() {
            return self;
        }
        ev.unqueue(KIND, self.0);
        forget_delay(ev, self.0);
        let due = ev.start_time().saturating_add(nanos(delay));
        if self.is_active(ev) {
            ev.reschedule(self.0, due);
        } else {
            ev.schedule(self.0, due);
        }
        self
    }

    /// Gives the timer other times (`ev_timer_set`), in any state.
    ///
    /// `after` counts from the next start; on an active timer the deadline at hand stays. `repeat`
    /// counts from the next expiry or [`again`](Self::again).
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn set(self, ev: &mut EvLoop, after: Duration, repeat: Duration) -> Self {
        let Some(slot) = ev.timers.get_mut(self.0) else { return self };
        slot.data.repeat = nanos(repeat);
        if slot.head.is_active() {
            // The slot's one field for it holds the deadline at hand.
            slot.head.flags |= TimerSlot::AFTER_SET;
            slot.head.flags &= !TimerSlot::ABSOLUTE;
            ev.afters.insert(self.0.index, nanos(after));
        } else {
            slot.head.flags &= !TimerSlot::ABSOLUTE;
            slot.data.due = nanos(after);
            if slot.head.has(TimerSlot::AFTER_SET) {
                slot.head.flags &= !TimerSlot::AFTER_SET;
                ev.afters.remove(&self.0.index);
            }
        }
        self
    }

    /// Gives the timer another repeat time, in any state; zero for none. It counts from the next
    /// expiry or [`again`](Self::again).
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn set_repeat(self, ev: &mut EvLoop, repeat: Duration) -> Self {
        if let Some(slot) = ev.timers.get_mut(self.0) {
            slot.data.repeat = nanos(repeat);
        }
        self
    }

    /// Whether a repeating timer that fell behind keeps its phase. Default: no.
    ///
    /// With a period of 100 ms and a callback that blocks until 350 ms, the calls come at 0, 350,
    /// 400, 500 ms instead of at 0, 350, 350, 450 ms: ticks missed are skipped, and the next one is
    /// where it would have been.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn set_keep_phase(self, ev: &mut EvLoop, keep: bool) -> Self {
        if let Some(slot) = ev.timers.get_mut(self.0) {
            slot.head.put(TimerSlot::KEEP_PHASE, keep);
        }
        self
    }

    /// How long until it is due, from the loop's now (`ev_timer_remaining`): zero if that has
    /// passed, [`Duration::MAX`] for never. For a stopped timer, what it would be started with. Zero
    /// for a stale key.
    #[must_use]
    pub fn remaining(self, ev: &EvLoop) -> Duration {
        let Some(slot) = ev.timers.get(self.0) else { return Duration::ZERO };
        let left = match (slot.head.is_active(), slot.head.has(TimerSlot::AFTER_SET)) {
            (true, _) => return ev.until(slot.data.due),
            (false, true) => ev.afters.get(&self.0.index).copied().unwrap_or(0),
            (false, false) if slot.head.has(TimerSlot::ABSOLUTE) => {
                return ev.until(slot.data.due);
            }
            (false, false) => slot.data.due,
        };
        if left == NEVER { Duration::MAX } else { Duration::from_nanos(left) }
    }

    /// When it is due; `None` if it is stopped, never due, or the key is stale.
    #[must_use]
    pub fn due(self, ev: &EvLoop) -> Option<Instant> {
        ev.instant_of(ev.active_timer(self.0)?.data.due)
    }

    /// The repeat time; zero for none, and for a stale key.
    #[must_use]
    pub fn repeat(self, ev: &EvLoop) -> Duration {
        let repeat = ev.timers.get(self.0).map_or(0, |slot| slot.data.repeat);
        if repeat == NEVER { Duration::MAX } else { Duration::from_nanos(repeat) }
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the timer exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, TimerEvent) + 'static,
    ) -> bool {
        let Some(slot) = ev.timers.get_mut(self.0) else { return false };
        slot.cell = Cell::shared(callback);
        true
    }
}

/// The delay given with `set` or `timer_at` gives way to another.
fn forget_delay(ev: &mut EvLoop, key: Key) {
    let Some(slot) = ev.timers.get_mut(key) else { return };
    if slot.head.has(TimerSlot::AFTER_SET) {
        ev.afters.remove(&key.index);
    }
    slot.head.flags &= !(TimerSlot::AFTER_SET | TimerSlot::ABSOLUTE);
}
