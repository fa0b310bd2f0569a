//! Cleanup: called when the loop is dropped.

use super::{plain_event, verbs};
use crate::engine::{Band, Head, Key, SimpleSlot};
use crate::{EvLoop, Kind};

const KIND: Kind = Kind::Cleanup;

/// The key of a cleanup watcher (`ev_cleanup`).
///
/// Called when the loop is dropped, while it still works: for modules that keep something outside the
/// loop and are not told otherwise that it ends. It keeps no loop running.
///
/// ```
/// use evloop::EvLoop;
/// use std::{cell::Cell, rc::Rc};
///
/// let tidy = Rc::new(Cell::new(false));
/// let done = Rc::clone(&tidy);
/// let mut ev = EvLoop::new()?;
/// ev.on_close(move |_, _| done.set(true)).start(&mut ev);
/// drop(ev);
/// assert!(tidy.get());
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **In a forked child** that has not called [`after_fork`](EvLoop::after_fork) it is not called: what it
///   would clean up is the parent's.
/// * Its callback may use the loop, and even run it; it cannot start further cleanup watchers.
/// * A panic in it reaches whoever drops the loop, after the others were called.
/// * [`set_ref`](Cleanup::set_ref) has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cleanup(Key);

plain_event!(CleanupEvent, Cleanup, "a cleanup watcher");

impl EvLoop {
    /// Makes a cleanup watcher (`ev_cleanup_init`): called when the loop is dropped. It is not started yet.
    #[track_caller]
    pub fn on_close(
        &mut self,
        callback: impl FnMut(&mut EvLoop, CleanupEvent) + 'static,
    ) -> Cleanup {
        let head = Head { flags: Head::EXEMPT, ..Head::new() };
        let slot = SimpleSlot { cell: Cell::shared(callback), head, place: 0 };
        Cleanup(self.cleanups.slots.insert(slot))
    }
}

verbs!(Cleanup, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.unqueue(KIND, key);
    if ev.deactivate(KIND, key) {
        ev.cleanups.leave(key);
    }
    ev.cleanups.slots.get(key).is_some()
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    stop_it(ev, key);
    ev.cleanups.slots.remove(key).is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

impl Cleanup {
    /// Starts the watcher; no effect if it is started already, nor while the loop is being dropped.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn start(self, ev: &mut EvLoop) -> Self {
        if !ev.is_closing() && ev.head(KIND, self.0).is_some_and(|head| !head.is_active()) {
            ev.cleanups.join(self.0);
            ev.activate(KIND, self.0);
        }
        self
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the watcher exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, CleanupEvent) + 'static,
    ) -> bool {
        let Some(slot) = ev.cleanups.slots.get_mut(self.0) else { return false };
        slot.cell = Cell::shared(callback);
        true
    }
}
