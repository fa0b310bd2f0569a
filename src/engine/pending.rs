//! The board: what waits to be called, in five bands by priority, first in, first out.
//!
//! An entry names a watcher and the events for it. The watcher's slot holds a [`Pend`] that names
//! the entry, so a second event joins the first (`feed` on a pending watcher) and `stop` takes the
//! entry down, both in O(1). An entry taken down leaves a blank that dispatch skips.

use std::cell::Cell;
use std::collections::VecDeque;

use super::tenants::Kind;
use crate::Events;

/// A priority as an index: 0 for −2 … 4 for +2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Band(u8);

impl Band {
    pub(crate) const COUNT: usize = 5;
    pub(crate) const DEFAULT: Self = Self(2);
    pub(crate) const TOP: Self = Self(4);
    pub(crate) const ALL_DOWN: [Self; 5] = [Self(4), Self(3), Self(2), Self(1), Self(0)];

    pub(crate) fn of(priority: i8) -> Self {
        Self((priority.clamp(-2, 2) + 2) as u8)
    }

    pub(crate) fn priority(self) -> i8 {
        self.0 as i8 - 2
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a watcher's slot knows of its place on the board: one word, three states.
///
/// * nothing waits;
/// * an entry waits at a position of a band (the band is in the slot too: a priority changed
///   while pending counts from the next event);
/// * the callback is on the stack. Events that arrive meanwhile collect in the loop's `missed`
///   list and are put up when it returns, because a running watcher is never entered again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Pend(u32);

impl Pend {
    pub(crate) const NONE: Self = Self(0);
    const QUEUED: u32 = 1 << 31;
    const RUNNING: u32 = 1 << 30;
    /// While running: events have collected.
    const MISSED: u32 = 1;
    /// Positions count modulo this, which also bounds how much one band can hold.
    const MODULUS: u32 = 1 << 31;

    pub(crate) const CALLED: Self = Self(Self::RUNNING);
    pub(crate) const CALLED_AND_MISSED: Self = Self(Self::RUNNING | Self::MISSED);

    fn at(position: u32) -> Self {
        Self(Self::QUEUED | position)
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) fn is_running(self) -> bool {
        self.0 & (Self::QUEUED | Self::RUNNING) == Self::RUNNING
    }

    #[inline]
    pub(crate) fn has_missed(self) -> bool {
        self == Self::CALLED_AND_MISSED
    }

    fn position(self) -> Option<u32> {
        (self.0 & Self::QUEUED != 0).then_some(self.0 & !Self::QUEUED)
    }
}

/// One note on the board.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) what: What,
    pub(crate) index: u32,
    pub(crate) events: Events,
}

/// Whom a note is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Nobody: it was taken down.
    Blank,
    /// The oldest posted closure. No watcher, so it is not counted among them.
    Posted,
    Watcher(Kind),
}

/// A place between two entries of a band.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mark(u32);

pub(crate) struct Board {
    bands: [Queue; Band::COUNT],
    /// One bit per band that may hold an entry, and [`Board::ATTENTION`] above them, so that the hot
    /// path has one thing to look at between two calls.
    ready: Cell<u8>,
    /// Entries that are no blanks and name a watcher.
    live: usize,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Position of the front entry, modulo `Pend::MODULUS`.
    base: u32,
}

impl Queue {
    fn place(&self, position: u32) -> usize {
        (position.wrapping_sub(self.base) & (Pend::MODULUS - 1)) as usize
    }
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { bands: Default::default(), ready: Cell::new(0), live: 0 }
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    const ATTENTION: u8 = 1 << 7;

    /// Whether something is ready above a band, or attention was asked for.
    #[inline]
    pub(crate) fn interrupts(&self, band: Band) -> bool {
        self.ready.get() >> band.0 > 1
    }

    /// Asks the hot path to stop after the present call; through a shared borrow, because it is asked
    /// for by questions.
    pub(crate) fn ask_attention(&self) {
        self.ready.set(self.ready.get() | Self::ATTENTION);
    }

    pub(crate) fn take_attention(&self) -> bool {
        let ready = self.ready.get();
        self.ready.set(ready & !Self::ATTENTION);
        ready & Self::ATTENTION != 0
    }

