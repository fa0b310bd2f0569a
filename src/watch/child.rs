//! Children: a callback when a child process ends, or stops and goes on.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::process::{self, ExitStatus};
use std::rc::Rc;

use super::verbs;
use crate::engine::{Band, Change, ChildCallback, ChildSlot, Key};
use crate::event::Events;
use crate::{EvLoop, Kind, Result};

const KIND: Kind = Kind::Child;

/// The key of a child watcher (`ev_child`).
///
/// Made by [`EvLoop::child`], [`EvLoop::child_pid`] and [`EvLoop::reap_any`].
///
/// ```
/// use evloop::EvLoop;
/// use std::process::Command;
///
/// let mut ev = EvLoop::new()?;
/// let process = Command::new("sh").args(["-c", "exit 7"]).spawn()?;
/// let child = ev.child(process, |_, e| {
///     assert_eq!(e.status.and_then(|status| status.code()), Some(7));
/// });
/// child.start(&mut ev)?;
/// ev.run()?; // the watcher stops when the child has ended, so the run ends
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Only the processes that are watched are waited for, so `std::process` works as always for all others.
/// A child that had ended before the watcher was started is reported too: nothing is lost between spawning
/// and starting.
///
/// # Sharp edges
///
/// * **Somebody else's `wait`** (`waitpid(-1)` in a library, `SIGCHLD` set to be ignored, another
///   watcher's [`reap_any`](EvLoop::reap_any) in another loop) can take the status away. The watcher is then
///   told once, with [`Events::ERROR`] and no status, and stopped; so is one for a process that is no child
///   of ours.
/// * **Freeing does not kill**, as dropping a `std::process::Child` does not. The process goes on, and
///   when it ends, stays a zombie until this program ends.
/// * **A child that a debugger holds** when it ends is told of when the debugger lets it go.
/// * **Stops and continuations coalesce** in the kernel: it remembers the last one.
/// * A pipe to the child's standard input stays open as long as the `std::process::Child` that the
///   watcher owns: take it out before.
/// * Where the kernel has no process descriptors (before Linux 5.3) the watcher relies on `SIGCHLD`, as a
///   traced one does everywhere: then each such signal costs a look at every one of these children.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Child(Key);

/// What the callback of a child watcher is told.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChildEvent<'a> {
    /// The watcher it happened to.
    pub watcher: Child,
    /// The process it happened to; 0 if something was only fed to a watcher of any process.
    pub pid: u32,
    /// What happened to the process: its exit code or the signal that killed it, and, for a traced one, the
    /// signal that stopped it or that it was continued (`std::os::unix::process::ExitStatusExt`). `None`
    /// with [`Events::ERROR`]: it is over and nobody knows how; without: something was fed.
    pub status: Option<ExitStatus>,
    /// The process, if the watcher was made with [`EvLoop::child`].
    pub process: Option<&'a mut process::Child>,
    /// [`Events::CHILD`], with `ERROR` if the status is not known; or what was fed.
    pub ready: Events,
}

struct Cell<C> {
    process: Rc<RefCell<Owned>>,
    /// Never borrowed twice, since a running watcher is not entered again.
    callback: RefCell<C>,
}

/// The handle that a watcher owns, if it does.
struct Owned(Option<process::Child>);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            // Nobody else can wait for it now. If it has ended, it need not stay a zombie.
            let _ = process.try_wait();
        }
    }
}

impl<C: FnMut(&mut EvLoop, ChildEvent<'_>)> ChildCallback for Cell<C> {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, change: Change, ready: Events) {
        let (Ok(mut callback), Ok(mut process)) =
            (self.callback.try_borrow_mut(), self.process.try_borrow_mut())
        else {
            return;
        };
        let Change { pid, status } = change;
        let process = process.0.as_mut();
        callback(ev, ChildEvent { watcher: Child(key), pid, status, process, ready });
    }

    fn wait(&self) -> Option<io::Result<Option<ExitStatus>>> {
        self.process.try_borrow_mut().ok()?.0.as_mut().map(process::Child::try_wait)
    }

    fn handle(&self) -> Rc<dyn Any> {
        Rc::clone(&self.process) as Rc<dyn Any>
    }
}

