//! The loop's time, and the timers that run on it.
//!
//! Time is read at most twice in an iteration, before and after the wait, and only when a timer
//! needs it. A reading left out is made up by the first use that follows, so nobody meets the time
//! of an earlier iteration; from then on it stands still until the next wait.

use std::time::{Duration, Instant};

use super::expiry::Line;
use super::heap::Heap;
use super::tenants::{Kind, TimerSlot};
use super::{Deadline, EvLoop, Head, Key, NEVER};
use crate::event::Events;

impl EvLoop {
    /// The loop's idea of now on the monotonic clock: the time of this iteration.
    ///
    /// It stands still while callbacks run; timers are relative to it. (libev keeps it to itself,
    /// as `mn_now`.) A callback that has computed for long and wants the present moment calls
    /// [`update_now`](Self::update_now) first.
    #[must_use]
    pub fn now(&self) -> Instant {
        // Only the end of time has no `Instant`, and the monotonic clock is not there.
        self.clock.instant(self.now_nanos()).unwrap_or_else(Instant::now)
    }

    /// Reads both clocks again (`ev_now_update`).
    ///
    /// For callbacks that have taken long and are about to start timers. Timers due by the new time
    /// still wait for the next iteration.
    pub fn update_now(&mut self) {
        self.refresh();
        self.wall.set(Some(self.clock.wall()));
    }

    /// What the clock says now, whatever the loop's time is.
    #[cfg(feature = "http-server")]
    pub(crate) fn clock_nanos(&self) -> u64 {
        self.clock.now()
    }

    #[inline]
    pub(crate) fn now_nanos(&self) -> u64 {
        if !self.fresh.get() {
            self.now.set(self.clock.now());
            self.fresh.set(true);
        }
        self.now.get()
    }

    #[inline]
    pub(crate) fn refresh(&self) {
        self.now.set(self.clock.now());
        self.fresh.set(true);
    }

    /// What was read is of an earlier moment.
    #[inline]
    pub(crate) fn forget_time(&self) {
        self.fresh.set(false);
        self.wall.set(None);
    }

    /// [`start_time`](Self::start_time), if that takes no more than looking.
    #[inline]
    pub(crate) fn standing_time(&self) -> Option<u64> {
        let stands = self.fresh.get() && self.depth > 0 && !self.fresh_timers;
        stands.then(|| self.now.get())
    }

    /// The time that a timer started now is relative to. Outside callbacks there is no time of an
    /// iteration, so it is the present moment there.
    #[inline]
    pub(crate) fn start_time(&mut self) -> u64 {
        if self.depth == 0 || self.fresh_timers && !self.refreshed {
            self.refreshed = true;
            self.refresh();
        }
        self.now_nanos()
    }

    /// The present moment, whatever the loop's time says.
    pub(crate) fn real_nanos(&self) -> u64 {
        self.clock.now()
    }

    pub(crate) fn nanos_of(&self, instant: Instant) -> u64 {
        self.clock.at(instant)
    }

    pub(crate) fn instant_of(&self, at: u64) -> Option<Instant> {
        self.clock.instant(at)
    }