    /// The highest band that may hold an entry.
    #[inline]
    pub(crate) fn top(&self) -> Option<Band> {
        let ready = self.ready.get() & !Self::ATTENTION;
        (ready != 0).then(|| Band(u32::from(ready).ilog2() as u8))
    }

    /// Puts up a note and returns where. Positions repeat after 2³¹ entries in one band; two live
    /// ones cannot meet, since that many entries are 24 GB.
    pub(crate) fn push(&mut self, band: Band, kind: Kind, index: u32, events: Events) -> Pend {
        let Mark(end) = self.end(band);
        let entry = Entry { what: What::Watcher(kind), index, events };
        self.bands[band.index()].entries.push_back(entry);
        self.set_ready(band);
        self.live += 1;
        Pend::at(end & (Pend::MODULUS - 1))
    }

    /// Puts up a note before all others of its band, whose positions stay as they are.
    pub(crate) fn push_front(&mut self, band: Band, entry: Entry) -> Pend {
        self.set_ready(band);
        self.live += usize::from(matches!(entry.what, What::Watcher(_)));
        let queue = &mut self.bands[band.index()];
        queue.base = queue.base.wrapping_sub(1);
        queue.entries.push_front(entry);
        Pend::at(queue.base & (Pend::MODULUS - 1))
    }

    /// Puts up a note for a posted closure.
    pub(crate) fn push_posted(&mut self) {
        let entry = Entry { what: What::Posted, index: 0, events: Events::NONE };
        self.bands[Band::TOP.index()].entries.push_back(entry);
        self.set_ready(Band::TOP);
    }

    /// Whether a band holds anything but notes for check watchers.
    pub(crate) fn is_busy(&self, band: Band) -> bool {
        let idle = |what| matches!(what, What::Blank | What::Watcher(Kind::Check));
        self.bands[band.index()].entries.iter().any(|entry| !idle(entry.what))
    }

    /// Adds events to a waiting note.
    pub(crate) fn join(&mut self, band: Band, pend: Pend, events: Events) {
        if let Some(entry) = self.entry_mut(band, pend) {
            entry.events |= events;
        }
    }

    /// Takes some events off a waiting note; returns whether none is left, in which case the note
    /// is taken down.
    pub(crate) fn narrow(&mut self, band: Band, pend: Pend, lost: Events) -> bool {
        let Some(entry) = self.entry_mut(band, pend) else { return true };
        let took = entry.events.intersects(lost);
        entry.events = entry.events - lost;
        // An event may be fed with no bits at all; that one stays.
        let gone = took && entry.events.is_empty();
        if gone {
            self.cancel(band, pend);
        }
        gone
    }

    /// Takes a note down; returns its events.
    pub(crate) fn cancel(&mut self, band: Band, pend: Pend) -> Events {
        let Some(entry) = self.entry_mut(band, pend) else { return Events::NONE };
        entry.what = What::Blank;
        let events = entry.events;
        self.live -= 1;
        events
    }

    /// Whether a note still waits at its position.
    pub(crate) fn holds(&self, band: Band, pend: Pend, kind: Kind, index: u32) -> bool {
        let queue = &self.bands[band.index()];
        let entry = pend.position().and_then(|position| queue.entries.get(queue.place(position)));
        entry.is_some_and(|e| e.what == What::Watcher(kind) && e.index == index)
    }

    fn entry_mut(&mut self, band: Band, pend: Pend) -> Option<&mut Entry> {
        let queue = &mut self.bands[band.index()];
        let place = queue.place(pend.position()?);
        queue.entries.get_mut(place)
    }

    /// A note some places behind the front of a band, if the band is at least `many` long.
    #[inline]
    pub(crate) fn ahead(&self, band: Band, places: usize, many: usize) -> Option<Entry> {
        let entries = &self.bands[band.index()].entries;
        if entries.len() < many { None } else { entries.get(places).copied() }
    }

    /// Takes the oldest note of a band.
    #[inline]
    pub(crate) fn pop(&mut self, band: Band) -> Option<Entry> {
        let queue = &mut self.bands[band.index()];
        while let Some(entry) = queue.entries.pop_front() {
            queue.base = queue.base.wrapping_add(1);
            if entry.what != What::Blank {
                self.live -= usize::from(entry.what != What::Posted);
                return Some(entry);
            }
        }
        self.ready.set(self.ready.get() & !(1 << band.0));
        None
    }

