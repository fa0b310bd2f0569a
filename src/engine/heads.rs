//! What all kinds of watchers share: whether one is started, pending, exempt, and whether it keeps the loop running.

use super::{Band, EvLoop, Key, Kind, Pend};

/// What every slot holds beside its cell.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) pend: Pend,
    /// The priority for the next event.
    pub(crate) band: Band,
    /// The band its entry stands in while it is pending.
    pub(crate) queued_in: Band,
    pub(crate) flags: u8,
}

impl Head {
    pub(crate) const ACTIVE: u8 = 1;
    /// Does not keep the loop running.
    pub(crate) const EXEMPT: u8 = 2;
    /// Io: the reports of this batch are not for it.
    pub(crate) const BLIND: u8 = 4;
    /// An event of `feed_later` waits for the next iteration.
    pub(crate) const LATER: u8 = 8;
    /// The bits from here on belong to the kind.
    pub(crate) const FIRST_OF_KIND: u8 = 16;

    pub(crate) fn new() -> Self {
        Self { pend: Pend::NONE, band: Band::DEFAULT, queued_in: Band::DEFAULT, flags: 0 }
    }

    #[inline]
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn put(&mut self, flag: u8, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }

    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.has(Self::ACTIVE)
    }
}

/// Runs a body with the slots of a kind known only at run time.
macro_rules! with_slots {
    (mut $ev:expr, $kind:expr, $slots:ident => $do:expr) => {
        with_slots!(@ (&mut) $ev, $kind, $slots => $do)
    };
    ($ev:expr, $kind:expr, $slots:ident => $do:expr) => {
        with_slots!(@ (&) $ev, $kind, $slots => $do)
    };
    (@ ($($by:tt)+) $ev:expr, $kind:expr, $slots:ident => $do:expr) => {
        match $kind {
            Kind::Io => {
                let $slots = $($by)+ $ev.ios;
                $do
            }
            Kind::Timer => {
                let $slots = $($by)+ $ev.timers;
                $do
            }
            Kind::Periodic => {
                let $slots = $($by)+ $ev.periodics.slots;
                $do
            }
            Kind::Signal => {
                let $slots = $($by)+ $ev.signals.slots;
                $do
            }
            Kind::Child => {
                let $slots = $($by)+ $ev.children.slots;
                $do
            }
            #[cfg(feature = "stat")]
            Kind::Stat => {
                let $slots = $($by)+ $ev.stats.slots;
                $do
            }
            Kind::Idle => {
                let $slots = $($by)+ $ev.idles.slots;
                $do
            }
            Kind::Prepare => {
                let $slots = $($by)+ $ev.prepares.slots;
                $do
            }
            Kind::Check => {
                let $slots = $($by)+ $ev.checks.slots;
                $do
            }
            Kind::Async => {
                let $slots = $($by)+ $ev.asyncs;
                $do
            }
            Kind::Fork => {
                let $slots = $($by)+ $ev.fork_watchers.slots;
                $do
            }
            Kind::Cleanup => {
                let $slots = $($by)+ $ev.cleanups.slots;
                $do
            }
        }
    };
}
pub(super) use with_slots;

impl EvLoop {
    #[inline]
    pub(crate) fn head(&self, kind: Kind, key: Key) -> Option<&Head> {
        with_slots!(self, kind, slots => slots.get(key).map(|slot| &slot.head))
    }

    #[inline]
    pub(crate) fn head_mut(&mut self, kind: Kind, key: Key) -> Option<&mut Head> {
        with_slots!(mut self, kind, slots => slots.get_mut(key).map(|slot| &mut slot.head))
    }

    #[inline]
    pub(crate) fn add_refs(&mut self, count: usize) {
        self.refs += count;
    }

    #[inline]
    pub(crate) fn drop_refs(&mut self, count: usize) {
        self.refs -= count;
    }

    /// Marks a stopped watcher as started.
    #[inline]
    pub(crate) fn activate(&mut self, kind: Kind, key: Key) {
        let Some(head) = self.head_mut(kind, key) else { return };
        head.flags |= Head::ACTIVE;
        let counted = usize::from(!head.has(Head::EXEMPT));
        self.refs += counted;
    }

    /// Marks a started watcher as stopped; says whether it was started.
    #[inline]
    pub(crate) fn deactivate(&mut self, kind: Kind, key: Key) -> bool {
        let Some(head) = self.head_mut(kind, key) else { return false };
        if !head.is_active() {
            return false;
        }
        head.flags &= !Head::ACTIVE;
        let counted = usize::from(!head.has(Head::EXEMPT));
        self.refs -= counted;
        true
    }

    pub(crate) fn set_exempt(&mut self, kind: Kind, key: Key, exempt: bool) {
        if kind == Kind::Cleanup {
            // A loop that waits for its own end would wait for ever.
            return;
        }
        let Some(head) = self.head_mut(kind, key) else { return };
        if head.has(Head::EXEMPT) == exempt {
            return;
        }
        head.put(Head::EXEMPT, exempt);
        match (head.is_active(), exempt) {
            (true, true) => self.refs -= 1,
            (true, false) => self.refs += 1,
            (false, _) => {}
        }
    }
}
