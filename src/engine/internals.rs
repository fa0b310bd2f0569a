//! What the loop watches for itself: descriptors that stand for something else.
//!
//! A child's process descriptor and the clock's timer are io watchers like any other as far as the
//! kernel, forks and closed numbers are concerned; but nobody sees them, they keep no loop running, and
//! their cells are called while events are **gathered**, right after the wait. What they find out goes
//! on a list and into the queues at its kind's place in the order.

use std::rc::Rc;

use super::remote::GATHERED_OUTSIDE;
use super::tenants::{IoCallback, IoSlot, Kind};
use super::{EvLoop, Head, Key};
use crate::event::{Events, Interest};

impl EvLoop {
    /// Makes an internal io watcher, asking for readability.
    #[track_caller]
    pub(super) fn insert_internal(&mut self, cell: Rc<dyn IoCallback>) -> Key {
        let mut slot = IoSlot::new(cell, Interest::READ);
        slot.head.flags |= Head::EXEMPT | IoSlot::INTERNAL;
        self.internals += 1;
        self.note(Self::INTERNALS, true);
        self.ios.insert(slot)
    }

    /// An internal io watcher was freed.
    pub(super) fn forget_internal(&mut self) {
        self.internals -= 1;
        self.note(Self::INTERNALS, self.internals > 0);
    }

    /// Takes the internal reports out of the batch and calls those they are for.
    pub(super) fn attend_internals(&mut self) {
        let mut told = std::mem::take(&mut self.told);
        let Self { batch, fds, ios, .. } = self;
        batch.reports.retain(|report| {
            let Some(entry) = fds.get(report.fd) else { return true };
            let Some((key, slot)) = ios.at_mut_with_key(entry.head) else { return true };
            let ready = report.ready() & slot.data.interest;
            // Stale, closed or stopped: that is dealt with like any other watcher's.
            let ours = slot.head.flags & (Head::ACTIVE | IoSlot::INTERNAL)
                == Head::ACTIVE | IoSlot::INTERNAL
                && entry.generation == report.generation
                && !report.invalid()
                && !ready.is_empty();
            if ours {
                told.push(key);
            }
            !ours
        });
        for key in told.drain(..) {
            if let Some(slot) = self.ios.get(key) {
                Rc::clone(&slot.cell).call(self, key, Events::READ);
            }
        }
        self.told = told;
    }

    /// Something was found out, and is queued at its kind's place in the order: in this iteration if
    /// events are being gathered, else in the next, which [`gathered_outside`](Self::gathered_outside)
    /// must be told.
    pub(super) fn gather(&mut self, kind: Kind, key: Key, events: Events) {
        self.gathered.push((kind, key, events));
        self.note(Self::GATHERED, true);
    }

    /// Something may have been gathered while no wait had just ended: the next one shall not sleep, nor
    /// shall a host that waits for our descriptor.
    pub(super) fn gathered_outside(&self) {
        if self.has(Self::GATHERED) {
            self.shared.flag(GATHERED_OUTSIDE);
        }
    }

    /// What was gathered for a watcher is no longer wanted. Returns whether there was something.
    pub(super) fn forget_gathered(&mut self, kind: Kind, key: Key) -> bool {
        if !self.has(Self::GATHERED) {
            return false;
        }
        let before = self.gathered.len();
        self.gathered.retain(|(k, other, _)| (*k, *other) != (kind, key));
        self.note(Self::GATHERED, !self.gathered.is_empty());
        self.gathered.len() < before
    }

    /// Queues what was gathered for one kind of watcher.
    pub(super) fn queue_gathered(&mut self, wanted: Kind) {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.retain(|&(kind, key, events)| {
            if kind == wanted {
                self.enqueue(kind, key, events);
            }
            kind != wanted
        });
        // Queueing gathers nothing.
        self.gathered = gathered;
        self.note(Self::GATHERED, !self.gathered.is_empty());
    }
}
