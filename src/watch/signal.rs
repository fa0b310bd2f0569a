//! Signals: a callback, on the loop's thread and between other callbacks, when a signal was delivered to
//! the process.
//!
//! The handler that the process has for the signal does next to nothing; what you write here is an
//! ordinary callback that may do anything.

use super::verbs;
use crate::engine::{Band, Callback, Head, Key, SignalSlot};
use crate::event::Events;
use crate::{EvLoop, Kind, Result};

use std::cell::RefCell;
use std::rc::Rc;

const KIND: Kind = Kind::Signal;

/// The key of a signal watcher (`ev_signal`).
///
/// Any number of watchers, in any number of loops and threads, may watch one signal: all are called.
///
/// ```
/// use evloop::EvLoop;
/// # let raise = |signum| assert!(std::process::Command::new("kill")
/// #     .args([format!("-{signum}"), std::process::id().to_string()]).status().unwrap().success());
///
/// const SIGUSR1: i32 = 10; // or libc::SIGUSR1
/// let mut ev = EvLoop::new()?;
/// let usr1 = ev.signal(SIGUSR1, |ev, e| {
///     assert_eq!(e.signum, SIGUSR1);
///     e.watcher.stop(ev);
/// });
/// usr1.start(&mut ev)?;
/// raise(SIGUSR1);
/// ev.run()?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # When nobody watches
///
/// The handler stays for the life of the process, since others may have put theirs on top of it. While no
/// watcher of the signal is started it behaves as what it found when it was installed: it does what the
/// signal does by default (end the process, stop it, nothing), it ignores it, or it leaves it to the handler
/// that was there. Such an earlier handler is called in any case, also while somebody watches.
///
/// # Sharp edges
///
/// * **Deliveries coalesce**: of many that come before the loop looks there is at least one call. Signals
///   carry no data here.
/// * **Programs you `exec`** begin with the default action for a signal that was ignored, because there is
///   a handler now; a child of `nohup` whose `SIGHUP` is watched is no longer immune to it.
/// * **A signal blocked in every thread does not come.** Starting the watcher unblocks it in the thread that
///   starts it, unless [`Builder::unblock_signals`](crate::Builder::unblock_signals) says otherwise.
/// * **Signals caused by an instruction** (`SIGBUS`, `SIGTRAP`, `SIGSYS`): the instruction may be tried again
///   when the handler returns, which makes an endless loop of a crash. Watch them only when another process
///   sends them.
/// * **A forked child** that neither takes the loop over nor drops it, nor calls `exec`, swallows the
///   signals that are watched: it cannot be ended with a watched `SIGTERM`.
/// * **Other crates' handlers are not seen**: when the last watcher of a signal whose default is to end the
///   process has stopped, it ends it, even if another crate has installed a handler since.
/// * A started signal watcher keeps the loop running; a daemon that should end when its work is done uses
///   [`set_ref(false)`](Signal::set_ref).
/// * `SIGCHLD` may be watched beside [`Child`](crate::Child) watchers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Signal(Key);

/// What the callback of a signal watcher is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SignalEvent {
    /// The watcher it happened to.
    pub watcher: Signal,
    /// The signal's number.
    pub signum: i32,
    /// What happened.
    pub ready: Events,
}

struct Cell<C> {
    signum: i32,
    /// Never borrowed twice, since a running watcher is not entered again.
    callback: RefCell<C>,
}

impl<C: FnMut(&mut EvLoop, SignalEvent)> Callback for Cell<C> {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, ready: Events) {
        if let Ok(mut callback) = self.callback.try_borrow_mut() {
            callback(ev, SignalEvent { watcher: Signal(key), signum: self.signum, ready });
        }
    }
}

impl EvLoop {
    /// Makes a signal watcher (`ev_signal_init`): `callback` is called when the signal `signum` was
    /// delivered to the process. It is not started yet.
    #[track_caller]
    pub fn signal(
        &mut self,
        signum: i32,
        callback: impl FnMut(&mut EvLoop, SignalEvent) + 'static,
    ) -> Signal {
        let cell = Rc::new(Cell { signum, callback: RefCell::new(callback) });
        Signal(self.signals.slots.insert(SignalSlot { cell, head: Head::new(), place: 0, signum }))
    }
}

verbs!(Signal, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_signal(key)
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_signal(key);
    ev.signals.slots.remove(key).is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

impl Signal {
    /// Starts the watcher; no effect if it is started already. A signal that comes from now on is not
    /// lost, whether or not the loop is running yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a number that is no signal's
    /// (1 to 64 are), for those that cannot be caught (`SIGKILL`, `SIGSTOP`) or whose handler could not
    /// return (`SIGILL`, `SIGFPE`, `SIGSEGV`), and for those that the C library keeps to itself;
    /// [`ErrorKind::Register`](crate::ErrorKind::Register) if the system refuses the handler;
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked); [`ErrorKind::Stale`](crate::ErrorKind::Stale).
    pub fn start(self, ev: &mut EvLoop) -> Result<Self> {
        ev.start_signal(self.0).map(|()| self)
    }

    /// Starts the watcher, and frees it if that fails.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_or_free(self, ev: &mut EvLoop) -> Result<Self> {
        self.start(ev).inspect_err(|_| {
            self.free(ev);
        })
    }

    /// The signal's number; `None` for a stale key.
    #[must_use]
    pub fn signum(self, ev: &EvLoop) -> Option<i32> {
        ev.signals.slots.get(self.0).map(|slot| slot.signum)
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the watcher exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, SignalEvent) + 'static,
    ) -> bool {
        let Some(slot) = ev.signals.slots.get_mut(self.0) else { return false };
        slot.cell = Rc::new(Cell { signum: slot.signum, callback: RefCell::new(callback) });
        true
    }
}
