//! The rooms: one file per kind of watcher, each with what the kind means, its verbs and its sharp
//! edges. The verbs that all kinds share are written once, in [`verbs`](self).

mod any;
mod channel;
mod check;
mod child;
mod cleanup;
#[cfg(feature = "stat")]
mod file_attr;
mod fork;
#[cfg(feature = "stat")]
mod hints;
mod idle;
mod io;
mod notifier;
mod once;
mod periodic;
mod prepare;
mod signal;
#[cfg(feature = "stat")]
mod stat;
mod stdin;
mod timer;

pub use any::AnyWatcher;
pub use channel::{SendError, Sender};
pub use check::{Check, CheckEvent};
pub use child::{Child, ChildEvent};
pub use cleanup::{Cleanup, CleanupEvent};
#[cfg(feature = "stat")]
pub use file_attr::FileAttr;
pub use fork::{Fork, ForkEvent};
#[cfg(feature = "stat")]
pub(crate) use hints::Inbox;
pub use idle::{Idle, IdleEvent};
pub use io::{Io, IoEvent};
pub use notifier::{Async, AsyncEvent, Notifier};
pub use periodic::{Periodic, PeriodicEvent};
pub use prepare::{Prepare, PrepareEvent};
pub use signal::{Signal, SignalEvent};
#[cfg(feature = "stat")]
pub use stat::{Stat, StatEvent};
pub use stdin::stdin;
pub use timer::{Timer, TimerEvent};

use crate::event::Events;
use crate::{EvLoop, Kind};

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// What all watchers can do, for generic code; each type has the same verbs as methods of its own.
///
/// Sealed: only the crate's watchers implement it. `start` is not here, because starting an io
/// watcher can fail and starting a timer cannot.
///
/// ```
/// use evloop::{EvLoop, Watcher};
///
/// fn pause(watchers: &[&dyn Fn(&mut EvLoop) -> bool], ev: &mut EvLoop) -> usize {
///     watchers.iter().filter(|stop| stop(ev)).count()
/// }
///
/// fn stopper<W: Watcher>(watcher: W) -> impl Fn(&mut EvLoop) -> bool {
///     move |ev| watcher.stop(ev)
/// }
///
/// let mut ev = EvLoop::new()?;
/// let idle = ev.idle(|_, _| {}).start(&mut ev);
/// let check = ev.check(|_, _| {}).start(&mut ev);
/// assert_eq!(pause(&[&stopper(idle), &stopper(check)], &mut ev), 2);
/// # Ok::<(), evloop::Error>(())
/// ```
pub trait Watcher: Copy + sealed::Sealed {
    /// Which kind it is.
    fn kind(self) -> Kind;
    /// Stops it and forgets what it is pending for; returns whether it exists.
    fn stop(self, ev: &mut EvLoop) -> bool;
    /// Stops it and drops its closure; returns whether it existed.
    fn free(self, ev: &mut EvLoop) -> bool;
    /// Makes it pending as if `events` had happened; returns whether it exists.
    fn feed(self, ev: &mut EvLoop, events: Events) -> bool;
    /// Makes it pending in the next iteration; returns whether it exists.
    fn feed_later(self, ev: &mut EvLoop, events: Events) -> bool;
    /// Calls it right now; returns whether it did.
    fn invoke(self, ev: &mut EvLoop, events: Events) -> bool;
    /// Forgets what it is pending for and returns that.
    fn clear_pending(self, ev: &mut EvLoop) -> Events;
    /// Sets its priority.
    #[must_use = "returns the watcher, for chaining; ignore it with `let _ =`"]
    fn set_priority(self, ev: &mut EvLoop, priority: i8) -> Self;
    /// Sets whether it keeps the loop running.
    #[must_use = "returns the watcher, for chaining; ignore it with `let _ =`"]
    fn set_ref(self, ev: &mut EvLoop, keeps_running: bool) -> Self;
    /// Its priority.
    fn priority(self, ev: &EvLoop) -> i8;
    /// Whether it was not freed.
    fn exists(self, ev: &EvLoop) -> bool;
    /// Whether it is started.
    fn is_active(self, ev: &EvLoop) -> bool;
    /// Whether an event waits to be delivered to it.
    fn is_pending(self, ev: &EvLoop) -> bool;
}

