//! The heap of deadlines: an indexed 4-ary heap of 16-byte entries.
//!
//! The deadline stands in the entry, so a comparison never touches the watcher, and four children
//! share a cache line. Where each watcher's entry stands is kept in a dense vector beside the heap
//! rather than in the watcher: sifting writes one of these per level, and a vector of 4 bytes a
//! watcher stays in the cache where the watchers do not.
//!
//! Entries order by deadline, then by the *ticket* drawn when the timer was last started or
//! re-armed, so equal deadlines come in start order. Tickets are 32 bits; before they run out the
//! owner renumbers ([`Heap::rewrite`]).
//!
//! An entry may be **early**: its watcher's true deadline lies later (`again` wrote only the
//! watcher). The owner moves such an entry with [`Heap::update`] when it comes up.

/// What the heap holds. The fields stand so that `rank` is two plain loads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Deadline {
    pub(crate) due: u64,
    pub(crate) index: u32,
    pub(crate) ticket: u32,
}

impl Deadline {
    /// One number to compare: a subtraction with borrow, no branches. The index decides nothing, since
    /// no two entries have a ticket in common, but with it the lower half is what stands in memory.
    #[inline]
    pub(crate) fn rank(self) -> u128 {
        let lower = u64::from(self.ticket) << 32 | u64::from(self.index);
        u128::from(self.due) << 64 | u128::from(lower)
    }
}

pub(crate) struct Heap {
    /// The first `PAD` are no entries; the root stands at `PAD`.
    entries: Vec<Deadline>,
    /// Place of each watcher's entry, by the watcher's index; `ABSENT` for none.
    places: Vec<u32>,
}

const ARITY: usize = 4;
const ABSENT: u32 = u32::MAX;

/// Large allocations begin 16 bytes behind a multiple of 64. With two places left free, the four
/// children of an entry share one cache line there, and not two halves.
const PAD: usize = 2;
const NO_ENTRY: Deadline = Deadline { due: 0, ticket: 0, index: ABSENT };

impl Default for Heap {
    fn default() -> Self {
        Self { entries: vec![NO_ENTRY; PAD], places: Vec::new() }
    }
}

