//! From readiness to calls: the batch of reports, the board, and the one place that calls.
//!
//! # The short way and the exact way
//!
//! Usually every io watcher has the same priority. Then the kernel's array of reports already is
//! the io part of that priority's queue, and copying it to the board would cost more than the rest
//! of the dispatch. So the array stays where it is, as the [`Batch`]; it takes its turn in its band
//! behind what was queued before it and ahead of what is fed while it is worked off ([`Mark`]).
//! Whoever needs exact answers about single io watchers meanwhile (`feed`, `clear_pending`,
//! `set_priority`, a descriptor with several watchers) has the rest of the array put up on the
//! board first: [`EvLoop::put_up_reports`]. Both ways call the same watchers in the same order.
//!
//! A watcher started while the array is open must not see reports that are older than itself: it is
//! *blind* until the array is worked off.

use std::rc::Rc;

use super::pending::{Entry, Mark, What};
use super::tenants::{IoSlot, Kind, SimpleSlot};
use super::{Band, EvLoop, Group, Head, Key, Pend, Waiting, with_slots};
use crate::backend::{Report, Reports};
use crate::event::{Events, Interest};

/// The reports of the last wait, as far as they are not worked off.
pub(crate) struct Batch {
    pub(crate) reports: Reports,
    next: usize,
    band: Band,
    mark: Mark,
    /// Io watchers that are blind to this batch.
    blind: Vec<u32>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            reports: Reports::new(),
            next: 0,
            band: Band::DEFAULT,
            mark: Mark::default(),
            blind: Vec::new(),
        }
    }

    /// Whether reports are outstanding.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.next < self.reports.len()
    }

    #[inline]
    fn take(&mut self) -> Option<Report> {
        let report = self.reports.get(self.next)?;
        self.next += 1;
        Some(report)
    }

    fn rest(&self) -> impl Iterator<Item = Report> + '_ {
        (self.next..self.reports.len()).filter_map(|place| self.reports.get(place))
    }

    pub(crate) fn close(&mut self) {
        self.next = self.reports.len();
    }
}

/// What a report means for the watchers of its descriptor.
enum Outcome {
    /// For nobody: a ghost, the wake-up channel, something no longer wanted.
    Nobody,
    /// For this one.
    One(u32, Events),
    /// For several, or for one that has an event waiting already.
    Several,
}

impl EvLoop {
    /// Calls everything that is pending, highest priority first, until nothing is
    /// (`ev_invoke_pending`). The run does this by itself.
    ///
    /// After every call the highest priority is looked for anew, so an event fed at a higher
    /// priority overtakes the rest.
    pub fn invoke_pending(&mut self) {
        self.dispatch();
    }

    #[inline]
    pub(crate) fn dispatch(&mut self) {
        if self.has(Self::MONITOR) { self.dispatch_measured() } else { self.dispatch_plainly() }
    }

    #[inline(never)]
    fn dispatch_plainly(&mut self) {
        while let Some(band) = self.board.top() {
            if self.batch.is_open()
                && band == self.batch.band
                && !self.board.has_before(band, self.batch.mark)
            {
                self.work_off_reports(band);
            } else if let Some(entry) = self.board.pop(band) {
                match entry.what {
                    What::Watcher(Kind::Timer) => {
                        self.touch_ahead(band);
                        self.call_timer(entry.index, entry.events);
                    }
                    What::Watcher(kind) => self.call_next(kind, entry),
                    What::Posted => {
                        if let Some(f) = self.posted.pop_front() {
                            f(self);
                        }
                    }
                    What::Blank => {}
                }
            }
        }
    }

    /// Not part of `dispatch`, whose short ways are shorter for it.
    #[inline(never)]
    fn call_next(&mut self, kind: Kind, entry: Entry) {
        let key = with_slots!(self, kind, slots => slots.key_at(entry.index));
        self.call(kind, key, entry.events, Pend::CALLED);
    }

