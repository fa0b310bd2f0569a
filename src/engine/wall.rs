//! The wall clock, and the periodics that run on it.
//!
//! A periodic is due by the wall clock, which may be set. The loop knows the *offset* of the wall clock
//! from the monotonic one; a change of a second or more is a **jump**, and periodics with an interval or
//! a rule are computed anew then. Two ways lead to it:
//!
//! * **At once**: a timer descriptor that the kernel cancels when the clock is set, watched as an
//!   internal io watcher from the first start of a periodic on.
//! * **At the next look**: the offset is measured again when half a second has passed since the last
//!   time, whenever a periodic may be due, and, without that descriptor, at least once a minute.
//!
//! In between, the wall clock is the monotonic one plus the offset, so a loop whose hourly job is far
//! away reads no second clock. That is good for planning a wait and never for firing: nothing fires but
//! by a true reading, so no periodic is early.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::SystemTime;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::clock::system_time;
use super::expiry::Line;
use super::heap::Heap;
use super::tenants::{IoCallback, Kind, PeriodicSlot};
use super::{Callback, Deadline, EvLoop, Head, Key, NEVER, Schedule, Slots};
use crate::event::Events;

/// How long a measured offset is relied on.
const HALF_A_SECOND: u64 = 500_000_000;
/// A smaller change of the offset is no jump.
const JUMP: u64 = 1_000_000_000;
/// By so much an extrapolated time may be behind the true one.
const NEAR: u64 = 1_000_000;
/// The longest wait of a loop that is not told when the clock is set.
const LONGEST_BLIND_WAIT: u64 = 60_000_000_000;

pub(crate) struct Periodics {
    pub(crate) slots: Slots<PeriodicSlot>,
    pub(crate) heap: Heap,
    /// Wall clock minus monotonic clock, modulo 2⁶⁴.
    offset: u64,
    /// When that was measured, by the monotonic clock.
    measured_at: u64,
    /// The kernel has said that the clock was set.
    was_set: bool,
    watch: ClockWatch,
}

/// How the loop learns that the clock was set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClockWatch {
    /// No periodic was started yet.
    NotYet,
    /// By this internal io watcher.
    Told(Key),
    /// By looking: there is no such descriptor, it was not wanted, or the clock is a mock.
    Looking,
}

impl Periodics {
    pub(super) fn new(first_generation: u32) -> Self {
        Self {
            slots: Slots::new(first_generation),
            heap: Heap::default(),
            offset: 0,
            measured_at: 0,
            was_set: false,
            watch: ClockWatch::NotYet,
        }
    }

    fn estimate(&self, now: u64) -> u64 {
        now.wrapping_add(self.offset)
    }
}

/// The line of periodics, in wall-clock time.
pub(super) struct ByWallClock;

impl Line for ByWallClock {
    fn heap(ev: &EvLoop) -> &Heap {
        &ev.periodics.heap
    }

    fn heap_mut(ev: &mut EvLoop) -> &mut Heap {
        &mut ev.periodics.heap
    }

    fn true_deadline(_: &EvLoop, entry: Deadline) -> Deadline {
        entry
    }

    fn take_due(ev: &mut EvLoop, now: u64, due: &mut Vec<Deadline>) {
        ev.periodics.heap.take_due(now, due, |entry| entry);
    }

    fn touch(ev: &EvLoop, entry: Deadline) {
        let ahead = ev.periodics.slots.at(entry.index);
        std::hint::black_box(ahead.map(|slot| slot.head.flags));
    }

    fn expire(ev: &mut EvLoop, first: Deadline, now: u64) -> Option<Deadline> {
        let (key, slot) = ev.periodics.slots.at_mut_with_key(first.index)?;
        let by_schedule = !slot.head.has(PeriodicSlot::CHANGED);
        slot.head.flags &= !PeriodicSlot::CHANGED;
        let due = by_schedule.then_some(first.due);
        let next = if slot.schedule.asks_the_program() {
            ask(&mut slot.schedule, now, &mut ev.panicked)
        } else {
            slot.schedule.next(due, now)
        };
        if next.is_none() {
            slot.head.flags &= !Head::ACTIVE;
            ev.refs -= usize::from(!slot.head.has(Head::EXEMPT));
        }
        // `expire_all` has seen to it that there are enough.
        let ticket = ev.next_ticket;
        ev.next_ticket += 1;
        ev.enqueue(Kind::Periodic, key, Events::PERIODIC);
        next.map(|due| Deadline { due, ticket, ..first })
    }
}