    /// When the loop next needs to run although its descriptor is silent; `None` if never.
    ///
    /// For hosting the loop in a foreign one: wait until [`backend_fd`](Self::backend_fd) is
    /// readable or this moment has come, then call [`turn`](Self::turn). It is the loop's now if
    /// something waits already (an idle watcher, a deferred closure, a fed event).
    ///
    /// Never later than the first timer, but perhaps earlier if that one was pushed back with
    /// [`again`](crate::Timer::again); the turn then finds nothing to do and puts it right. A periodic
    /// counts with the moment the wall clock will have come to its time, as far as can be told now.
    ///
    /// ```
    /// use evloop::EvLoop;
    /// use std::time::{Duration, Instant};
    ///
    /// let mut ev = EvLoop::new()?;
    /// assert_eq!(ev.next_deadline(), None);
    /// ev.after(Duration::from_secs(1), |_| {});
    /// assert!(ev.next_deadline().unwrap() > Instant::now());
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.has_work_now() {
            return Some(self.now());
        }
        let timer = self.heap.first().map(|first| first.due);
        let other = if self.has(Self::LINES) { self.first_of_other_lines() } else { None };
        self.clock.instant(timer.into_iter().chain(other).min()?)
    }

    /// Stops the loop's time (`ev_suspend`): until [`resume`](Self::resume), `run` and `turn` are
    /// refused, everything else works. A second call changes nothing.
    ///
    /// Called from a callback, it lets the present run go on; the next one is refused. A timer started
    /// while the loop is suspended is moved by [`resume`](Self::resume) like all others.
    ///
    /// For programs that are stopped for a long time, such as a game in the background, and do not
    /// want the timers of that time to come all at once.
    pub fn suspend(&mut self) {
        if self.suspended.is_none() {
            self.update_now();
            self.suspended = Some(self.now_nanos());
        }
    }

    /// Moves every timer later by the time since [`suspend`](Self::suspend), and computes every
    /// periodic anew: occurrences in between are lost (`ev_resume`). Without a suspend before it,
    /// nothing happens.
    pub fn resume(&mut self) {
        let Some(since) = self.suspended.take() else { return };
        self.update_now();
        let gap = self.now_nanos().saturating_sub(since);
        self.suspensions = self.suspensions.saturating_add(gap);
        let Self { heap, timers, .. } = self;
        heap.rewrite(|entry| {
            let Some(slot) = timers.at_mut(entry.index) else { return entry };
            slot.data.due = slot.data.due.saturating_add(gap);
            Deadline { due: slot.data.due, ticket: slot.data.ticket, ..entry }
        });
        self.reschedule_periodics();
        self.pass_on_panic();
    }

    /// How long the loop was [suspended](Self::suspend) in all, up to the last [`resume`](Self::resume):
    /// by how much its timers are behind the clock.
    ///
    /// For modules that keep moments of their own and want them moved like timers.
    #[must_use]
    pub fn suspended_for(&self) -> Duration {
        Duration::from_nanos(self.suspensions)
    }

    /// The same in nanoseconds.
    #[cfg(feature = "net")]
    pub(crate) fn suspensions(&self) -> u64 {
        self.suspensions
    }

    /// The loop's time less what it was suspended for: what is counted from it is moved by a suspension as timers are.
    #[cfg(feature = "net")]
    pub(crate) fn running_nanos(&self) -> u64 {
        self.now_nanos().saturating_sub(self.suspensions)
    }

    // --- timers --------------------------------------------------------------------------------

    /// A number that orders equal deadlines by when it was drawn.
    #[inline]
    pub(crate) fn draw_ticket(&mut self) -> u32 {
        if self.next_ticket == u32::MAX {
            self.renumber();
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        ticket
    }

    /// A ticket, unless the last one is near. Tickets may be drawn in vain.
    #[inline]
    pub(crate) fn draw_spare_ticket(&mut self) -> Option<u32> {
        let ticket = self.next_ticket;
        if ticket == u32::MAX {
            return None;
        }
        self.next_ticket = ticket + 1;
        Some(ticket)
    }

    /// Makes sure that so many tickets can be drawn without renumbering.
    #[inline]
    pub(super) fn spare_tickets(&mut self, count: usize) {
        if u32::MAX - self.next_ticket <= count as u32 {
            self.renumber();
        }
    }

    /// Tickets have run out: whatever has a deadline gets a new one, in the present order.
    #[cold]
    fn renumber(&mut self) {
        let Self { heap, timers, periodics, .. } = self;
        heap.rewrite(|entry| match timers.at(entry.index) {
            Some(slot) => Deadline { due: slot.data.due, ticket: slot.data.ticket, ..entry },
            None => entry,
        });
        // After a rewrite the heap is sorted, and its order is the order of the entries.
        let mut next = 0;
        heap.rewrite(|entry| {
            let ticket = next;
            next += 1;
            if let Some(slot) = timers.at_mut(entry.index) {
                slot.data.ticket = ticket;
            }
            Deadline { ticket, ..entry }
        });
        periodics.heap.renumber(&mut next);
        #[cfg(feature = "stat")]
        self.stats.renumber(&mut next);
        self.next_ticket = next;
    }

    /// Queues every timer that is due, earliest first, and gives the repeating ones their next
    /// deadline.
    #[inline]
    pub(crate) fn expire_timers(&mut self) {
        let first = self.heap.first();
        if first.is_some_and(|first| first.due <= self.now_nanos()) {
            self.expire_all::<ByMonotonicClock>(self.now_nanos());
        }
    }

    pub(crate) fn verify_timers(&self) {
        self.heap.verify();
        for entry in self.heap.iter() {
            let Some(slot) = self.timers.at(entry.index) else {
                panic!("the heap holds timer {}, which was freed", entry.index);
            };
            assert!(
                slot.head.is_active(),
                "the heap holds timer {}, which is stopped",
                entry.index
            );
            assert!(
                (entry.due, entry.ticket) <= (slot.data.due, slot.data.ticket),
                "the heap holds timer {} for later than it is due",
                entry.index
            );
        }
        let active = self.timers.iter().filter(|(_, slot)| slot.head.is_active()).count();
        assert_eq!(active, self.heap.len(), "an active timer is not in the heap");
    }

    /// The slot of an active timer.
    pub(crate) fn active_timer(&self, key: Key) -> Option<&TimerSlot> {
        self.timers.get(key).filter(|slot| slot.head.has(Head::ACTIVE))
    }

    /// How long until an instant of the loop's clock, from the loop's now.
    pub(crate) fn until(&self, due: u64) -> Duration {
        match due {
            NEVER => Duration::MAX,
            due => Duration::from_nanos(due.saturating_sub(self.now_nanos())),
        }
    }
}

