//! Idle: called when there is nothing better to do.
//!
//! In an iteration in which nothing is pending at its priority or above. As long as one is started the
//! loop does not sleep.

use super::{group_watcher, plain_event};
use crate::EvLoop;
use crate::engine::{Head, Key, SimpleSlot};

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

plain_event!(IdleEvent, Idle, "an idle watcher");

impl EvLoop {
    /// Makes an idle watcher (`ev_idle_init`): called while nothing of its priority or above is
    /// pending. It is not started yet.
    #[track_caller]
    pub fn idle(&mut self, callback: impl FnMut(&mut EvLoop, IdleEvent) + 'static) -> Idle {
        let slot = SimpleSlot { cell: Cell::shared(callback), head: Head::new(), place: 0 };
        Idle(self.idles.slots.insert(slot))
    }
}

group_watcher!(Idle, IdleEvent, idles);