/// Asks a rule of the program's. Its panic must wait until the events at hand are in their queues, or
/// they would be lost with it.
fn ask(
    schedule: &mut Schedule,
    now: u64,
    panicked: &mut Option<Box<dyn Any + Send>>,
) -> Option<u64> {
    catch_unwind(AssertUnwindSafe(|| schedule.next(None, now))).unwrap_or_else(|payload| {
        panicked.get_or_insert(payload);
        Some(NEVER)
    })
}

impl EvLoop {
    /// The loop's idea of the wall-clock time (`ev_now`): read at the first use in an iteration, then
    /// it stands still like [`now`](Self::now).
    #[must_use]
    pub fn wall_now(&self) -> SystemTime {
        system_time(self.wall_nanos())
    }

    #[inline]
    pub(super) fn wall_nanos(&self) -> u64 {
        self.wall.get().unwrap_or_else(|| {
            let wall = self.clock.wall();
            self.wall.set(Some(wall));
            wall
        })
    }

    /// Starts a periodic.
    #[inline]
    pub(crate) fn start_periodic(&mut self, key: Key) {
        if self.depth == 0 {
            // Outside callbacks there is no time of an iteration.
            self.wall.set(None);
        }
        let now = self.wall_nanos();
        let Some(slot) = self.periodics.slots.get_mut(key) else { return };
        if slot.head.is_active() {
            return;
        }
        let due = slot.schedule.first(now);
        slot.head.flags &= !PeriodicSlot::CHANGED;
        let counted = usize::from(!slot.head.has(Head::EXEMPT));
        slot.head.flags |= Head::ACTIVE;
        self.refs += counted;
        if self.periodics.heap.is_empty() {
            // Nobody has looked at the clock lately. Whatever it did meanwhile is no jump.
            self.measure_offset();
            self.watch_clock();
            self.note(Self::LINES, true);
        }
        let ticket = self.draw_ticket();
        self.periodics.heap.insert(Deadline { due, ticket, index: key.index });
    }

    /// Stops a periodic; returns whether it exists.
    pub(crate) fn stop_periodic(&mut self, key: Key) -> bool {
        self.unqueue(Kind::Periodic, key);
        if self.deactivate(Kind::Periodic, key) {
            self.periodics.heap.remove(key.index);
            self.note_lines();
        }
        self.periodics.slots.get(key).is_some()
    }

    /// Looks at the wall clock if a periodic may be due, or its time may have to be computed anew.
    pub(super) fn look_at_wall(&mut self) {
        let Some(first) = self.periodics.heap.first() else { return };
        let now = self.now_nanos();
        let age = now.saturating_sub(self.periodics.measured_at);
        let near = self.periodics.estimate(now).saturating_add(NEAR) >= first.due;
        if !near && age < HALF_A_SECOND && !self.periodics.was_set && !self.clock.is_mocked() {
            return;
        }
        let old = self.periodics.offset;
        self.measure_offset();
        let change = self.periodics.offset.wrapping_sub(old) as i64;
        if change.unsigned_abs() >= JUMP {
            self.reschedule_periodics();
        }
    }

    /// Reads both clocks at, as nearly as may be, the same moment.
    fn measure_offset(&mut self) {
        // Being interrupted between the readings looks like a jump by that time.
        const TRIES: usize = 4;
        let mut before = self.clock.now();
        for _ in 0..TRIES {
            let wall = self.clock.wall();
            let after = self.clock.now();
            self.periodics.offset = wall.wrapping_sub(before);
            self.wall.set(Some(wall));
            if after.saturating_sub(before) < NEAR {
                break;
            }
            before = after;
        }
        self.periodics.measured_at = before;
        self.periodics.was_set = false;
    }

    /// The clock has jumped, or time was suspended: everything but absolute times is computed anew.
    pub(super) fn reschedule_periodics(&mut self) {
        let now = self.wall_nanos();
        let Self { periodics, panicked, .. } = self;
        let Periodics { heap, slots, .. } = periodics;
        heap.rewrite(|entry| {
            let Some(slot) = slots.at_mut(entry.index) else { return entry };
            if !slot.schedule.follows_jumps() {
                return entry;
            }
            slot.head.flags &= !PeriodicSlot::CHANGED;
            let due = ask(&mut slot.schedule, now, panicked).unwrap_or(NEVER);
            Deadline { due, ..entry }
        });
    }

