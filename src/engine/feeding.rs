//! Watchers made pending, asked whether they are, and made not to be; and called at once.
//!
//! A watcher is pending in one of several ways: by a note on the board, by a line of the kernel's report, by
//! a note for the next iteration, or by what it missed while its callback was on the stack. Whoever
//! forgets what a watcher is pending for forgets all of them.

use super::{Band, EvLoop, Head, Key, Kind, Pend};
use crate::event::Events;

pub(super) struct Waiting {
    pub(super) kind: Kind,
    pub(super) key: Key,
    pub(super) band: Band,
    pub(super) pend: Pend,
}

impl EvLoop {
    /// Makes a watcher pending, or adds to what it is pending for.
    pub(crate) fn feed(&mut self, kind: Kind, key: Key, events: Events) -> bool {
        if kind == Kind::Io && self.batch.is_open() {
            self.put_up_reports();
        }
        self.enqueue(kind, key, events)
    }

    /// [`feed`](Self::feed) for the loop's own events, which come while no reports are outstanding
    /// or while they are being put up.
    pub(crate) fn enqueue(&mut self, kind: Kind, key: Key, events: Events) -> bool {
        let Some(head) = self.head_mut(kind, key) else { return false };
        if head.pend.is_none() {
            head.queued_in = head.band;
            let band = head.band;
            let pend = self.board.push(band, kind, key.index, events);
            if let Some(head) = self.head_mut(kind, key) {
                head.pend = pend;
            }
        } else if head.pend.is_running() {
            head.pend = Pend::CALLED_AND_MISSED;
            match self.missed.iter_mut().find(|(k, other, _)| (*k, *other) == (kind, key)) {
                Some((_, _, collected)) => *collected |= events,
                None => self.missed.push((kind, key, events)),
            }
        } else {
            let (band, pend) = (head.queued_in, head.pend);
            self.board.join(band, pend, events);
        }
        true
    }

    pub(crate) fn feed_later(&mut self, kind: Kind, key: Key, events: Events) -> bool {
        let Some(head) = self.head_mut(kind, key) else { return false };
        let waits_already = head.has(Head::LATER);
        head.flags |= Head::LATER;
        let mut waiting = self.later.iter_mut();
        let known = if waits_already {
            waiting.find(|(k, other, _)| (*k, *other) == (kind, key))
        } else {
            None
        };
        match known {
            Some((_, _, collected)) => *collected |= events,
            None => self.later.push((kind, key, events)),
        }
        true
    }

    /// Forgets what a watcher is pending for, in whatever way it is pending.
    pub(crate) fn clear_pending(&mut self, kind: Kind, key: Key) -> Events {
        if kind == Kind::Io && self.batch.is_open() {
            self.put_up_reports();
        }
        let mut events = Events::NONE;
        if kind == Kind::Child && self.forget_changes(key) {
            events |= Events::CHILD;
        }
        #[cfg(feature = "stat")]
        if kind == Kind::Stat && self.forget_gathered(kind, key) {
            events |= Events::STAT;
        }
        events | self.unqueue(kind, key)
    }

    /// [`clear_pending`](Self::clear_pending) without the reports that are still in the kernel's
    /// array: for `stop`, whose watcher no report finds any more.
    #[inline]
    pub(crate) fn unqueue(&mut self, kind: Kind, key: Key) -> Events {
        let Some(head) = self.head_mut(kind, key) else { return Events::NONE };
        if head.pend.is_none() && !head.has(Head::LATER) {
            return Events::NONE;
        }
        let mut events = Events::NONE;
        let (band, pend, later) = (head.queued_in, head.pend, head.has(Head::LATER));
        head.flags &= !Head::LATER;
        if later {
            let place = self.later.iter().position(|(k, other, _)| (*k, *other) == (kind, key));
            events |= place.map_or(Events::NONE, |place| self.later.remove(place).2);
        }
        let Some(head) = self.head_mut(kind, key) else { return events };
        if pend.is_none() {
            return events;
        }
        if pend.is_running() {
            head.pend = Pend::CALLED;
            if pend.has_missed() {
                events |= self.take_missed(kind, key).unwrap_or_default();
                if let Some(waiting) = self.take_waiting(kind, key) {
                    if self.board.holds(waiting.band, waiting.pend, kind, key.index) {
                        events |= self.board.cancel(waiting.band, waiting.pend);
                    }
                }
            }
        } else {
            head.pend = Pend::NONE;
            events |= self.board.cancel(band, pend);
        }
        events
    }

    pub(super) fn take_missed(&mut self, kind: Kind, key: Key) -> Option<Events> {
        let place = self.missed.iter().position(|(k, other, _)| (*k, *other) == (kind, key))?;
        Some(self.missed.remove(place).2)
    }

    pub(super) fn take_waiting(&mut self, kind: Kind, key: Key) -> Option<Waiting> {
        let place = self.waiting.iter().rposition(|w| (w.kind, w.key) == (kind, key))?;
        Some(self.waiting.remove(place))
    }

    pub(crate) fn is_pending(&self, kind: Kind, key: Key) -> bool {
        let Some(head) = self.head(kind, key) else { return false };
        let waiting =
            if head.pend.is_running() { head.pend.has_missed() } else { !head.pend.is_none() };
        waiting
            || kind == Kind::Io && self.batch.is_open() && self.is_reported(key)
            || head.has(Head::LATER)
    }

    /// Changes the priority for events to come.
    pub(crate) fn set_band(&mut self, kind: Kind, key: Key, band: Band) -> Option<Band> {
        if kind == Kind::Io && self.batch.is_open() {
            // The open reports belong to one band, the present one.
            self.put_up_reports();
        }
        let head = self.head_mut(kind, key)?;
        Some(std::mem::replace(&mut head.band, band))
    }

    pub(crate) fn invoke(&mut self, kind: Kind, key: Key, events: Events) -> bool {
        if kind == Kind::Io && self.batch.is_open() {
            self.put_up_reports();
        }
        let Some(head) = self.head(kind, key) else { return false };
        let (band, pend) = (head.queued_in, head.pend);
        if pend.is_running() {
            return false;
        }
        if self.has(Self::MONITOR) {
            self.count_invoked(kind);
        }
        if pend.is_none() {
            self.call(kind, key, events, Pend::CALLED);
        } else {
            // What waits stays where it is and is found again when the callback returns.
            self.waiting.push(Waiting { kind, key, band, pend });
            self.call(kind, key, events, Pend::CALLED_AND_MISSED);
        }
        true
    }
}
