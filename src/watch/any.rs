//! A watcher of any kind: what [`EvLoop::watchers`] lists.

use crate::{Async, Check, EvLoop, Idle, Io, Kind, Prepare, Timer};

/// A watcher of any kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum AnyWatcher {
    /// An io watcher.
    Io(Io),
    /// A timer.
    Timer(Timer),
    /// An idle watcher.
    Idle(Idle),
    /// A prepare watcher.
    Prepare(Prepare),
    /// A check watcher.
    Check(Check),
    /// The receiving half of a notifier or channel.
    Async(Async),
}

macro_rules! each {
    ($self:ident, $watcher:ident => $do:expr) => {
        match $self {
            Self::Io($watcher) => $do,
            Self::Timer($watcher) => $do,
            Self::Idle($watcher) => $do,
            Self::Prepare($watcher) => $do,
            Self::Check($watcher) => $do,
            Self::Async($watcher) => $do,
        }
    };
}

impl AnyWatcher {
    /// Which kind it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Io(_) => Kind::Io,
            Self::Timer(_) => Kind::Timer,
            Self::Idle(_) => Kind::Idle,
            Self::Prepare(_) => Kind::Prepare,
            Self::Check(_) => Kind::Check,
            Self::Async(_) => Kind::Async,
        }
    }

    /// Stops it; returns whether it exists.
    pub fn stop(self, ev: &mut EvLoop) -> bool {
        each!(self, watcher => watcher.stop(ev))
    }

    /// Frees it; returns whether it existed.
    pub fn free(self, ev: &mut EvLoop) -> bool {
        each!(self, watcher => watcher.free(ev))
    }

    /// Whether it is started.
    #[must_use]
    pub fn is_active(self, ev: &EvLoop) -> bool {
        each!(self, watcher => watcher.is_active(ev))
    }
}

impl EvLoop {
    /// A snapshot of the started watchers, each once, kind by kind (`ev_walk`).
    ///
    /// It is a list of keys, so what it names may be stopped or freed while walking it.
    ///
    /// ```
    /// # use evloop::{AnyWatcher, EvLoop, Kind};
    /// # use std::time::Duration;
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
        self.started()
            .map(|(kind, key)| match kind {
                Kind::Io => AnyWatcher::Io(Io::from_key(key)),
                Kind::Timer => AnyWatcher::Timer(Timer::from_key(key)),
                Kind::Idle => AnyWatcher::Idle(Idle::from_key(key)),
                Kind::Prepare => AnyWatcher::Prepare(Prepare::from_key(key)),
                Kind::Check => AnyWatcher::Check(Check::from_key(key)),
                Kind::Async => AnyWatcher::Async(Async::from_key(key)),
            })
            .collect()
    }
}