impl EvLoop {
    /// Makes a watcher of a child process (`ev_child_init`): `callback` is called when it has ended. It is
    /// not started yet.
    ///
    /// `process` is what [`Command::spawn`](process::Command::spawn) returns. The watcher owns it, so nobody else waits for the process by it; the callback is shown it
    /// ([`ChildEvent::process`]), and [`Child::into_process`] gives it back.
    #[track_caller]
    pub fn child(
        &mut self,
        process: process::Child,
        callback: impl FnMut(&mut EvLoop, ChildEvent<'_>) + 'static,
    ) -> Child {
        let pid = process.id();
        self.insert_child(Some(process), pid, ChildSlot::OWNER, callback)
    }

    /// Makes a watcher of a child process by its number, for processes that were not made with
    /// `std::process`. It is not started yet.
    #[track_caller]
    pub fn child_pid(
        &mut self,
        pid: u32,
        callback: impl FnMut(&mut EvLoop, ChildEvent<'_>) + 'static,
    ) -> Child {
        self.insert_child(None, pid, 0, callback)
    }

    /// Makes a watcher of any child process (`ev_child_init` with pid 0): it is called for each one that
    /// ends, and goes on. It is not started yet.
    ///
    /// **It waits for every child of the process**, those of `std::process::Command` and of other
    /// libraries included, whose own `wait` then fails. For process 1 of a container and the like.
    /// Watchers of single processes in this loop are told as well.
    #[track_caller]
    pub fn reap_any(
        &mut self,
        callback: impl FnMut(&mut EvLoop, ChildEvent<'_>) + 'static,
    ) -> Child {
        self.insert_child(None, 0, ChildSlot::ANY, callback)
    }

    #[track_caller]
    fn insert_child(
        &mut self,
        process: Option<process::Child>,
        pid: u32,
        flags: u8,
        callback: impl FnMut(&mut EvLoop, ChildEvent<'_>) + 'static,
    ) -> Child {
        let process = Rc::new(RefCell::new(Owned(process)));
        let cell = Rc::new(Cell { process, callback: RefCell::new(callback) });
        Child(self.children.slots.insert(ChildSlot::new(cell, pid, flags)))
    }
}

verbs!(Child, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_child(key)
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_child(key);
    ev.children.slots.remove(key).is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

impl Child {
    /// Starts the watcher; no effect if it is started already.
    ///
    /// An end that came before, also while the watcher was stopped, is told in the next iteration.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a number that no process can have;
    /// [`ErrorKind::Register`](crate::ErrorKind::Register) if the system refuses a descriptor;
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked); [`ErrorKind::Stale`](crate::ErrorKind::Stale). That
    /// there is no such child is not an error of the start but an event.
    pub fn start(self, ev: &mut EvLoop) -> Result<Self> {
        ev.start_child(self.0).map(|()| self)
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

    /// Whether the watcher is told of stops and continuations too (libev's `trace`), in any state. Default:
    /// no.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale), and for a started watcher those of
    /// [`start`](Self::start); the watcher stays as it was then.
    pub fn set_trace(self, ev: &mut EvLoop, trace: bool) -> Result<Self> {
        ev.trace_child(self.0, trace).map(|()| self)
    }

    /// Sends the process a signal; 0 sends none and only asks.
    ///
    /// Through the process's descriptor while the watcher is started, so it never reaches another process
    /// that has got the number meanwhile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Kill`](crate::ErrorKind::Kill) when the process is over (`ESRCH`) or we may not
    /// (`EPERM`); [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a number that is no
    /// signal's and for a watcher of any process; [`ErrorKind::Stale`](crate::ErrorKind::Stale).
    pub fn signal(self, ev: &mut EvLoop, signum: i32) -> Result<()> {
        ev.signal_child(self.0, signum)
    }

    /// The process's number; `None` for a watcher of any process, and for a stale key.
    #[must_use]
    pub fn pid(self, ev: &EvLoop) -> Option<u32> {
        ev.children.slots.get(self.0).map(|slot| slot.pid).filter(|pid| *pid != 0)
    }

    /// Frees the watcher and gives the process back.
    ///
    /// `None`, and no change, if the watcher was not made with [`EvLoop::child`], if its callback is
    /// running, or if the key is stale.
    #[must_use = "the handle is dropped if it is not kept"]
    pub fn into_process(self, ev: &mut EvLoop) -> Option<process::Child> {
        let handle = ev.children.slots.get(self.0)?.cell.handle();
        let process = handle.downcast_ref::<RefCell<Owned>>()?.try_borrow_mut().ok()?.0.take()?;
        self.free(ev);
        Some(process)
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the watcher exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, ChildEvent<'_>) + 'static,
    ) -> bool {
        let Some(slot) = ev.children.slots.get_mut(self.0) else { return false };
        let Ok(process) = slot.cell.handle().downcast::<RefCell<Owned>>() else { return false };
        slot.cell = Rc::new(Cell { process, callback: RefCell::new(callback) });
        true
    }
}
