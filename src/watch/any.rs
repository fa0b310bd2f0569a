//! A watcher of any kind: what [`EvLoop::watchers`] lists.

#[cfg(feature = "stat")]
use crate::Stat;
use crate::engine::Key;
use crate::{
    Async, Check, Child, Cleanup, EvLoop, Fork, Idle, Io, Kind, Periodic, Prepare, Signal, Stall,
    Timer,
};

/// Writes the enum and what goes through all its variants.
macro_rules! any_watcher {
    ($($(#[$attr:meta])* $name:ident: $what:literal,)+) => {
        /// A watcher of any kind.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum AnyWatcher {
            $(#[doc = $what] $(#[$attr])* $name($name),)+
        }

        impl AnyWatcher {
            fn of(kind: Kind, key: Key) -> Self {
                match kind {
                    $($(#[$attr])* Kind::$name => Self::$name($name::from_key(key)),)+
                }
            }

            /// Which kind it is.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self {
                    $($(#[$attr])* Self::$name(_) => Kind::$name,)+
                }
            }

            /// Stops it; returns whether it exists.
            pub fn stop(self, ev: &mut EvLoop) -> bool {
                match self {
                    $($(#[$attr])* Self::$name(watcher) => watcher.stop(ev),)+
                }
            }

            /// Frees it; returns whether it existed.
            pub fn free(self, ev: &mut EvLoop) -> bool {
                match self {
                    $($(#[$attr])* Self::$name(watcher) => watcher.free(ev),)+
                }
            }

            /// Whether it is started.
            #[must_use]
            pub fn is_active(self, ev: &EvLoop) -> bool {
                match self {
                    $($(#[$attr])* Self::$name(watcher) => watcher.is_active(ev),)+
                }
            }
        }
    };
}

any_watcher! {
    Io: "An io watcher.",
    Timer: "A timer.",
    Periodic: "A periodic.",
    Signal: "A signal watcher.",
    Child: "A child watcher.",
    #[cfg(feature = "stat")]
    #[cfg_attr(docsrs, doc(cfg(feature = "stat")))]
    Stat: "A stat watcher. Feature `stat`.",
    Idle: "An idle watcher.",
    Prepare: "A prepare watcher.",
    Check: "A check watcher.",
    Async: "The receiving half of a notifier or channel.",
    Fork: "A fork watcher.",
    Cleanup: "A cleanup watcher.",
}

impl Stall {
    /// The watcher; `None` for a posted or deferred closure. It may have been freed meanwhile.
    #[must_use]
    pub fn watcher(&self) -> Option<AnyWatcher> {
        self.watcher.map(|(kind, key)| AnyWatcher::of(kind, key))
    }
}

impl EvLoop {
    /// A snapshot of the started watchers, each once, kind by kind (`ev_walk`).
    ///
    /// It is a list of keys, so what it names may be stopped or freed while walking it.
    ///
    /// ```
    /// use evloop::{AnyWatcher, EvLoop, Kind};
    /// use std::time::Duration;
    ///
    /// let mut ev = EvLoop::new()?;
    /// ev.after(Duration::from_secs(9), |_| {});
    /// ev.after(Duration::from_secs(10), |_| {});
    /// for watcher in ev.watchers() {
    ///     if watcher.kind() == Kind::Timer {
    ///         watcher.free(&mut ev);
    ///     }
    /// }
    /// assert!(!ev.run()?);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[must_use]
    pub fn watchers(&self) -> Vec<AnyWatcher> {
        self.started().map(|(kind, key)| AnyWatcher::of(kind, key)).collect()
    }
}