/// The key of a kind: the type, the verbs all kinds share, and [`Watcher`].
///
/// The kind's own file gives `stop_it(ev, key) -> bool` and `remove(ev, key) -> bool`, and for
/// `set_priority` what has to happen when an active watcher changes bands.
macro_rules! verbs {
    ($name:ident, $what:literal) => {
        impl $name {
            #[inline]
            pub(crate) const fn from_key(key: $crate::engine::Key) -> Self {
                Self(key)
            }

            #[doc = concat!("Stops the ", $what, " and forgets any event still waiting for it.")]
            ///
            /// After this returns the callback will not be called until the next start, also when
            /// its event had been queued in this iteration. Stopping a stopped watcher does no more
            /// than forget. Returns whether the watcher exists.
            #[inline]
            pub fn stop(self, ev: &mut $crate::EvLoop) -> bool {
                stop_it(ev, self.0)
            }

            #[doc = concat!("Stops the ", $what, " and drops it, with its closure and all that holds.")]
            ///
            /// From inside its own callback too: the closure lives to the end of the call. The key
            /// is stale from now on. Returns whether the watcher existed.
            pub fn free(self, ev: &mut $crate::EvLoop) -> bool {
                remove(ev, self.0)
            }

            /// Makes it pending, as if `events` had happened (`ev_feed_event`); also when it is
            /// stopped, and also with no events at all.
            ///
            /// If it is pending already, the events are added and it keeps its place in the queue.
            /// If its callback is running, it is called again, after that returns, in this
            /// iteration. Returns whether the watcher exists.
            pub fn feed(self, ev: &mut $crate::EvLoop, events: $crate::Events) -> bool {
                ev.feed(KIND, self.0, events)
            }

            /// Makes it pending in the next iteration, which then does not wait.
            ///
            /// For work that goes on by itself and must let io and timers have their turn. It does
            /// not keep a loop running that has nothing else to do; the event waits for the next run
            /// then. Returns whether the watcher exists.
            pub fn feed_later(self, ev: &mut $crate::EvLoop, events: $crate::Events) -> bool {
                ev.feed_later(KIND, self.0, events)
            }

            /// Calls its callback right now (`ev_invoke`), in whatever state it is, which stays as
            /// it is.
            ///
            /// Returns whether it did: not if the callback is running already, nor if the key is
            /// stale.
            pub fn invoke(self, ev: &mut $crate::EvLoop, events: $crate::Events) -> bool {
                ev.invoke(KIND, self.0, events)
            }

            /// Forgets what it is pending for and returns that (`ev_clear_pending`); nothing, if it
            /// is not pending.
            pub fn clear_pending(self, ev: &mut $crate::EvLoop) -> $crate::Events {
                ev.clear_pending(KIND, self.0)
            }

            /// Sets the priority, −2 (last) to +2 (first); values beyond are clamped. The default
            /// is 0.
            ///
            /// Legal in every state; if it is pending, the priority counts from the next event. A
            /// stale key changes nothing.
            #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
            pub fn set_priority(self, ev: &mut $crate::EvLoop, priority: i8) -> Self {
                change_band(ev, self.0, $crate::engine::Band::of(priority));
                self
            }

            /// The priority; 0 for a stale key.
            #[must_use]
            pub fn priority(self, ev: &$crate::EvLoop) -> i8 {
                ev.head(KIND, self.0).map_or(0, |head| head.band.priority())
            }

            /// Sets whether it keeps [`run`](crate::EvLoop::run) from returning while it is active.
            /// The default is `true`.
            ///
            /// It belongs to the watcher and survives stop and start, unlike libev's `ev_unref`. A
            /// stale key changes nothing.
            #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
            pub fn set_ref(self, ev: &mut $crate::EvLoop, keeps_running: bool) -> Self {
                ev.set_exempt(KIND, self.0, !keeps_running);
                self
            }

            /// Whether it was not freed, and belongs to this loop.
            #[must_use]
            pub fn exists(self, ev: &$crate::EvLoop) -> bool {
                ev.head(KIND, self.0).is_some()
            }

            /// Whether it is started (`ev_is_active`).
            #[must_use]
            #[inline]
            pub fn is_active(self, ev: &$crate::EvLoop) -> bool {
                ev.head(KIND, self.0).is_some_and(|head| head.is_active())
            }

            /// Whether an event waits to be delivered to it (`ev_is_pending`). Not inside its own
            /// callback, unless there is another one.
            #[must_use]
            pub fn is_pending(self, ev: &$crate::EvLoop) -> bool {
                ev.is_pending(KIND, self.0)
            }
        }

        impl $crate::watch::sealed::Sealed for $name {}

        impl $crate::Watcher for $name {
            fn kind(self) -> $crate::Kind {
                KIND
            }
            fn stop(self, ev: &mut $crate::EvLoop) -> bool {
                self.stop(ev)
            }
            fn free(self, ev: &mut $crate::EvLoop) -> bool {
                self.free(ev)
            }
            fn feed(self, ev: &mut $crate::EvLoop, events: $crate::Events) -> bool {
                self.feed(ev, events)
            }
            fn feed_later(self, ev: &mut $crate::EvLoop, events: $crate::Events) -> bool {
                self.feed_later(ev, events)
            }
            fn invoke(self, ev: &mut $crate::EvLoop, events: $crate::Events) -> bool {
                self.invoke(ev, events)
            }
            fn clear_pending(self, ev: &mut $crate::EvLoop) -> $crate::Events {
                self.clear_pending(ev)
            }
            fn set_priority(self, ev: &mut $crate::EvLoop, priority: i8) -> Self {
                self.set_priority(ev, priority)
            }
            fn set_ref(self, ev: &mut $crate::EvLoop, keeps_running: bool) -> Self {
                self.set_ref(ev, keeps_running)
            }
            fn priority(self, ev: &$crate::EvLoop) -> i8 {
                self.priority(ev)
            }
            fn exists(self, ev: &$crate::EvLoop) -> bool {
                self.exists(ev)
            }
            fn is_active(self, ev: &$crate::EvLoop) -> bool {
                self.is_active(ev)
            }
            fn is_pending(self, ev: &$crate::EvLoop) -> bool {
                self.is_pending(ev)
            }
        }
    };
}

