//! The watchers of a simple kind: prepare, check, idle, fork, cleanup.

use super::{Key, Roster, SimpleSlot, Slots};

/// The watchers of one simple kind: slots, and those started, in start order.
pub(crate) struct Group {
    pub(crate) slots: Slots<SimpleSlot>,
    pub(crate) roster: Roster,
}

impl Group {
    pub(super) fn new(first_generation: u32) -> Self {
        Self { slots: Slots::new(first_generation), roster: Roster::default() }
    }

    /// A watcher is started.
    pub(crate) fn join(&mut self, key: Key) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.place = self.roster.push(key.index);
        }
    }

    /// A watcher is stopped.
    pub(crate) fn leave(&mut self, key: Key) {
        let Self { slots, roster } = self;
        let Some(slot) = slots.get(key) else { return };
        roster.remove(slot.place, |index, place| {
            if let Some(slot) = slots.at_mut(index) {
                slot.place = place;
            }
        });
    }
}
