//! Prepare: called once per iteration, just before the loop waits.
//!
//! For modules that bring events of their own: adjust watchers, flush what was gathered, bind in a
//! foreign loop. What a prepare callback starts, an idle watcher or a timer, counts for this wait.

use super::{group_watcher, plain_event};
use crate::EvLoop;
use crate::engine::{Head, Key, SimpleSlot};

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

plain_event!(PrepareEvent, Prepare, "a prepare watcher");

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

group_watcher!(Prepare, PrepareEvent, prepares);