    /// Where very many timers are due at once their slots and cells are in no cache, and waiting for
    /// memory is most of a call. Looking at one a few places ahead has it under way meanwhile.
    #[inline]
    fn touch_ahead(&self, band: Band) {
        const AHEAD: usize = 6;
        const MANY: usize = 4096;
        if let Some(entry) = self.board.ahead(band, AHEAD, MANY) {
            if let Some(slot) = self.timers.at(entry.index) {
                std::hint::black_box(Rc::strong_count(&slot.cell));
            }
        }
    }

    #[inline]
    fn call_timer(&mut self, index: u32, events: Events) {
        let Some((key, slot)) = self.timers.at_mut_with_key(index) else { return };
        if slot.head.pend.is_running() {
            self.enqueue(Kind::Timer, key, events);
            return;
        }
        slot.head.pend = Pend::CALLED;
        let cell = Rc::clone(&slot.cell);
        let called = Called { ev: self, kind: Kind::Timer, key };
        cell.call(called.ev, key, events);
    }

    /// The hot path: straight from the kernel's array to the callbacks. A callback behind a report
    /// of nothing but what one plain watcher asked for is called right here; everything else is
    /// judged at leisure.
    fn work_off_reports(&mut self, band: Band) {
        while let Some(report) = self.batch.take() {
            if !self.call_if_plainly_ready(report) {
                match self.judge(report) {
                    Outcome::One(index, events) => self.call_io(index, events),
                    Outcome::Nobody => {}
                    Outcome::Several => {
                        self.batch.next -= 1;
                        self.put_up_reports();
                        return;
                    }
                }
            }
            if self.board.interrupts(band) {
                // Somebody asked about a single watcher: the next to ask gets the answer cheaper.
                if self.board.take_attention() {
                    self.put_up_reports();
                }
                if self.batch.is_open() {
                    return;
                }
                break;
            }
        }
        self.open_eyes();
        self.board.settle(band);
    }

    /// The short way to [`Outcome::One`], call included; `false` does not mean that there is nobody.
    #[inline(always)]
    fn call_if_plainly_ready(&mut self, report: Report) -> bool {
        let Some(entry) = self.fds.entry(report.fd) else { return false };
        let Some((key, slot)) = self.ios.at_mut_with_key(entry.head) else { return false };
        let Some(ready) = report.plain_readiness() else { return false };
        let ready = ready & slot.data.interest;
        let plain = entry.generation == report.generation
            && slot.head.flags & (Head::ACTIVE | Head::BLIND) == Head::ACTIVE
            && slot.head.pend.is_none()
            && slot.data.next == IoSlot::NO_NEXT
            && !ready.is_empty();
        if !plain {
            return false;
        }
        slot.head.pend = Pend::CALLED;
        let cell = Rc::clone(&slot.cell);
        let called = CalledIo { ev: self, key };
        cell.call(called.ev, key, ready.told());
        true
    }

    /// A new wait begins: what is left of the last batch is over.
    #[inline]
    pub(crate) fn begin_batch(&mut self) {
        self.open_eyes();
        self.fds.renewed = false;
        self.batch.close();
    }

    /// The batch is worked off: watchers started meanwhile take part from the next one on.
    #[inline]
    fn open_eyes(&mut self) {
        while let Some(index) = self.batch.blind.pop() {
            if let Some(slot) = self.ios.at_mut(index) {
                slot.head.flags &= !Head::BLIND;
            }
        }
    }

    /// The reports outstanding are not for this watcher.
    pub(crate) fn blindfold(&mut self, key: Key) {
        if !self.batch.is_open() {
            return;
        }
        if let Some(slot) = self.ios.get_mut(key) {
            if !slot.head.has(Head::BLIND) {
                slot.head.flags |= Head::BLIND;
                self.batch.blind.push(key.index);
            }
        }
    }

