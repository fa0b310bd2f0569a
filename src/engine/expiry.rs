//! What has come due: the walk along a line of deadlines.
//!
//! There is one line per kind of watcher that waits for a moment: timers on the monotonic clock,
//! periodics on the wall clock, stat watchers that have to look from time to time. They differ in whose
//! slots stand behind the entries and in what happens to one that is due; the walk is the same.

use super::heap::Heap;
use super::{Deadline, EvLoop, NEVER};

/// A heap of deadlines, and what stands behind its entries.
pub(super) trait Line {
    fn heap(ev: &EvLoop) -> &Heap;
    fn heap_mut(ev: &mut EvLoop) -> &mut Heap;

    /// The deadline in the watcher's slot, which may be later than its entry says.
    fn true_deadline(ev: &EvLoop, entry: Deadline) -> Deadline;

    /// Has everything that is due taken out of the heap.
    fn take_due(ev: &mut EvLoop, now: u64, due: &mut Vec<Deadline>);

    /// Looks at what [`expire`](Line::expire) will need, so that it is in the cache by then.
    fn touch(ev: &EvLoop, entry: Deadline);

    /// Deals with a watcher that is due; returns its next deadline, if there is one. A next deadline
    /// that is `now` again must have a new ticket.
    fn expire(ev: &mut EvLoop, first: Deadline, now: u64) -> Option<Deadline>;
}

impl EvLoop {
    /// The first entry that is due by now, if there is one. Entries that have come up early are
    /// brought to their true places, and then those behind them too, until the first one is true: the
    /// next wait ends no earlier than it must.
    ///
    /// Not before an entry has come up. Where the timers that are pushed back are always the ones that
    /// would be due next, as with connections that are served in turn, that would be a sift per push.
    #[inline]
    pub(super) fn first_due<L: Line>(&mut self, now: u64) -> Option<Deadline> {
        let mut first = L::heap(self).first().filter(|first| first.due <= now)?;
        loop {
            let entry = L::true_deadline(self, first);
            // The ticket counts too: pushed back to the same moment it is behind its equals.
            if (entry.due, entry.ticket) <= (first.due, first.ticket) {
                return (first.due <= now && first.due != NEVER).then_some(first);
            }
            L::heap_mut(self).update(entry);
            first = L::heap(self).first()?;
        }
    }

    /// Expires whatever is due, earliest first.
    #[inline(never)]
    pub(super) fn expire_all<L: Line>(&mut self, now: u64) {
        // A repeater that is behind is due again at `now`. Its new ticket tells it from those that
        // were due when this pass began, so it waits for the next iteration. Drawing up to one
        // ticket per entry must not renumber in the middle.
        self.spare_tickets(L::heap(self).len());
        let first_new = self.next_ticket;
        // Popping costs a walk down the heap each. Where a good part of all entries is due at once, taking
        // them all out and sorting them is several times cheaper; it costs a look at every watcher, so it
        // must not be done for a few.
        let patience = 64 + L::heap(self).len() / 16;
        for _ in 0..patience {
            let Some(first) = self.first_due::<L>(now) else { return };
            if first.due == now && first.ticket >= first_new {
                return;
            }
            match L::expire(self, first, now) {
                Some(next) => L::heap_mut(self).update(next),
                None => _ = L::heap_mut(self).pop(),
            }
        }
        self.expire_many::<L>(now, first_new);
    }

    #[cold]
    fn expire_many<L: Line>(&mut self, now: u64, first_new: u32) {
        let mut due = std::mem::take(&mut self.due);
        L::take_due(self, now, &mut due);
        due.sort_unstable_by_key(|entry| entry.rank());
        for place in 0..due.len() {
            let entry = due[place];
            // Their slots are in no cache: see `touch_ahead`.
            if let Some(ahead) = due.get(place + 8) {
                L::touch(self, *ahead);
            }
            // Repeaters of this pass that are behind wait for the next iteration.
            if entry.due == now && entry.ticket >= first_new {
                L::heap_mut(self).insert(entry);
            } else if let Some(next) = L::expire(self, entry, now) {
                L::heap_mut(self).insert(next);
            }
        }
        due.clear();
        self.due = due;
    }
}
