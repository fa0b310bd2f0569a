//! When to look at a watched file: at its interval, and when somebody hints.
//!
//! What a look is, and whether it found a change, is the watcher's business; the hall keeps a line of
//! those that look at intervals and an inbox for hints.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use super::expiry::Line;
use super::heap::Heap;
use super::remote::{HINTED, Ringer};
use super::tenants::Kind;
use super::{Callback, Deadline, EvLoop, Head, Key, Slots};
use crate::event::Events;
use crate::watch::Inbox;
use crate::{Error, Result};

pub(crate) struct Stats {
    pub(crate) slots: Slots<StatSlot>,
    /// Those that look at intervals.
    heap: Heap,
    /// From the first start with hints on.
    inbox: Option<Arc<Inbox>>,
}

pub(crate) struct StatSlot {
    pub(crate) cell: Rc<dyn StatCallback>,
    pub(crate) head: Head,
}

impl StatSlot {
    pub(crate) fn new(cell: Rc<dyn StatCallback>) -> Self {
        Self { cell, head: Head::new() }
    }
}

/// What a look has found.
pub(crate) struct Look {
    pub(crate) changed: bool,
    /// In how many nanoseconds to look again; `None`: when hinted.
    pub(crate) again_in: Option<u64>,
}

/// The cell of a stat watcher.
pub(crate) trait StatCallback: Callback {
    /// Looks for the first time since the start, and asks for hints if there is an inbox.
    fn start(&self, key: Key, inbox: Option<&Arc<Inbox>>) -> Result<Look>;

    /// Looks again.
    fn look(&self) -> Look;

    /// It is stopped: no more hints.
    fn stop(&self);

    /// [`look`](StatCallback::look) in a forked child: the old inbox and whoever filled it are the
    /// parent's.
    fn renew(&self, inbox: Option<&Arc<Inbox>>) -> Look;

    /// What the watcher knows of its file, for who knows its type.
    fn handle(&self) -> Rc<dyn Any>;
}

impl Stats {
    pub(super) fn new(first_generation: u32) -> Self {
        Self { slots: Slots::new(first_generation), heap: Heap::default(), inbox: None }
    }

    pub(super) fn has_deadlines(&self) -> bool {
        !self.heap.is_empty()
    }

    pub(super) fn next_look(&self) -> Option<u64> {
        self.heap.first().map(|first| first.due)
    }

    pub(super) fn renumber(&mut self, next: &mut u32) {
        self.heap.renumber(next);
    }
}

/// The line of looks at intervals, on the monotonic clock.
struct ByInterval;

impl Line for ByInterval {
    fn heap(ev: &EvLoop) -> &Heap {
        &ev.stats.heap
    }

    fn heap_mut(ev: &mut EvLoop) -> &mut Heap {
        &mut ev.stats.heap
    }

    fn true_deadline(_: &EvLoop, entry: Deadline) -> Deadline {
        entry
    }

    fn take_due(ev: &mut EvLoop, now: u64, due: &mut Vec<Deadline>) {
        ev.stats.heap.take_due(now, due, |entry| entry);
    }

    fn touch(_: &EvLoop, _: Deadline) {}

    fn expire(ev: &mut EvLoop, first: Deadline, now: u64) -> Option<Deadline> {
        let (key, slot) = ev.stats.slots.at_mut_with_key(first.index)?;
        let look = slot.cell.look();
        // `expire_all` has seen to it that there are enough.
        let ticket = ev.next_ticket;
        ev.next_ticket += 1;
        let next = look.again_in.map(|nanos| {
            let due = now.saturating_add(nanos);
            Deadline { due, ticket, ..first }
        });
        if look.changed {
            ev.gather(Kind::Stat, key, Events::STAT);
        }
        next
    }
}