/// The line of timers, in the nanoseconds of the monotonic clock.
pub(super) struct ByMonotonicClock;

impl Line for ByMonotonicClock {
    #[inline]
    fn heap(ev: &EvLoop) -> &Heap {
        &ev.heap
    }

    #[inline]
    fn heap_mut(ev: &mut EvLoop) -> &mut Heap {
        &mut ev.heap
    }

    #[inline]
    fn true_deadline(ev: &EvLoop, entry: Deadline) -> Deadline {
        match ev.timers.at(entry.index) {
            Some(TimerSlot { data, .. }) => {
                Deadline { due: data.due, ticket: data.ticket, ..entry }
            }
            None => entry,
        }
    }

    fn take_due(ev: &mut EvLoop, now: u64, due: &mut Vec<Deadline>) {
        let EvLoop { heap, timers, .. } = ev;
        heap.take_due(now, due, |entry| match timers.at(entry.index) {
            Some(slot) => Deadline { due: slot.data.due, ticket: slot.data.ticket, ..entry },
            None => entry,
        });
    }

    #[inline]
    fn touch(ev: &EvLoop, entry: Deadline) {
        let ahead = ev.timers.at(entry.index);
        std::hint::black_box(ahead.map(|slot| slot.head.flags));
    }

    fn expire(ev: &mut EvLoop, first: Deadline, now: u64) -> Option<Deadline> {
        let key = ev.timers.key_at(first.index);
        let slot = ev.timers.get_mut(key)?;
        let repeat = slot.data.repeat;
        let mut next = None;
        if repeat == 0 {
            slot.head.flags &= !Head::ACTIVE;
            // Started again without `set`, it fires at once.
            if !slot.head.has(TimerSlot::ABSOLUTE | TimerSlot::AFTER_SET) {
                slot.data.due = 0;
            }
            ev.refs -= usize::from(!slot.head.has(Head::EXEMPT));
        } else {
            let mut due = first.due.saturating_add(repeat);
            if due <= now {
                due = if slot.head.has(TimerSlot::KEEP_PHASE) {
                    let missed = (now - first.due) / repeat;
                    first.due.saturating_add(repeat.saturating_mul(missed + 1))
                } else {
                    now
                };
            }
            // `expire_all` has seen to it that there are enough.
            let ticket = ev.next_ticket;
            ev.next_ticket += 1;
            slot.data.due = due;
            slot.data.ticket = ticket;
            next = Some(Deadline { due, ticket, ..first });
        }
        ev.enqueue(Kind::Timer, key, Events::TIMER);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn equal_timers_keep_their_order_when_the_tickets_run_out() {
        let mut ev = EvLoop::new().unwrap();
        let order = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&order);
        // All are started in one callback, so all are due at the same moment.
        ev.after(Duration::ZERO, move |ev| {
            ev.next_ticket = u32::MAX - 3;
            for n in 0..8 {
                let told = Rc::clone(&told);
                ev.timer(Duration::ZERO, Duration::ZERO, move |_, _| told.borrow_mut().push(n))
                    .start(ev);
                ev.verify();
            }
        });
        ev.run().unwrap();
        assert!(ev.next_ticket < 100, "the tickets were renumbered");
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn repeaters_go_on_when_the_tickets_run_out_while_they_expire() {
        let mut ev = EvLoop::new().unwrap();
        let ticks = Rc::new(RefCell::new([0; 4]));
        for n in 0..4 {
            let ticks = Rc::clone(&ticks);
            let tick = Duration::from_nanos(1);
            ev.timer(tick, tick, move |ev, e| {
                ticks.borrow_mut()[n] += 1;
                ev.verify();
                if ticks.borrow()[n] == 3 {
                    e.watcher.stop(ev);
                }
            })
            .start(&mut ev);
        }
        ev.next_ticket = u32::MAX - 2;
        ev.run().unwrap();
        assert_eq!(*ticks.borrow(), [3; 4]);
    }
}
