//! Notifiers: another thread, or a signal handler, calls a watcher of this loop (`ev_async`).
//!
//! Two halves: the watcher, whose key is [`Async`] because `async` is a keyword, and [`Notifier`],
//! the half that is sent away.

use std::fmt;
use std::sync::Arc;

use super::{plain_event, verbs};
use crate::engine::{AsyncSlot, Band, Caller, Head, Key};
use crate::{EvLoop, Kind};

const KIND: Kind = Kind::Async;

/// The key of a notifier's watcher (`ev_async`), also of a channel's.
///
/// Made by [`EvLoop::notifier`] and [`EvLoop::channel`].
///
/// ```
/// use evloop::EvLoop;
///
/// let mut ev = EvLoop::new()?;
/// let (watcher, notifier) = ev.notifier(|ev, e| {
///     e.watcher.stop(ev);
/// });
/// watcher.start(&mut ev);
/// let thread = std::thread::spawn(move || notifier.notify());
/// ev.run()?;
/// assert!(thread.join().unwrap());
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **Calls coalesce**: after any number of them there is at least one callback, and it sees
///   everything that was written before the calls it stands for. To pass values use
///   [`channel`](EvLoop::channel) or [`Remote::post`](crate::Remote::post).
/// * **A call to a stopped watcher has no effect**, and a call not yet delivered is forgotten by stop.
/// * A started watcher keeps the loop running, whether or not somebody still has a notifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Async(Key);

plain_event!(AsyncEvent, Async, "a notifier");

/// The sending half of a notifier (`ev_async_send`): calls the watcher from any thread.
///
/// Clone it, send it, keep it: once the watcher or the loop is gone, calls return `false`.
#[derive(Clone)]
pub struct Notifier {
    caller: Arc<Caller>,
}

impl Notifier {
    /// Has the watcher called, at least once after this. Returns whether it is started.
    ///
    /// From any thread, also from a signal handler: it never blocks, never allocates and leaves
    /// `errno` alone. It makes a system call only if the loop is waiting (or about to), and of many
    /// calls only the first does. From inside the watcher's own callback it brings about another call,
    /// in the next iteration.
    pub fn notify(&self) -> bool {
        self.caller.call()
    }

    /// Whether a call waits to be taken by the loop (`ev_async_pending`); no longer in the callback.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.caller.is_called()
    }

    pub(super) fn is_loop_gone(&self) -> bool {
        self.caller.is_gone()
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("pending", &self.is_pending()).finish()
    }
}

impl EvLoop {
    /// Makes a watcher that other threads can call, and the handle to call it with
    /// (`ev_async_init`). It is not started yet.
    #[track_caller]
    pub fn notifier(
        &mut self,
        callback: impl FnMut(&mut EvLoop, AsyncEvent) + 'static,
    ) -> (Async, Notifier) {
        let caller = Arc::new(Caller::new(Arc::clone(self.shared())));
        let notifier = Notifier { caller: Arc::clone(&caller) };
        let cell = Cell::shared(callback);
        let slot = AsyncSlot { cell, caller, head: Head::new(), place: 0 };
        (Async(self.asyncs.insert(slot)), notifier)
    }
}

verbs!(Async, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.unqueue(KIND, key);
    let was_active = ev.deactivate(KIND, key);
    let EvLoop { asyncs, async_roster, .. } = ev;
    let Some(slot) = asyncs.get(key) else { return false };
    let place = slot.place;
    slot.caller.listen(false);
    if was_active {
        async_roster.remove(place, |index, place| {
            if let Some(slot) = asyncs.at_mut(index) {
                slot.place = place;
            }
        });
    }
    true
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    stop_it(ev, key);
    ev.asyncs.remove(key).is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

impl Async {
    /// Starts listening; no effect if it is started already. Calls made before are forgotten; messages
    /// of a [`channel`](EvLoop::channel) are not.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn start(self, ev: &mut EvLoop) -> Self {
        let Some(slot) = ev.asyncs.get_mut(self.0) else { return self };
        if slot.head.is_active() {
            return self;
        }
        slot.place = ev.async_roster.push(self.0.index);
        slot.caller.listen(true);
        if slot.head.has(AsyncSlot::KEEPS) {
            // Something may have been kept for it while it was stopped.
            slot.caller.call();
        }
        ev.activate(KIND, self.0);
        self
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the watcher exists. On a channel's watcher the messages stay unread then.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, AsyncEvent) + 'static,
    ) -> bool {
        let Some(slot) = ev.asyncs.get_mut(self.0) else { return false };
        slot.cell = Cell::shared(callback);
        true
    }

    /// Has a call waiting at each start, for kinds that keep messages.
    pub(super) fn look_at_each_start(self, ev: &mut EvLoop) {
        if let Some(slot) = ev.asyncs.get_mut(self.0) {
            slot.head.flags |= AsyncSlot::KEEPS;
        }
    }
}