impl Heap {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.len() == PAD
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - PAD
    }

    #[inline]
    pub(crate) fn first(&self) -> Option<Deadline> {
        self.entries.get(PAD).copied()
    }

    /// The entry of a watcher.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<Deadline> {
        let place = *self.places.get(index as usize)?;
        self.entries.get(place as usize).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Deadline> + '_ {
        self.entries[PAD..].iter().copied()
    }

    pub(crate) fn insert(&mut self, deadline: Deadline) {
        if self.places.len() <= deadline.index as usize {
            self.places.resize(deadline.index as usize + 1, ABSENT);
        }
        self.entries.push(deadline);
        self.sift_up(self.entries.len() - 1, deadline);
    }

    /// Takes a watcher's entry out; `false` if there is none.
    pub(crate) fn remove(&mut self, index: u32) -> bool {
        let Some(place) = self.places.get_mut(index as usize) else { return false };
        let place = std::mem::replace(place, ABSENT) as usize;
        if place >= self.entries.len() {
            return false;
        }
        let removed = self.entries.swap_remove(place);
        if let Some(&moved) = self.entries.get(place) {
            // The last entry may come from another branch, so it can belong above as well.
            if moved.rank() < removed.rank() {
                self.sift_up(place, moved);
            } else {
                self.sift_down(place, moved);
            }
        }
        true
    }

    /// Takes the first entry out.
    pub(crate) fn pop(&mut self) -> Option<Deadline> {
        let first = self.first()?;
        self.places[first.index as usize] = ABSENT;
        let last = self.entries.pop()?;
        if !self.is_empty() {
            self.sink_to_the_bottom_and_rise(last);
        }
        Some(first)
    }

    /// Gives a watcher's entry another deadline.
    pub(crate) fn update(&mut self, deadline: Deadline) {
        let Some(&place) = self.places.get(deadline.index as usize) else { return };
        let Some(old) = self.entries.get(place as usize).copied() else { return };
        if deadline.rank() < old.rank() {
            self.sift_up(place as usize, deadline);
        } else {
            self.sift_down(place as usize, deadline);
        }
    }

    /// Replaces every entry and orders them anew.
    pub(crate) fn rewrite(&mut self, mut with: impl FnMut(Deadline) -> Deadline) {
        for entry in &mut self.entries[PAD..] {
            *entry = with(*entry);
        }
        // A sorted array is a heap.
        self.entries[PAD..].sort_unstable_by_key(|entry| entry.rank());
        for (place, entry) in self.entries.iter().enumerate().skip(PAD) {
            self.places[entry.index as usize] = place as u32;
        }
    }

    /// Gives every entry a new ticket, from `next` on, in their present order.
    pub(crate) fn renumber(&mut self, next: &mut u32) {
        self.rewrite(|entry| entry);
        // It is sorted now.
        self.rewrite(|entry| {
            let ticket = *next;
            *next += 1;
            Deadline { ticket, ..entry }
        });
    }

    /// Takes out, in no order, every entry that is due, as `true_deadline` says what each really is; the
    /// others stay, with their true deadlines. Takes time linear in the size of the heap.
    pub(crate) fn take_due(
        &mut self,
        now: u64,
        taken: &mut Vec<Deadline>,
        mut true_deadline: impl FnMut(Deadline) -> Deadline,
    ) {
        let Self { entries, places } = self;
        entries.retain_mut(|entry| {
            if entry.index == ABSENT {
                return true;
            }
            *entry = true_deadline(*entry);
            let stays = entry.due > now;
            if !stays {
                places[entry.index as usize] = ABSENT;
                taken.push(*entry);
            }
            stays
        });
        self.heapify();
    }

    /// Orders the entries anew, in linear time.
    fn heapify(&mut self) {
        for (place, entry) in self.entries.iter().enumerate().skip(PAD) {
            self.places[entry.index as usize] = place as u32;
        }
        let parents = self.len().saturating_sub(1).div_ceil(ARITY);
        for place in (PAD..PAD + parents).rev() {
            self.sift_down(place, self.entries[place]);
        }
    }

    #[inline]
    fn put(&mut self, place: usize, deadline: Deadline) {
        self.entries[place] = deadline;
        self.places[deadline.index as usize] = place as u32;
    }

    fn sift_up(&mut self, mut place: usize, deadline: Deadline) {
        while place > PAD {
            let parent = parent_of(place);
            let above = self.entries[parent];
            if above.rank() <= deadline.rank() {
                break;
            }
            self.put(place, above);
            place = parent;
        }
        self.put(place, deadline);
    }

    fn sift_down(&mut self, mut place: usize, deadline: Deadline) {
        while let Some((child, below)) = self.least_child(place) {
            if deadline.rank() <= below.rank() {
                break;
            }
            self.put(place, below);
            place = child;
        }
        self.put(place, deadline);
    }

    /// `sift_down` from the top for an entry that comes from the bottom and so almost surely goes
    /// back there: not comparing it on the way saves a comparison and a misprediction per level.
    fn sink_to_the_bottom_and_rise(&mut self, deadline: Deadline) {
        let mut place = PAD;
        while let Some((child, below)) = self.least_child(place) {
            self.put(place, below);
            place = child;
        }
        self.sift_up(place, deadline);
    }

    #[inline]
    fn least_child(&self, place: usize) -> Option<(usize, Deadline)> {
        let first = (place - PAD) * ARITY + 1 + PAD;
        if let Some(&[a, b, c, d]) = self.entries.get(first..first + ARITY) {
            // A tournament of two rounds, written to compile to conditional moves.
            let left = if b.rank() < a.rank() { (first + 1, b) } else { (first, a) };
            let right = if d.rank() < c.rank() { (first + 3, d) } else { (first + 2, c) };
            return Some(if right.1.rank() < left.1.rank() { right } else { left });
        }
        let rest = self.entries.get(first..)?;
        let (offset, least) = rest.iter().enumerate().min_by_key(|(_, e)| e.rank())?;
        Some((first + offset, *least))
    }

    pub(crate) fn verify(&self) {
        for (place, entry) in self.entries.iter().enumerate().skip(PAD) {
            if place > PAD {
                let above = self.entries[parent_of(place)];
                assert!(above.rank() <= entry.rank(), "heap order is broken at {place}");
            }
            assert_eq!(
                self.places[entry.index as usize] as usize, place,
                "timer {} does not know its place in the heap",
                entry.index
            );
        }
        let placed = self.places.iter().filter(|place| **place != ABSENT).count();
        assert_eq!(placed, self.len(), "a timer claims a place it does not have");
    }
}

