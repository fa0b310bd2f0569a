//! Check: called once per iteration, right after the loop has waited.
//!
//! Queued before all other events of its priority and below, so a check watcher of priority 2 is the
//! first to run after the wait. The counterpart of [`Prepare`](crate::Prepare).

use super::{group_watcher, plain_event};
use crate::EvLoop;
use crate::engine::{Head, Key, SimpleSlot};

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

plain_event!(CheckEvent, Check, "a check watcher");

impl EvLoop {
    /// Makes a check watcher (`ev_check_init`): called after every wait. It is not started yet.
    #[track_caller]
    pub fn check(&mut self, callback: impl FnMut(&mut EvLoop, CheckEvent) + 'static) -> Check {
        let slot = SimpleSlot { cell: Cell::shared(callback), head: Head::new(), place: 0 };
        Check(self.checks.slots.insert(slot))
    }
}

group_watcher!(Check, CheckEvent, checks);
