//! The streams of a loop: where they are found, the queue of those that have something to do, the buffers they
//! borrow, and the one timer that all their time-outs share.

// Time-outs. Every stream has at most one live entry in the heap, due no later than the first of its
// time-outs; `State::scheduled` says when. Activity moves time-outs later and leaves the entry alone: when
// it comes up, the stream is judged, and gets a new entry for what is the first then. So a stream that is
// busy costs the heap one operation per time-out, not one per message, and 16 bytes instead of a watcher.
// Entries that were overtaken by an earlier one of the same stream are dead: `due` differs from `scheduled`.
//
// Moments are nanoseconds on the loop's clock, less the time for which the loop was suspended until then: so
// they are moved by `resume` as timers are.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use slab::Slab;

use super::cell::{NEVER, State, StreamCell, flag};
use super::{Reason, Stream, drive};
use crate::net::Buffer;
use crate::{Cleanup, EvLoop, Timer};

/// How many times in one turn the queue is worked off before io and timers have theirs.
const ROUNDS: usize = 8;

/// How many more buffers than two are kept for the next stream that needs one.
const KEPT: usize = 2;

/// The largest memory a kept buffer may hold.
const KEPT_MEMORY: usize = 128 * 1024;

#[derive(Default)]
pub(super) struct Hub {
    table: RefCell<Slab<Rc<StreamCell>>>,
    queue: RefCell<VecDeque<Rc<StreamCell>>>,
    /// The loop has been told to work off the queue.
    is_called: Cell<bool>,
    /// Buffers for the next stream that needs one: mostly one for what comes, and one for the answer.
    first: Cell<Option<Box<Buffer>>>,
    second: Cell<Option<Box<Buffer>>>,
    #[expect(clippy::vec_box, reason = "streams own boxes, which come and go whole")]
    more: RefCell<Vec<Box<Buffer>>>,
    dues: RefCell<BinaryHeap<Reverse<(u64, u32)>>>,
    /// How many streams that wait for a time-out keep the loop running.
    waiting: Cell<usize>,
    timer: Cell<Option<Timer>>,
    /// When the timer goes off.
    armed: Cell<Option<u64>>,
    /// The time by which streams are being judged: whatever becomes due meanwhile is due after that.
    judging: Cell<Option<u64>>,
    cleanup: Cell<Option<Cleanup>>,
}

