//! Check: called once per iteration, right after the loop has waited.
//!
//! Queued before all other events of its priority and below, so a check watcher of priority 2 is the
//! first to run after the wait. The counterpart of [`Prepare`](crate::Prepare).

use super::{plain_event, verbs};
use crate::engine::{Band, Head, Key, SimpleSlot};
use crate::{EvLoop, Kind};

const KIND: Kind = Kind::Check;

/// The key of a check watcher (`ev_check`).
///
/// ```
/// use evloop::{EvLoop, Run};
///
/// let mut ev = EvLoop::new()?;
/// ev.check(|ev, _| assert_eq!(ev.iteration(), 1)).start(&mut ev);
/// ev.run_mode(Run::NoWait)?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **The loop cannot be run from its callback** ([`ErrorKind::Nested`](crate::ErrorKind::Nested)).
/// * A started check watcher keeps the loop running; most want
///   [`set_ref(false)`](Check::set_ref).
/// * Idle watchers run although check watchers are pending.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Check(Key);

plain_event!(CheckEvent, Check, "check watcher");

impl EvLoop {
    /// Makes a check watcher (`ev_check_init`): called after every wait. It is not started yet.
    #[track_caller]
    pub fn check(&mut self, callback: impl FnMut(&mut EvLoop, CheckEvent) + 'static) -> Check {
        let slot = SimpleSlot { cell: Cell::shared(callback), head: Head::new(), place: 0 };
        Check(self.checks.slots.insert(slot))
    }
}

verbs!(Check, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.unqueue(KIND, key);
    if ev.deactivate(KIND, key) {
        let EvLoop { checks, .. } = ev;
        let place = checks.slots.get(key).map_or(0, |slot| slot.place);
        checks.roster.remove(place, |index, place| {
            if let Some(slot) = checks.slots.at_mut(index) {
                slot.place = place;
            }
        });
    }
    ev.checks.slots.get(key).is_some()
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    stop_it(ev, key);
    ev.checks.slots.remove(key).is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

impl Check {
    /// Starts the watcher, behind those of its kind that are started; no effect if it is started
    /// already.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn start(self, ev: &mut EvLoop) -> Self {
        let Some(slot) = ev.checks.slots.get_mut(self.0) else { return self };
        if !slot.head.is_active() {
            slot.place = ev.checks.roster.push(self.0.index);
            ev.activate(KIND, self.0);
        }
        self
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the watcher exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, CheckEvent) + 'static,
    ) -> bool {
        let Some(slot) = ev.checks.slots.get_mut(self.0) else { return false };
        slot.cell = Cell::shared(callback);
        true
    }
}
