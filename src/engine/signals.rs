//! Signals: from the process's one action per signal (`sys::signal`) to the watchers of this loop.
//!
//! The action sets a bit in the loop's *seat* and the flag `SIGNALLED`; the loop takes the bits after its
//! wait and queues the watchers of each signal. A loop without signal watchers has no seat.
//!
//! The loop itself listens to `SIGCHLD` while it has child watchers that need it, beside whatever
//! watchers of that signal the program has.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::remote::{Ringer, SIGNALLED};
use super::tenants::{Kind, SignalSlot};
use super::{EvLoop, Key, Roster, Slots};
use crate::event::Events;
use crate::sys::signal::Seat;
use crate::{Error, ErrorKind, Result};

pub(crate) struct Signals {
    pub(crate) slots: Slots<SignalSlot>,
    /// From the first start on.
    seat: Option<Seat>,
    /// Those started, by signal.
    heard: BTreeMap<i32, Hearers>,
    /// Came, and not queued yet: bit n − 1 for signal n.
    arrived: u64,
}

#[derive(Default)]
struct Hearers {
    roster: Roster,
    /// The loop itself: how many of its child watchers need this.
    internal: usize,
}

impl Hearers {
    fn is_empty(&self) -> bool {
        self.roster.is_empty() && self.internal == 0
    }
}

impl Signals {
    pub(super) fn new(first_generation: u32) -> Self {
        let slots = Slots::new(first_generation);
        Self { slots, seat: None, heard: BTreeMap::new(), arrived: 0 }
    }

    fn has_arrived(&self, signum: i32) -> bool {
        self.arrived & bit(signum) != 0
    }

    pub(super) fn verify(&self) {
        for (key, slot) in self.slots.iter().filter(|(_, slot)| slot.head.is_active()) {
            let hearers = self.heard.get(&slot.signum);
            assert!(
                hearers.is_some_and(|h| h.roster.at(slot.place as usize) == Some(key.index)),
                "signal watcher {} does not know its place in the list",
                key.index
            );
        }
        let active = self.slots.iter().filter(|(_, slot)| slot.head.is_active()).count();
        let listed: usize = self.heard.values().map(|h| h.roster.iter().count()).sum();
        assert_eq!(active, listed, "the lists of started signal watchers are off");
    }
}

fn bit(signum: i32) -> u64 {
    u32::try_from(signum).ok().filter(|n| (1..=64).contains(n)).map_or(0, |n| 1 << (n - 1))
}

impl EvLoop {
    /// Has the process's action for a signal tell this loop.
    fn listen_for(&mut self, signum: i32) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let seat = self
            .signals
            .seat
            .get_or_insert_with(|| Seat::take(Arc::new(Ringer::new(shared, SIGNALLED))));
        seat.listen(signum, self.options.unblock_signals)
    }

    fn unlisten_if_unheard(&mut self, signum: i32) {
        let Signals { heard, seat, arrived, .. } = &mut self.signals;
        if heard.get(&signum).is_some_and(Hearers::is_empty) {
            heard.remove(&signum);
            *arrived &= !bit(signum);
            if let Some(seat) = seat {
                seat.unlisten(signum);
            }
        }
    }

    /// Starts a signal watcher.
    pub(crate) fn start_signal(&mut self, key: Key) -> Result<()> {
        const DOING: &str = "starting a signal watcher";
        let Some(slot) = self.signals.slots.get(key) else { return Err(Error::stale(DOING)) };
        if slot.head.is_active() {
            return Ok(());
        }
        let signum = slot.signum;
        self.be_unforked(DOING)?;
        self.listen_for(signum).map_err(|e| refused(DOING, e))?;
        let Signals { heard, slots, .. } = &mut self.signals;
        if let Some(slot) = slots.get_mut(key) {
            slot.place = heard.entry(signum).or_default().roster.push(key.index);
        }
        self.activate(Kind::Signal, key);
        Ok(())
    }

    /// Stops a signal watcher; returns whether it exists.
    pub(crate) fn stop_signal(&mut self, key: Key) -> bool {
        self.unqueue(Kind::Signal, key);
        if self.deactivate(Kind::Signal, key) {
            let Signals { heard, slots, .. } = &mut self.signals;
            let Some(slot) = slots.get(key) else { return false };
            let (signum, place) = (slot.signum, slot.place);
            if let Some(hearers) = heard.get_mut(&signum) {
                hearers.roster.remove(place, |index, place| {
                    if let Some(slot) = slots.at_mut(index) {
                        slot.place = place;
                    }
                });
            }
            self.unlisten_if_unheard(signum);
        }
        self.signals.slots.get(key).is_some()
    }

    /// The loop itself wants to be told of `SIGCHLD`.
    pub(super) fn listen_for_children(&mut self) -> io::Result<()> {
        self.listen_for(libc::SIGCHLD)?;
        self.signals.heard.entry(libc::SIGCHLD).or_default().internal += 1;
        Ok(())
    }

    pub(super) fn unlisten_for_children(&mut self) {
        if let Some(hearers) = self.signals.heard.get_mut(&libc::SIGCHLD) {
            hearers.internal = hearers.internal.saturating_sub(1);
        }
        self.unlisten_if_unheard(libc::SIGCHLD);
    }

    /// Takes what signals have come.
    #[inline(never)]
    pub(super) fn gather_signals(&mut self) {
        let Some(seat) = &self.signals.seat else { return };
        for signum in seat.take_pending() {
            self.signals.arrived |= bit(signum);
        }
        if self.signals.has_arrived(libc::SIGCHLD) {
            self.gather_children();
        }
        // What was for the loop alone is dealt with, and no news to a watcher that is started later.
        let Signals { heard, arrived, .. } = &mut self.signals;
        let hearers = heard.iter().filter(|(_, hearers)| !hearers.roster.is_empty());
        *arrived &= hearers.map(|(signum, _)| bit(*signum)).fold(0, |all, bit| all | bit);
    }

    /// Whether a signal that has come is to be queued for somebody.
    pub(super) fn has_signals(&self) -> bool {
        self.signals.arrived != 0
    }

    /// Queues the watchers of the signals that have come, by number.
    pub(super) fn queue_signals(&mut self) {
        let mut arrived = std::mem::take(&mut self.signals.arrived);
        while arrived != 0 {
            self.feed_signal(arrived.trailing_zeros() as i32 + 1);
            arrived &= arrived - 1;
        }
    }

    /// Makes every started watcher of a signal in this loop pending, as if it had been delivered
    /// (`ev_feed_signal_event`). A number without watchers has no effect. Not for signal handlers: those
    /// have [`Notifier`](crate::Notifier).
    pub fn feed_signal(&mut self, signum: i32) {
        let mut place = 0;
        while let Some(hearers) = self.signals.heard.get(&signum) {
            if place >= hearers.roster.end() {
                break;
            }
            if let Some(index) = hearers.roster.at(place) {
                self.queue(Kind::Signal, index, Events::SIGNAL);
            }
            place += 1;
        }
    }

    /// In a forked child: what the action sets from now on is for this process.
    pub(super) fn adopt_seat(&mut self) {
        if let Some(seat) = &self.signals.seat {
            // Rings if something is pending.
            seat.adopt();
        }
    }

    /// The loop is being dropped: nobody listens any more.
    pub(super) fn leave_seat(&mut self) {
        self.signals.seat = None;
    }
}

fn refused(doing: &'static str, e: io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::InvalidInput => ErrorKind::InvalidInput,
        _ => ErrorKind::Register,
    };
    Error::os(kind, doing, e)
}
