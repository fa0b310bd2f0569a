//! Looking at a loop from outside: self-check and `Debug`.

use std::fmt;

use super::tenants::{IoSlot, Kind};
use super::{EvLoop, Head, Key, Slots, with_slots};

impl EvLoop {
    /// Checks every internal invariant (`ev_verify`): the order of the heap, every back-pointer, the
    /// lists, the counts, and that no watched descriptor was closed.
    ///
    /// For tests and for hunting memory corruption. Takes time linear in the watchers; may be called
    /// from any callback.
    ///
    /// # Panics
    ///
    /// If one is broken, with a message that names it. That is a bug of this crate, save for a
    /// descriptor that was closed under the loop.
    pub fn verify(&self) {
        self.verify_timers();
        self.verify_fds();
        self.board.verify(|kind, index| {
            let key = with_slots!(self, kind, slots => slots.key_at(index));
            let waiting = self.waiting.iter().rfind(|w| (w.kind, w.key) == (kind, key));
            match waiting {
                Some(waiting) => Some((waiting.band, waiting.pend)),
                None => self.head(kind, key).map(|head| (head.queued_in, head.pend)),
            }
        });
        let counts = |head: &&Head| head.is_active() && !head.has(Head::EXEMPT);
        let refs: usize = self.heads().filter(|(_, _, head)| counts(head)).count();
        assert_eq!(refs, self.refs, "the count of references is off");
        let later = self.heads().filter(|(_, _, head)| head.has(Head::LATER)).count();
        assert_eq!(later, self.later.len(), "the list of events fed for later is off");
        for (kind, key, _) in &self.missed {
            let known = self.head(*kind, *key).is_some_and(|head| head.pend.has_missed());
            assert!(
                known,
                "events have collected for {kind:?} {}, which is not running",
                key.index
            );
        }
        self.verify_periodics();
        self.signals.verify();
        self.children.verify();
        #[cfg(feature = "stat")]
        self.verify_stats();
        let internals = self.ios.iter().filter(|(_, s)| s.head.has(IoSlot::INTERNAL)).count();
        assert_eq!(internals, self.internals, "the count of internal io watchers is off");
        let groups = [
            (&self.prepares, "prepare"),
            (&self.checks, "check"),
            (&self.idles, "idle"),
            (&self.fork_watchers, "fork"),
            (&self.cleanups, "cleanup"),
        ];
        for (group, name) in groups {
            verify_roster(&group.slots, |slot| (slot.head, slot.place), &group.roster, name);
        }
        verify_roster(&self.asyncs, |s| (s.head, s.place), &self.async_roster, "async");
    }

    fn heads(&self) -> impl Iterator<Item = (Kind, Key, &Head)> {
        Kind::ALL.iter().copied().flat_map(|kind| {
            let heads: Vec<_> = with_slots!(self, kind, slots => {
                slots.iter().map(|(key, slot)| (kind, key, &slot.head)).collect()
            });
            heads
        })
    }

    /// The started watchers, kind by kind, with the place each was created at.
    pub(crate) fn started(&self) -> impl Iterator<Item = (Kind, Key)> {
        let seen = |kind: Kind, head: &Head| kind != Kind::Io || !head.has(IoSlot::INTERNAL);
        self.heads()
            .filter(move |(kind, _, head)| head.is_active() && seen(*kind, head))
            .map(|(kind, key, _)| (kind, key))
    }
}

fn verify_roster<T>(
    slots: &Slots<T>,
    look: impl Fn(&T) -> (Head, u32),
    roster: &super::Roster,
    name: &str,
) {
    let active = slots.iter().filter(|(_, slot)| look(slot).0.is_active()).count();
    assert_eq!(active, roster.iter().count(), "the list of started {name} watchers is off");
    for (key, slot) in slots.iter() {
        let (head, place) = look(slot);
        assert!(
            !head.is_active() || roster.at(place as usize) == Some(key.index),
            "{name} watcher {} does not know its place in the list",
            key.index
        );
    }
}

/// One watcher that keeps a loop running.
struct Keeper {
    kind: Kind,
    index: u32,
    site: Option<&'static std::panic::Location<'static>>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.index)?;
        match self.site {
            Some(site) => write!(f, " from {}:{}", site.file(), site.line()),
            None => Ok(()),
        }
    }
}

/// Says what keeps the loop running: each active watcher that counts, in debug builds with the line
/// that created it.
impl fmt::Debug for EvLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keepers: Vec<_> = self
            .heads()
            .filter(|(_, _, head)| head.is_active() && !head.has(Head::EXEMPT))
            .map(|(kind, key, _)| Keeper {
                kind,
                index: key.index,
                site: with_slots!(self, kind, slots => slots.site(key.index)),
            })
            .collect();
        f.debug_struct("EvLoop")
            .field("backend", &self.backend)
            .field("iteration", &self.iteration)
            .field("depth", &self.depth)
            .field("pending", &self.pending_count())
            .field("deferred", &self.deferred.len())
            .field("kept_alive_by", &keepers)
            .finish_non_exhaustive()
    }
}