    /// Finds out whom a report is for, and mends the registration if it is for nobody.
    #[inline(never)]
    fn judge(&mut self, report: Report) -> Outcome {
        let Some(entry) = self.fds.get(report.fd) else { return Outcome::Nobody };
        if entry.generation != report.generation {
            // A registration that no number leads to any more, and only a new set gets rid of it: unless
            // it was ended while this report was outstanding. A true ghost will be back.
            self.fds.haunted |= !self.fds.renewed;
            return Outcome::Nobody;
        }
        if report.invalid() {
            self.fail_fd(report.fd);
            return Outcome::Nobody;
        }
        let (mut outcome, mut wanted) = (Outcome::Nobody, false);
        let mut next = entry.head;
        while let Some(slot) = self.ios.at(next) {
            let index = std::mem::replace(&mut next, slot.data.next);
            let ready = report.ready() & slot.data.interest;
            if !slot.head.is_active() || ready.is_empty() {
                continue;
            }
            if slot.head.has(Head::BLIND) {
                wanted = true;
            } else if slot.head.pend.is_running() {
                // Its own callback runs a nested loop. A level would spin that loop, so its
                // interest is withdrawn below; an edge comes once and is kept for the return.
                if slot.data.interest.contains(Interest::EDGE) {
                    wanted = true;
                    let key = self.ios.key_at(index);
                    self.enqueue(Kind::Io, key, ready.told());
                }
            } else {
                wanted = true;
                outcome = match outcome {
                    Outcome::Nobody if slot.head.pend.is_none() => {
                        Outcome::One(index, ready.told())
                    }
                    _ => Outcome::Several,
                };
            }
        }
        if !wanted {
            self.mend(report.fd);
        }
        outcome
    }

    /// Puts what is left of the kernel's array up on the board, in its place: behind what was
    /// queued before it, ahead of what was fed since.
    pub(crate) fn put_up_reports(&mut self) {
        if !self.batch.is_open() {
            return;
        }
        let mut ready = Vec::new();
        while let Some(report) = self.batch.take() {
            match self.judge(report) {
                Outcome::Nobody => {}
                Outcome::One(index, events) => ready.push((index, events)),
                Outcome::Several => ready.extend(self.hearers(report)),
            }
        }
        let (band, mark) = (self.batch.band, self.batch.mark);
        self.batch.close();
        self.open_eyes();
        // What stands before the mark steps aside, so that the reports get in behind it and ahead
        // of the rest, whose positions must not change.
        let mut before = Vec::new();
        while self.board.has_before(band, mark) {
            let Some(entry) = self.board.pop(band) else { break };
            if let What::Watcher(kind) = entry.what {
                let key = with_slots!(self, kind, slots => slots.key_at(entry.index));
                if let Some(head) = self.head_mut(kind, key).filter(|h| !h.pend.is_running()) {
                    head.pend = Pend::NONE;
                }
            }
            before.push(entry);
        }
        for (index, events) in ready.into_iter().rev() {
            let entry = Entry { what: What::Watcher(Kind::Io), index, events };
            self.put_up_first(band, entry);
        }
        for entry in before.into_iter().rev() {
            self.put_up_first(band, entry);
        }
    }

    fn put_up_first(&mut self, band: Band, entry: Entry) {
        let What::Watcher(kind) = entry.what else {
            self.board.push_front(band, entry);
            return;
        };
        let key = with_slots!(self, kind, slots => slots.key_at(entry.index));
        let waiting = self.head(kind, key).map(|head| (head.pend, head.queued_in));
        match waiting {
            // It steps aside while it is invoked: its slot says "running".
            Some((pend, _)) if pend.is_running() => {
                let pend = self.board.push_front(band, entry);
                let invoked = |w: &&mut Waiting| (w.kind, w.key) == (kind, key);
                if let Some(waiting) = self.waiting.iter_mut().rfind(invoked) {
                    (waiting.band, waiting.pend) = (band, pend);
                }
            }
            // An io watcher that was fed after its report came.
            Some((pend, queued_in)) if !pend.is_none() => {
                self.board.join(queued_in, pend, entry.events);
            }
            Some(_) => {
                let pend = self.board.push_front(band, entry);
                if let Some(head) = self.head_mut(kind, key) {
                    head.pend = pend;
                    head.queued_in = band;
                }
            }
            None => {}
        }
    }