    /// Whether a periodic is due. Only a true reading of the wall clock can say so.
    pub(super) fn is_a_periodic_due(&self) -> bool {
        let first = self.periodics.heap.first().filter(|first| first.due != NEVER);
        first.is_some_and(|first| self.wall.get().is_some_and(|wall| first.due <= wall))
    }

    pub(super) fn expire_periodics(&mut self) {
        if self.is_a_periodic_due() {
            self.expire_all::<ByWallClock>(self.wall_nanos());
            self.note_lines();
        }
    }

    /// When the first periodic will be due, by the monotonic clock, as far as can be told now; or when
    /// the wall clock must be looked at.
    pub(super) fn next_periodic(&self) -> Option<u64> {
        let first = self.periodics.heap.first()?;
        let now = self.now_nanos();
        let due = match first.due {
            NEVER => NEVER,
            due => now.saturating_add(due.saturating_sub(self.periodics.estimate(now))),
        };
        let blind = self.periodics.watch == ClockWatch::Looking && !self.clock.is_mocked();
        Some(if blind { due.min(now.saturating_add(LONGEST_BLIND_WAIT)) } else { due })
    }

    /// Has the kernel tell when the clock is set, from the first periodic on.
    fn watch_clock(&mut self) {
        if self.periodics.watch != ClockWatch::NotYet || self.is_forked() {
            return;
        }
        self.periodics.watch = ClockWatch::Looking;
        let unwanted = !self.options.watch_clock_jumps || self.clock.is_mocked();
        if unwanted || self.backend.is_none() {
            return;
        }
        // Whatever is refused here: there is the other way.
        let Ok(fd) = armed_timer() else { return };
        let key = self.insert_internal(Rc::new(ClockWasSet(fd)));
        match self.start_io(key) {
            Ok(()) => self.periodics.watch = ClockWatch::Told(key),
            Err(_) => _ = self.remove_io(key),
        }
    }

    /// In a forked child: the parent keeps the descriptor it shares with us.
    pub(super) fn renew_clock_watch(&mut self) {
        if let ClockWatch::Told(key) = self.periodics.watch {
            self.remove_io(key);
            self.periodics.watch = ClockWatch::NotYet;
        }
        if !self.periodics.heap.is_empty() {
            self.watch_clock();
            // What was told meanwhile was told to the parent.
            self.periodics.was_set = true;
        }
    }

    pub(super) fn verify_periodics(&self) {
        self.periodics.heap.verify();
        for entry in self.periodics.heap.iter() {
            let slot = self.periodics.slots.at(entry.index);
            assert!(
                slot.is_some_and(|slot| slot.head.is_active()),
                "the heap of periodics holds {}, which is stopped or freed",
                entry.index
            );
        }
        let active = self.periodics.slots.iter().filter(|(_, slot)| slot.head.is_active()).count();
        assert_eq!(active, self.periodics.heap.len(), "an active periodic is not in the heap");
    }
}

/// A timer that never comes due, and becomes readable when the clock is set.
fn armed_timer() -> rustix::io::Result<OwnedFd> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    let fd = timerfd_create(TimerfdClockId::Realtime, flags)?;
    let never = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec { tv_sec: i64::MAX / 1_000_000_000, tv_nsec: 0 },
    };
    timerfd_settime(&fd, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &never)?;
    Ok(fd)
}

/// The cell of the internal watcher.
struct ClockWasSet(OwnedFd);

impl Callback for ClockWasSet {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, events: Events) {
        if events.contains(Events::ERROR) {
            ev.remove_io(key);
            ev.periodics.watch = ClockWatch::Looking;
        }
        let mut expirations = [0; 8];
        // ECANCELED is the news, and reading it silences the descriptor. Any other answer is reason
        // enough to look at the clock as well.
        let _ = rustix::io::read(&self.0, &mut expirations);
        ev.periodics.was_set = true;
    }
}

impl IoCallback for ClockWasSet {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn source(&self) -> Option<Rc<dyn Any>> {
        None
    }
}
