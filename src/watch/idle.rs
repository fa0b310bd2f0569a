//! Idle: called when there is nothing better to do.
//!
//! In an iteration in which nothing is pending at its priority or above. As long as one is started the
//! loop does not sleep.

use super::{plain_event, verbs};
use crate::engine::{Band, Head, Key, SimpleSlot};
use crate::{EvLoop, Kind};

const KIND: Kind = Kind::Idle;

/// The key of an idle watcher (`ev_idle`).
///
/// ```
/// use evloop::EvLoop;
///
/// let mut ev = EvLoop::new()?;
/// let mut left = 1000; // a long computation, one slice per iteration
/// ev.idle(move |ev, e| {
///     left -= 1;
///     if left == 0 {
///         e.watcher.stop(ev);
///     }
/// })
/// .start(&mut ev);
/// ev.run()?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **A started idle watcher keeps the loop from sleeping**, even if events of higher priority keep
///   it from ever being called.
/// * Only the highest priority that has idle watchers is served, and only if nothing but check watchers
///   is pending there or above: lower ones are locked out as long as it has any.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Idle(Key);

plain_event!(IdleEvent, Idle, "idle watcher");

impl EvLoop {
    /// Makes an idle watcher (`ev_idle_init`): called while nothing of its priority or above is
    /// pending. It is not started yet.
    #[track_caller]
    pub fn idle(&mut self, callback: impl FnMut(&mut EvLoop, IdleEvent) + 'static) -> Idle {
        let slot = SimpleSlot { cell: Cell::shared(callback), head: Head::new(), place: 0 };
        Idle(self.idles.insert(slot))
    }
}

verbs!(Idle, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.unqueue(KIND, key);
    if ev.deactivate(KIND, key) {
        leave_roster(ev, key);
        ev.active_idles -= 1;
    }
    ev.idles.get(key).is_some()
}

fn leave_roster(ev: &mut EvLoop, key: Key) {
    let EvLoop { idles, idle_rosters, .. } = ev;
    let Some(slot) = idles.get(key) else { return };
    let (band, place) = (slot.head.band, slot.place);
    idle_rosters[band.index()].remove(place, |index, place| {
        if let Some(slot) = idles.at_mut(index) {
            slot.place = place;
        }
    });
}

fn join_roster(ev: &mut EvLoop, key: Key) {
    let Some(slot) = ev.idles.get_mut(key) else { return };
    slot.place = ev.idle_rosters[slot.head.band.index()].push(key.index);
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    stop_it(ev, key);
    ev.idles.remove(key).is_some()
}

/// Each priority has a list of its own.
fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    let active = ev.head(KIND, key).is_some_and(|head| head.is_active() && head.band != band);
    if active {
        leave_roster(ev, key);
    }
    ev.set_band(KIND, key, band);
    if active {
        join_roster(ev, key);
    }
}

impl Idle {
    /// Starts the watcher, behind those of its priority that are started; no effect if it is started
    /// already.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn start(self, ev: &mut EvLoop) -> Self {
        if ev.idles.get(self.0).is_some_and(|slot| !slot.head.is_active()) {
            join_roster(ev, self.0);
            ev.activate(KIND, self.0);
            ev.active_idles += 1;
        }
        self
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the watcher exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, IdleEvent) + 'static,
    ) -> bool {
        let Some(slot) = ev.idles.get_mut(self.0) else { return false };
        slot.cell = Cell::shared(callback);
        true
    }
}