    /// Lets the reports of a wait take their place in the order. `exactly`: on the board, because
    /// somebody will count what is there.
    pub(crate) fn admit_reports(&mut self, exactly: bool) {
        self.batch.next = 0;
        if !self.batch.is_open() {
            return;
        }
        match self.fds.common_band() {
            Some(band) => {
                self.batch.band = band;
                self.batch.mark = self.board.end(band);
                self.board.set_ready(band);
                if exactly {
                    self.put_up_reports();
                }
            }
            None => self.queue_reports(),
        }
    }

    /// Whether a report of the wait just over is for somebody. Those that are for nobody are dealt
    /// with, so that the next wait does not bring them again.
    pub(crate) fn has_wanted_reports(&mut self) -> bool {
        self.batch.next = 0;
        let wanted = self.reported().next().is_some();
        if !wanted {
            self.queue_reports();
            // They are dealt with and must not be looked at again.
            self.batch.reports.clear();
        }
        self.batch.close();
        // A number that was not open is dealt with by telling its watchers; an edge that came while its
        // watcher's callback is on the stack is kept for it.
        wanted || self.board.live() > 0
    }

    /// For io watchers of several priorities: each to its own band.
    fn queue_reports(&mut self) {
        while let Some(report) = self.batch.take() {
            match self.judge(report) {
                Outcome::Nobody => {}
                Outcome::One(index, events) => self.queue(Kind::Io, index, events),
                Outcome::Several => {
                    let hearers: Vec<_> = self.hearers(report).collect();
                    for (index, events) in hearers {
                        self.queue(Kind::Io, index, events);
                    }
                }
            }
        }
    }

