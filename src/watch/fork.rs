//! Fork: called in a forked child that has taken the loop over.

use super::{group_watcher, plain_event};
use crate::EvLoop;
use crate::engine::{Head, Key, SimpleSlot};

/// The key of a fork watcher (`ev_fork`).
///
/// Called once per fork, in the child, before the first prepare watcher after
/// [`EvLoop::after_fork`]. For what a library must do anew there: open its own connections, draw a new
/// random seed.
///
/// ```
/// use evloop::EvLoop;
///
/// let mut ev = EvLoop::new()?;
/// let watcher = ev.on_fork(|_, _| { /* reconnect */ });
/// watcher.start(&mut ev).set_ref(&mut ev, false);
/// ev.after_fork()?; // in the process that made the loop: nothing
/// assert!(!ev.run()?);
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * A started fork watcher keeps the loop running; most want [`set_ref(false)`](Fork::set_ref).
/// * A child that calls `exec` never gets here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fork(Key);

plain_event!(ForkEvent, Fork, "a fork watcher");

impl EvLoop {
    /// Makes a fork watcher (`ev_fork_init`): called in a forked child. It is not started yet.
    #[track_caller]
    pub fn on_fork(&mut self, callback: impl FnMut(&mut EvLoop, ForkEvent) + 'static) -> Fork {
        let slot = SimpleSlot { cell: Cell::shared(callback), head: Head::new(), place: 0 };
        Fork(self.fork_watchers.slots.insert(slot))
    }
}

group_watcher!(Fork, ForkEvent, fork_watchers);