    /// The place behind everything that stands in a band now.
    pub(crate) fn end(&self, band: Band) -> Mark {
        let queue = &self.bands[band.index()];
        Mark(queue.base.wrapping_add(queue.entries.len() as u32))
    }

    /// Whether something to call still stands before a mark. Blanks on the way are swept.
    pub(crate) fn has_before(&mut self, band: Band, mark: Mark) -> bool {
        let queue = &mut self.bands[band.index()];
        while queue.base != mark.0 {
            match queue.entries.front() {
                Some(Entry { what: What::Blank, .. }) => {
                    queue.entries.pop_front();
                    queue.base = queue.base.wrapping_add(1);
                }
                Some(_) => return true,
                None => return false,
            }
        }
        false
    }

    /// A band has been worked off, as far as the caller knows.
    #[inline]
    pub(crate) fn settle(&mut self, band: Band) {
        if self.bands[band.index()].entries.is_empty() {
            self.ready.set(self.ready.get() & !(1 << band.0));
        }
    }

    /// Says that a band has something to call although no entry says so.
    pub(crate) fn set_ready(&mut self, band: Band) {
        self.ready.set(self.ready.get() | 1 << band.0);
    }

    pub(crate) fn verify(&self, mut pend_of: impl FnMut(Kind, u32) -> Option<(Band, Pend)>) {
        let mut live = 0;
        for (number, queue) in self.bands.iter().enumerate() {
            let band = Band(number as u8);
            for (offset, entry) in queue.entries.iter().enumerate() {
                if entry.what == What::Blank {
                    continue;
                }
                assert!(
                    self.ready.get() & 1 << band.0 != 0,
                    "{band:?} holds entries but is not ready"
                );
                let What::Watcher(kind) = entry.what else { continue };
                live += 1;
                let slot = pend_of(kind, entry.index);
                let position = queue.base.wrapping_add(offset as u32) & (Pend::MODULUS - 1);
                assert!(
                    slot == Some((band, Pend::at(position))),
                    "entry {offset} of {band:?} names {kind:?} {}, whose slot says {slot:?}",
                    entry.index
                );
            }
        }
        assert_eq!(live, self.live, "the count of pending watchers is off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_first_in_first_out_and_skips_what_was_cancelled() {
        let mut board = Board::new();
        let notes: Vec<_> =
            (0..4).map(|i| board.push(Band::DEFAULT, Kind::Timer, i, Events::TIMER)).collect();
        board.join(Band::DEFAULT, notes[2], Events::CUSTOM);
        assert_eq!(board.cancel(Band::DEFAULT, notes[0]), Events::TIMER);
        assert_eq!(board.live(), 3);
        let end = board.end(Band::DEFAULT);
        assert!(board.has_before(Band::DEFAULT, end));
        let order: Vec<_> =
            std::iter::from_fn(|| board.pop(Band::DEFAULT)).map(|e| (e.index, e.events)).collect();
        let both = Events::TIMER | Events::CUSTOM;
        assert_eq!(order, [(1, Events::TIMER), (2, both), (3, Events::TIMER)]);
        assert_eq!((board.live(), board.ready.get()), (0, 0));
    }

    #[test]
    fn the_highest_band_is_on_top() {
        let mut board = Board::new();
        for priority in [-2, 1, 0] {
            board.push(Band::of(priority), Kind::Timer, 0, Events::TIMER);
        }
        assert_eq!(board.top().map(Band::priority), Some(1));
    }

    #[test]
    fn positions_survive_their_own_wrap() {
        let mut board = Board::new();
        board.bands[Band::DEFAULT.index()].base = Pend::MODULUS - 1;
        let notes = [(); 3].map(|()| board.push(Band::DEFAULT, Kind::Timer, 9, Events::TIMER));
        board.cancel(Band::DEFAULT, notes[2]);
        board.pop(Band::DEFAULT);
        board.join(Band::DEFAULT, notes[1], Events::CUSTOM);
        let entry = board.pop(Band::DEFAULT).unwrap();
        assert_eq!(entry.events, Events::TIMER | Events::CUSTOM);
        assert!(board.pop(Band::DEFAULT).is_none());
    }
}