    /// The watchers a report is for, in the order they were started. Those whose callback is on the
    /// stack are not among them: see [`judge`](Self::judge).
    fn hearers(&self, report: Report) -> impl Iterator<Item = (u32, Events)> + '_ {
        let entry = self.fds.get(report.fd);
        let mut next = entry
            .filter(|entry| entry.generation == report.generation && !report.invalid())
            .map_or(IoSlot::NO_NEXT, |entry| entry.head);
        let members = std::iter::from_fn(move || {
            let slot = self.ios.at(next)?;
            Some((std::mem::replace(&mut next, slot.data.next), slot))
        });
        members.filter_map(move |(index, slot)| {
            let ready = report.ready() & slot.data.interest;
            let open = slot.head.flags & (Head::ACTIVE | Head::BLIND) == Head::ACTIVE;
            let hears = open && !slot.head.pend.is_running() && !ready.is_empty();
            hears.then(|| (index, ready.told()))
        })
    }

    /// Whether one of the outstanding reports is for this io watcher.
    pub(crate) fn is_reported(&self, key: Key) -> bool {
        self.board.ask_attention();
        self.reported().any(|index| index == key.index)
    }

    /// The io watchers that outstanding reports are for, without doing anything about it.
    fn reported(&self) -> impl Iterator<Item = u32> + '_ {
        self.batch.rest().flat_map(move |report| self.hearers(report)).map(|(index, _)| index)
    }

    /// How many watchers have an event that was not delivered yet (`ev_pending_count`).
    ///
    /// Exact: neither internal watchers nor events that `stop` took back are counted, nor closures
    /// posted or deferred, nor events that `feed_later` keeps for the next iteration.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        let reported = if self.batch.is_open() {
            let idle = |index: &u32| self.ios.at(*index).is_some_and(|s| s.head.pend.is_none());
            self.reported().filter(idle).count()
        } else {
            0
        };
        let again = |&&(kind, key, _): &&(Kind, Key, Events)| {
            self.waiting.iter().any(|w| (w.kind, w.key) == (kind, key))
        };
        let missed = self.missed.len() - self.missed.iter().filter(again).count();
        self.board.live() + missed + reported
    }

    // --- queueing, step 14 ---------------------------------------------------------------------

    /// Makes the watcher at a place pending.
    pub(crate) fn queue(&mut self, kind: Kind, index: u32, events: Events) {
        let key = with_slots!(self, kind, slots => slots.key_at(index));
        self.enqueue(kind, key, events);
    }

    pub(super) fn queue_roster(&mut self, kind: Kind, events: Events, group: fn(&Self) -> &Group) {
        let mut place = 0;
        while place < group(self).roster.end() {
            if let Some(index) = group(self).roster.at(place) {
                self.queue(kind, index, events);
            }
            place += 1;
        }
    }

    #[inline(never)]
    pub(crate) fn queue_prepares(&mut self) {
        self.queue_roster(Kind::Prepare, Events::PREPARE, |ev| &ev.prepares);
    }

    #[inline(never)]
    pub(crate) fn queue_checks(&mut self) {
        self.queue_roster(Kind::Check, Events::CHECK, |ev| &ev.checks);
    }

    #[inline(never)]
    pub(crate) fn queue_posted(&mut self) {
        let posted = self.shared.take_posted();
        for _ in &posted {
            self.board.push_posted();
        }
        self.posted.extend(posted);
    }

    /// Whether a started notifier's call waits to be taken.
    pub(crate) fn is_any_async_called(&self) -> bool {
        self.async_roster.iter().any(|i| self.asyncs.at(i).is_some_and(|s| s.caller.is_called()))
    }

    /// Queues the notifiers that called.
    #[inline(never)]
    pub(crate) fn queue_asyncs(&mut self) {
        for place in 0..self.async_roster.end() {
            let Some(index) = self.async_roster.at(place) else { continue };
            if self.asyncs.at(index).is_some_and(|slot| slot.caller.take()) {
                self.queue(Kind::Async, index, Events::ASYNC);
            }
        }
    }

    #[inline(never)]
    pub(crate) fn queue_later(&mut self) {
        for place in 0..self.later.len() {
            let (kind, key, events) = self.later[place];
            if let Some(head) = self.head_mut(kind, key) {
                head.flags &= !Head::LATER;
            }
            self.enqueue(kind, key, events);
        }
        self.later.clear();
    }

    /// The highest priority that has idle watchers. Those whose callback is on the stack do not count:
    /// a loop that is run inside one must be able to sleep, and to end.
    pub(crate) fn top_idle_band(&self) -> Option<Band> {
        let heads = self.idles.roster.iter().filter_map(|index| self.idles.slots.at(index));
        heads.map(|slot| slot.head).filter(|head| !head.pend.is_running()).map(|h| h.band).max()
    }

    /// The idle rule: one priority's idle watchers, the highest that has any, and only if nothing else
    /// is pending there or above.
    #[inline(never)]
    pub(crate) fn queue_idles(&mut self) {
        let Some(band) = self.top_idle_band() else { return };
        if Band::ALL_DOWN.into_iter().any(|above| above >= band && self.board.is_busy(above)) {
            return;
        }
        for place in 0..self.idles.roster.end() {
            let Some(index) = self.idles.roster.at(place) else { continue };
            let here = |head: &Head| head.band == band && !head.pend.is_running();
            if self.idles.slots.at(index).is_some_and(|slot| here(&slot.head)) {
                self.queue(Kind::Idle, index, Events::IDLE);
            }
        }
    }

    // --- calling -------------------------------------------------------------------------------

    /// Calls a watcher; `pend` is what its slot says meanwhile.
    pub(crate) fn call(&mut self, kind: Kind, key: Key, events: Events, pend: Pend) {
        match self.head_mut(kind, key) {
            None => return,
            // It was invoked while this waited, and runs a nested loop.
            Some(head) if head.pend.is_running() => {
                self.enqueue(kind, key, events);
                return;
            }
            Some(head) => head.pend = pend,
        }
        match kind {
            Kind::Io => self.call_io(key.index, events),
            Kind::Prepare | Kind::Check => {
                let Some(cell) = self.simple_cell(kind, key) else { return };
                let closed = Closed::new(Called { ev: self, kind, key });
                cell.call(closed.0.ev, key, events);
            }
            Kind::Child => self.call_child(key, events),
            Kind::Idle | Kind::Fork | Kind::Cleanup => {
                let Some(cell) = self.simple_cell(kind, key) else { return };
                let called = Called { ev: self, kind, key };
                cell.call(called.ev, key, events);
            }
            Kind::Periodic => {
                let Some(slot) = self.periodics.slots.get(key) else { return };
                let cell = Rc::clone(&slot.cell);
                let called = Called { ev: self, kind, key };
                cell.call(called.ev, key, events);
            }
            Kind::Signal => {
                let Some(slot) = self.signals.slots.get(key) else { return };
                let cell = Rc::clone(&slot.cell);
                let called = Called { ev: self, kind, key };
                cell.call(called.ev, key, events);
            }
            #[cfg(feature = "stat")]
            Kind::Stat => {
                let Some(slot) = self.stats.slots.get(key) else { return };
                let cell = Rc::clone(&slot.cell);
                let called = Called { ev: self, kind, key };
                cell.call(called.ev, key, events);
            }
            Kind::Timer => {
                let Some(slot) = self.timers.get(key) else { return };
                let cell = Rc::clone(&slot.cell);
                let called = Called { ev: self, kind, key };
                cell.call(called.ev, key, events);
            }
            Kind::Async => {
                let Some(slot) = self.asyncs.get(key) else { return };
                let cell = Rc::clone(&slot.cell);
                let called = Called { ev: self, kind, key };
                cell.call(called.ev, key, events);
            }
        }
    }

    fn simple_cell(&self, kind: Kind, key: Key) -> Option<Rc<dyn super::Callback>> {
        let slots: &super::Slots<SimpleSlot> = match kind {
            Kind::Idle => &self.idles.slots,
            Kind::Prepare => &self.prepares.slots,
            Kind::Fork => &self.fork_watchers.slots,
            Kind::Cleanup => &self.cleanups.slots,
            _ => &self.checks.slots,
        };
        slots.get(key).map(|slot| Rc::clone(&slot.cell))
    }

    fn call_io(&mut self, index: u32, events: Events) {
        let Some((key, slot)) = self.ios.at_mut_with_key(index) else { return };
        if slot.head.pend.is_none() {
            slot.head.pend = Pend::CALLED;
        }
        let cell = Rc::clone(&slot.cell);
        let called = CalledIo { ev: self, key };
        cell.call(called.ev, key, events);
    }

    /// The callback of a watcher has returned, or panicked.
    fn returned(&mut self, kind: Kind, key: Key) {
        let Some(head) = self.head_mut(kind, key) else {
            return;
        };
        let missed = head.pend.has_missed();
        head.pend = Pend::NONE;
        if !missed {
            return;
        }
        // Invoked while an event waited: that is where it was, unless a nested run came by it.
        if let Some(waiting) = self.take_waiting(kind, key) {
            if self.board.holds(waiting.band, waiting.pend, kind, key.index) {
                if let Some(head) = self.head_mut(kind, key) {
                    head.pend = waiting.pend;
                    head.queued_in = waiting.band;
                }
            }
        }
        if let Some(events) = self.take_missed(kind, key) {
            self.enqueue(kind, key, events);
        }
    }
}