impl EvLoop {
    /// Starts a stat watcher.
    pub(crate) fn start_stat(&mut self, key: Key) -> Result<()> {
        const DOING: &str = "starting a stat watcher";
        let Some(slot) = self.stats.slots.get(key) else { return Err(Error::stale(DOING)) };
        if slot.head.is_active() {
            return Ok(());
        }
        self.be_unforked(DOING)?;
        if self.options.stat_hints && self.stats.inbox.is_none() {
            self.stats.inbox = Some(self.new_inbox());
        }
        let Some(slot) = self.stats.slots.get(key) else { return Err(Error::stale(DOING)) };
        let look = slot.cell.start(key, self.stats.inbox.as_ref())?;
        self.activate(Kind::Stat, key);
        self.plan_look(key, look.again_in);
        Ok(())
    }

    fn new_inbox(&self) -> Arc<Inbox> {
        let ringer = Ringer::new(Arc::clone(&self.shared), HINTED);
        Arc::new(Inbox::new(Arc::new(ringer)))
    }

    /// Stops a stat watcher; returns whether it exists.
    pub(crate) fn stop_stat(&mut self, key: Key) -> bool {
        self.unqueue(Kind::Stat, key);
        self.forget_gathered(Kind::Stat, key);
        if self.deactivate(Kind::Stat, key) {
            if let Some(slot) = self.stats.slots.get(key) {
                slot.cell.stop();
            }
            self.stats.heap.remove(key.index);
            self.note_lines();
        }
        self.stats.slots.get(key).is_some()
    }

    /// Looks because of a hint.
    fn look_at_file(&mut self, key: Key) {
        let Some(slot) = self.stats.slots.get(key).filter(|slot| slot.head.is_active()) else {
            return;
        };
        let look = slot.cell.look();
        if look.changed {
            self.gather(Kind::Stat, key, Events::STAT);
        }
        self.plan_look(key, look.again_in);
    }

    /// Puts a started watcher into the line, or takes it out.
    pub(crate) fn plan_look(&mut self, key: Key, again_in: Option<u64>) {
        if self.stats.slots.get(key).is_none_or(|slot| !slot.head.is_active()) {
            return;
        }
        self.stats.heap.remove(key.index);
        if let Some(nanos) = again_in {
            let (now, ticket) = (self.start_time(), self.draw_ticket());
            let due = now.saturating_add(nanos);
            self.stats.heap.insert(Deadline { due, ticket, index: key.index });
        }
        self.note_lines();
    }

    /// Looks at what the hints of the last wait are about.
    #[inline(never)]
    pub(super) fn look_where_hinted(&mut self) {
        let Some(inbox) = &self.stats.inbox else { return };
        for key in inbox.take() {
            self.look_at_file(Key::of_bits(key));
        }
    }

    /// Looks at what is due.
    pub(super) fn look_at_files(&mut self) {
        let now = self.now_nanos();
        if self.stats.heap.first().is_some_and(|first| first.due <= now) {
            self.expire_all::<ByInterval>(now);
            self.note_lines();
        }
    }

    /// In a forked child: hints come from a watcher of this process.
    pub(super) fn renew_stats(&mut self) {
        if self.stats.inbox.is_some() {
            self.stats.inbox = Some(self.new_inbox());
        }
        let active = self.stats.slots.iter().filter(|(_, slot)| slot.head.is_active());
        let keys: Vec<Key> = active.map(|(key, _)| key).collect();
        for key in keys {
            let Some(slot) = self.stats.slots.get(key) else { continue };
            let look = slot.cell.renew(self.stats.inbox.as_ref());
            if look.changed {
                self.gather(Kind::Stat, key, Events::STAT);
            }
            self.plan_look(key, look.again_in);
        }
        self.gathered_outside();
    }

    pub(super) fn verify_stats(&self) {
        self.stats.heap.verify();
        for entry in self.stats.heap.iter() {
            let slot = self.stats.slots.at(entry.index);
            assert!(
                slot.is_some_and(|slot| slot.head.is_active()),
                "the heap of looks holds {}, which is stopped or freed",
                entry.index
            );
        }
    }
}