impl Hub {
    /// Takes a new stream in. There are never as many as there are slots.
    pub(super) fn insert(
        self: &Rc<Self>,
        ev: &mut EvLoop,
        state: impl FnOnce(u64) -> State,
    ) -> Rc<StreamCell> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        if self.cleanup.get().is_none() {
            let cleanup = ev.on_close(|ev, _| ev.local::<Self>().close_all(ev));
            self.cleanup.set(Some(cleanup.start(ev)));
        }
        let now = self.now(ev);
        let mut table = self.table.borrow_mut();
        let entry = table.vacant_entry();
        let slot = u32::try_from(entry.key()).unwrap_or(u32::MAX);
        let key = Stream { id: IDS.fetch_add(1, Ordering::Relaxed), slot };
        let cell = Rc::new(StreamCell { key, state: RefCell::new(state(now)) });
        entry.insert(Rc::clone(&cell));
        cell
    }

    pub(super) fn get(&self, key: Stream) -> Option<Rc<StreamCell>> {
        let table = self.table.borrow();
        table.get(key.slot as usize).filter(|cell| cell.key == key).map(Rc::clone)
    }

    /// Shows one of them, which is nobody's to keep. `look` must not call anybody who has the loop.
    #[inline]
    pub(super) fn with<T>(&self, key: Stream, look: impl FnOnce(&StreamCell) -> T) -> Option<T> {
        let table = self.table.borrow();
        let cell = table.get(key.slot as usize).filter(|cell| cell.key.id == key.id)?;
        Some(look(cell))
    }

    pub(super) fn remove(&self, cell: &StreamCell) -> Option<Rc<StreamCell>> {
        let removed = self.table.borrow_mut().try_remove(cell.key.slot as usize);
        let mut table = self.table.borrow_mut();
        // After a burst: what a thousand streams needed is not kept for the next one.
        if table.is_empty() && table.capacity() > 1024 {
            *table = Slab::new();
        }
        removed
    }

    pub(super) fn keys(&self) -> Vec<Stream> {
        self.table.borrow().iter().map(|(_, cell)| cell.key).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.table.borrow().len()
    }

    pub(super) fn find(&self, id: u64) -> Option<Stream> {
        let table = self.table.borrow();
        table.iter().map(|(_, cell)| cell.key).find(|key| key.id == id)
    }

    // --- the queue -----------------------------------------------------------------------------

    /// Has the stream looked at later in this iteration.
    pub(super) fn enqueue(&self, ev: &mut EvLoop, cell: &Rc<StreamCell>) {
        {
            let mut state = cell.state.borrow_mut();
            if state.has(flag::QUEUED | flag::CLOSED) {
                return;
            }
            state.set(flag::QUEUED);
        }
        self.put_in_queue(ev, Rc::clone(cell));
    }

    /// A stream that is [marked](flag::QUEUED) as being there.
    pub(super) fn put_in_queue(&self, ev: &mut EvLoop, cell: Rc<StreamCell>) {
        self.queue.borrow_mut().push_back(cell);
        self.call(ev);
    }

    fn call(&self, ev: &mut EvLoop) {
        if !self.is_called.replace(true) {
            ev.defer(|ev| ev.local::<Self>().work_off(ev));
        }
    }

    fn work_off(self: &Rc<Self>, ev: &mut EvLoop) {
        self.is_called.set(false);
        let turn = Turn { hub: self, ev };
        for _ in 0..ROUNDS {
            let count = self.queue.borrow().len();
            if count == 0 {
                return;
            }
            for _ in 0..count {
                let next = self.queue.borrow_mut().pop_front();
                let Some(cell) = next else { return };
                if !self.is_for_many(turn.ev, &cell) {
                    drive::resume(turn.ev, self, &cell);
                }
            }
        }
    }

    /// It is in the queue no more. Says whether all it had to do was to send a message for many, and that is done.
    #[inline]
    fn is_for_many(&self, ev: &EvLoop, cell: &StreamCell) -> bool {
        let mut state = cell.state.borrow_mut();
        state.clear(flag::QUEUED);
        #[cfg(feature = "websocket")]
        if state.shared.is_some() {
            drop(state);
            return super::many::send(self, cell, self.now(ev));
        }
        let _ = ev;
        false
    }

    // --- buffers -------------------------------------------------------------------------------

    /// An empty buffer, most likely with memory.
    pub(super) fn take_buffer(&self) -> Box<Buffer> {
        let kept = self.first.take().or_else(|| self.second.take());
        kept.unwrap_or_else(|| self.more.borrow_mut().pop().unwrap_or_default())
    }

    /// Gets one back whose contents nobody needs.
    pub(super) fn give_buffer(&self, mut buffer: Box<Buffer>) {
        if !buffer.is_empty() {
            buffer.clear();
        }
        if buffer.spare_len() > KEPT_MEMORY {
            return;
        }
        if let Some(buffer) = self.first.replace(Some(buffer)) {
            self.keep_behind(buffer);
        }
    }

    /// Another was given back before it.
    fn keep_behind(&self, buffer: Box<Buffer>) {
        let Some(buffer) = self.second.replace(Some(buffer)) else { return };
        let mut more = self.more.borrow_mut();
        if more.len() < KEPT {
            more.push(buffer);
        }
    }

    // --- time ----------------------------------------------------------------------------------

    /// The loop's time as streams keep it.
    pub(super) fn now(&self, ev: &EvLoop) -> u64 {
        ev.running_nanos()
    }

    pub(super) fn nanos(&self, ev: &EvLoop, moment: Instant) -> u64 {
        ev.nanos_of(moment).saturating_sub(ev.suspensions())
    }

    pub(super) fn instant(&self, ev: &EvLoop, nanos: u64) -> Option<Instant> {
        if nanos == NEVER {
            return None;
        }
        ev.instant_of(nanos.saturating_add(ev.suspensions()))
    }

    /// Sees to it that the stream is judged at `due`, at the latest.
    pub(super) fn schedule(&self, ev: &mut EvLoop, cell: &StreamCell, due: u64) {
        let due = self.judging.get().map_or(due, |now| due.max(now.saturating_add(1)));
        {
            let mut state = cell.state.borrow_mut();
            self.put_waiting(ev, &mut state, due != NEVER);
            if due >= state.scheduled {
                return;
            }
            state.scheduled = due;
        }
        self.dues.borrow_mut().push(Reverse((due, cell.key.slot)));
        self.drop_dead();
        self.arm(ev);
    }

    /// The stream has no entry any more.
    pub(super) fn unschedule(&self, ev: &mut EvLoop, state: &mut State) {
        state.scheduled = NEVER;
        self.put_waiting(ev, state, false);
    }

    /// Whether there is a time-out that the stream waits for: an entry may outlive it.
    fn put_waiting(&self, ev: &mut EvLoop, state: &mut State, waits: bool) {
        if state.has(flag::WAITS) == waits {
            return;
        }
        state.put(flag::WAITS, waits);
        if !state.has(flag::UNREF) {
            self.set_waiting(ev, waits);
        }
    }

    /// The stream keeps the loop running from now on, or does so no more.
    pub(super) fn set_waiting(&self, ev: &mut EvLoop, waits: bool) {
        let before = self.waiting.get();
        let count = if waits { before + 1 } else { before - 1 };
        self.waiting.set(count);
        if let (true, Some(timer)) = (before.min(count) == 0, self.timer.get()) {
            timer.set_ref(ev, count > 0);
        }
    }

    /// Streams whose time-outs come and go leave dead entries behind: no more of them than streams.
    fn drop_dead(&self) {
        let table = self.table.borrow();
        let mut dues = self.dues.borrow_mut();
        if dues.len() <= 2 * table.len() + 64 {
            return;
        }
        dues.retain(|&Reverse((due, slot))| {
            table.get(slot as usize).is_some_and(|cell| cell.state.borrow().scheduled == due)
        });
    }

    fn arm(&self, ev: &mut EvLoop) {
        let first = self.dues.borrow().peek().map_or(NEVER, |&Reverse((due, _))| due);
        if first == NEVER || self.armed.get().is_some_and(|armed| armed <= first) {
            return;
        }
        let delay = Duration::from_nanos(first.saturating_sub(self.now(ev)));
        let timer = self.timer.get().unwrap_or_else(|| {
            let timer = ev.timer(Duration::ZERO, Duration::ZERO, |ev, _| {
                let hub = ev.local::<Self>();
                hub.armed.set(None);
                // What has come while the loop was held up is read before anybody is judged.
                ev.defer(|ev| ev.local::<Self>().judge(ev));
            });
            self.timer.set(Some(timer));
            timer
        });
        timer.set_ref(ev, self.waiting.get() > 0);
        timer.restart(ev, delay);
        self.armed.set(Some(first));
    }

    fn judge(self: &Rc<Self>, ev: &mut EvLoop) {
        self.armed.set(None);
        let now = self.now(ev);
        let turn = Judging { hub: self, ev, before: self.judging.replace(Some(now)) };
        loop {
            let first = self.dues.borrow().peek().copied();
            let Some(Reverse((due, slot))) = first.filter(|&Reverse((due, _))| due <= now) else {
                return;
            };
            self.dues.borrow_mut().pop();
            let cell = self.table.borrow().get(slot as usize).map(Rc::clone);
            let Some(cell) = cell else { continue };
            if cell.state.borrow().scheduled != due {
                continue;
            }
            self.unschedule(turn.ev, &mut cell.state.borrow_mut());
            drive::judge(turn.ev, self, &cell, now);
        }
    }

    // --- the end -------------------------------------------------------------------------------

    fn close_all(self: &Rc<Self>, ev: &mut EvLoop) {
        // A handler that is told may open another. It is told too; one that does so for ever is not.
        let mut panicked = None;
        for _ in 0..ROUNDS {
            for key in self.keys() {
                let Some(cell) = self.get(key) else { continue };
                // Nobody asks again: one that panics keeps none of the others from being told.
                let told = catch_unwind(AssertUnwindSafe(|| {
                    drive::close(ev, self, &cell, Reason::LoopGone);
                }));
                panicked = told.err().or(panicked);
            }
        }
        // What handlers hold is anybody's: it is dropped with nothing borrowed.
        let (table, queue) = (self.table.take(), self.queue.take());
        for (_, cell) in &table {
            // A stream and its descriptor own each other.
            let transport = std::mem::take(&mut cell.state.borrow_mut().transport);
            drop(transport);
        }
        drop((table, queue));
        if let Some(panicked) = panicked {
            resume_unwind(panicked);
        }
    }
}

/// A round of the queue. Whatever ends it, a panic too, what is left is worked off in the next iteration.
struct Turn<'a> {
    hub: &'a Rc<Hub>,
    ev: &'a mut EvLoop,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.hub.queue.borrow().is_empty() {
            self.hub.call(self.ev);
        }
    }
}

/// A round of time-outs, after which the timer is set to the next.
struct Judging<'a> {
    hub: &'a Rc<Hub>,
    ev: &'a mut EvLoop,
    /// That of the round in which a run is nested that has this one.
    before: Option<u64>,
}

impl Drop for Judging<'_> {
    fn drop(&mut self) {
        self.hub.judging.set(self.before);
        self.hub.arm(self.ev);
    }
}