/// A callback on the stack. Dropped when it returns and when it panics.
pub(super) struct Called<'a> {
    pub(super) ev: &'a mut EvLoop,
    pub(super) kind: Kind,
    pub(super) key: Key,
}

impl Drop for Called<'_> {
    #[inline]
    fn drop(&mut self) {
        self.ev.returned(self.kind, self.key);
    }
}

/// [`Called`] for io alone, so that the hot path need not ask for the kind.
struct CalledIo<'a> {
    ev: &'a mut EvLoop,
    key: Key,
}

impl Drop for CalledIo<'_> {
    #[inline]
    fn drop(&mut self) {
        let Some(slot) = self.ev.ios.get_mut(self.key) else { return };
        if slot.head.pend == Pend::CALLED {
            slot.head.pend = Pend::NONE;
        } else {
            self.ev.returned(Kind::Io, self.key);
        }
    }
}

/// The callback of a prepare or check watcher, during which the loop cannot be run.
struct Closed<'a>(Called<'a>);

impl<'a> Closed<'a> {
    fn new(called: Called<'a>) -> Self {
        called.ev.closed_to_run += 1;
        Self(called)
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        // Saturating: the callback may have swapped the loop for another one.
        self.0.ev.closed_to_run = self.0.ev.closed_to_run.saturating_sub(1);
    }
}