/// The event of a kind that has no facts beyond the bits, and the cell that delivers it.
macro_rules! plain_event {
    ($event:ident, $watcher:ident, $what:literal) => {
        #[doc = concat!("What the callback of ", $what, " is told.")]
        #[derive(Clone, Copy, Debug)]
        #[non_exhaustive]
        pub struct $event {
            /// The watcher it happened to.
            pub watcher: $watcher,
            /// What happened.
            pub ready: $crate::Events,
        }

        /// The closure. Its `RefCell` is never borrowed twice, since a running watcher is not
        /// entered again.
        struct Cell<C>(std::cell::RefCell<C>);

        impl<C: FnMut(&mut $crate::EvLoop, $event) + 'static> Cell<C> {
            fn shared(callback: C) -> std::rc::Rc<dyn $crate::engine::Callback> {
                std::rc::Rc::new(Self(std::cell::RefCell::new(callback)))
            }
        }

        impl<C: FnMut(&mut $crate::EvLoop, $event)> $crate::engine::Callback for Cell<C> {
            #[inline]
            fn call(
                self: std::rc::Rc<Self>,
                ev: &mut $crate::EvLoop,
                key: $crate::engine::Key,
                ready: $crate::Events,
            ) {
                if let Ok(mut callback) = self.0.try_borrow_mut() {
                    callback(ev, $event { watcher: $watcher::from_key(key), ready });
                }
            }
        }
    };
}

/// The rest of a kind that is a [`Group`](crate::engine::Group): all but what it means.
macro_rules! group_watcher {
    ($name:ident, $event:ident, $group:ident) => {
        const KIND: $crate::Kind = $crate::Kind::$name;

        fn stop_it(ev: &mut $crate::EvLoop, key: $crate::engine::Key) -> bool {
            ev.unqueue(KIND, key);
            if ev.deactivate(KIND, key) {
                ev.$group.leave(key);
                ev.note_groups();
            }
            ev.$group.slots.get(key).is_some()
        }

        fn remove(ev: &mut $crate::EvLoop, key: $crate::engine::Key) -> bool {
            stop_it(ev, key);
            ev.$group.slots.remove(key).is_some()
        }

        fn change_band(
            ev: &mut $crate::EvLoop,
            key: $crate::engine::Key,
            band: $crate::engine::Band,
        ) {
            ev.set_band(KIND, key, band);
        }

        impl $name {
            /// Starts the watcher, behind those of its kind that are started; no effect if it is
            /// started already.
            #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
            pub fn start(self, ev: &mut $crate::EvLoop) -> Self {
                if ev.head(KIND, self.0).is_some_and(|head| !head.is_active()) {
                    ev.$group.join(self.0);
                    ev.activate(KIND, self.0);
                    ev.note_groups();
                }
                self
            }

            /// Replaces the callback, in any state; a running one is replaced when it returns.
            /// Returns whether the watcher exists.
            pub fn set_callback(
                self,
                ev: &mut $crate::EvLoop,
                callback: impl FnMut(&mut $crate::EvLoop, $event) + 'static,
            ) -> bool {
                let Some(slot) = ev.$group.slots.get_mut(self.0) else { return false };
                slot.cell = Cell::shared(callback);
                true
            }
        }

        $crate::watch::verbs!($name, "watcher");
    };
}

pub(crate) use {group_watcher, plain_event, verbs};