fn parent_of(place: usize) -> usize {
    (place - PAD - 1) / ARITY + PAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn deadline(due: u64, ticket: u32, index: u32) -> Deadline {
        Deadline { due, ticket, index }
    }

    #[test]
    fn equal_deadlines_come_in_ticket_order() {
        let mut heap = Heap::default();
        for (ticket, index) in [(3, 0), (1, 1), (2, 2), (0, 3)] {
            heap.insert(deadline(5, ticket, index));
        }
        let order: Vec<_> = std::iter::from_fn(|| heap.pop()).map(|d| d.ticket).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn the_latest_deadline_does_not_overflow_the_rank() {
        let mut heap = Heap::default();
        heap.insert(deadline(u64::MAX, 0, 0));
        heap.insert(deadline(u64::MAX - 1, u32::MAX, 1));
        assert_eq!(heap.pop().unwrap().index, 1);
    }

    proptest! {
        #[test]
        fn what_is_due_is_taken_out_and_the_rest_stays_a_heap(
            dues in prop::collection::vec(0..100u64, 0..300),
            now in 0..100u64,
        ) {
            let mut heap = Heap::default();
            for (index, due) in dues.iter().enumerate() {
                heap.insert(deadline(*due, index as u32, index as u32));
            }
            let mut taken = Vec::new();
            // Every seventh has been pushed back by fifty.
            let push_back = |d: Deadline| {
                let due = if d.index % 7 == 0 { d.due + 50 } else { d.due };
                Deadline { due, ..d }
            };
            heap.take_due(now, &mut taken, push_back);
            heap.verify();
            prop_assert_eq!(taken.len() + heap.len(), dues.len());
            prop_assert!(taken.iter().all(|d| d.due <= now));
            prop_assert!(heap.iter().all(|d| d.due > now));
        }

        #[test]
        fn it_agrees_with_a_sorted_map(ops in prop::collection::vec((0..4u8, 0..24u32, 0..50u64), 0..400)) {
            let mut heap = Heap::default();
            let mut model: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
            for (ticket, (op, index, due)) in ops.into_iter().enumerate() {
                let entry = deadline(due, ticket as u32, index);
                match (op, model.contains_key(&index)) {
                    (0 | 1, false) => {
                        heap.insert(entry);
                        model.insert(index, (due, ticket as u32));
                    }
                    (1, true) => {
                        heap.update(entry);
                        model.insert(index, (due, ticket as u32));
                    }
                    (2, known) => {
                        prop_assert_eq!(heap.remove(index), known);
                        model.remove(&index);
                    }
                    (3, _) => {
                        let least = model.iter().map(|(i, k)| (*k, *i)).min();
                        prop_assert_eq!(heap.pop().map(|d| ((d.due, d.ticket), d.index)), least);
                        if let Some((_, i)) = least {
                            model.remove(&i);
                        }
                    }
                    _ => {}
                }
                heap.verify();
                prop_assert_eq!(heap.len(), model.len());
            }
        }
    }
}
