//! Prepare: called once per iteration, just before the loop waits.
//!
//! For modules that bring events of their own: adjust watchers, flush what was gathered, bind in a
//! foreign loop. What a prepare callback starts, an idle watcher or a timer, counts for this wait.

use super::{plain_event, verbs};
use crate::engine::{Band, Head, Key, SimpleSlot};
use crate::{EvLoop, Kind};

const KIND: Kind = Kind::Prepare;

/// The key of a prepare watcher (`ev_prepare`).
///
/// ```
/// use evloop::{EvLoop, Run};
/// use std::{cell::Cell, rc::Rc};
///
/// let mut ev = EvLoop::new()?;
/// let rounds = Rc::new(Cell::new(0));
/// let seen = Rc::clone(&rounds);
/// ev.prepare(move |_, _| seen.set(seen.get() + 1)).start(&mut ev);
/// ev.run_mode(Run::NoWait)?;
/// assert_eq!(rounds.get(), 1);
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **The loop cannot be run from its callback** ([`ErrorKind::Nested`](crate::ErrorKind::Nested)).
/// * A started prepare watcher keeps the loop running, which then may wait for ever; most want
///   [`set_ref(false)`](Prepare::set_ref).
/// * One started by another's callback is first called in the next iteration.
/// * After a break in its callback the loop neither polls nor calls check watchers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prepare(Key);

plain_event!(PrepareEvent, Prepare, "prepare watcher");

impl EvLoop {
    /// Makes a prepare watcher (`ev_prepare_init`): called before every wait. It is not started yet.
    #[track_caller]
    pub fn prepare(
        &mut self,
        callback: impl FnMut(&mut EvLoop, PrepareEvent) + 'static,
    ) -> Prepare {
        let slot = SimpleSlot { cell: Cell::shared(callback), head: Head::new(), place: 0 };
        Prepare(self.prepares.slots.insert(slot))
    }
}

verbs!(Prepare, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.unqueue(KIND, key);
    if ev.deactivate(KIND, key) {
        let EvLoop { prepares, .. } = ev;
        let place = prepares.slots.get(key).map_or(0, |slot| slot.place);
        prepares.roster.remove(place, |index, place| {
            if let Some(slot) = prepares.slots.at_mut(index) {
                slot.place = place;
            }
        });
    }
    ev.prepares.slots.get(key).is_some()
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    stop_it(ev, key);
    ev.prepares.slots.remove(key).is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

impl Prepare {
    /// Starts the watcher, behind those of its kind that are started; no effect if it is started
    /// already.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn start(self, ev: &mut EvLoop) -> Self {
        let Some(slot) = ev.prepares.slots.get_mut(self.0) else { return self };
        if !slot.head.is_active() {
            slot.place = ev.prepares.roster.push(self.0.index);
            ev.activate(KIND, self.0);
        }
        self
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the watcher exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, PrepareEvent) + 'static,
    ) -> bool {
        let Some(slot) = ev.prepares.slots.get_mut(self.0) else { return false };
        slot.cell = Cell::shared(callback);
        true
    }
}
