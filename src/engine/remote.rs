//! The way in from other threads: one word of flags, a list of closures, and a bell.
//!
//! Everything else of the loop is `!Send`, so this is all there is to synchronise. A sender sets
//! its flag with one atomic operation and rings the bell only if the loop had said that it is
//! about to wait and nobody else has rung since: sends to a busy loop make no system call.
//!
//! The word's protocol, with W = [`WANTED`] and the others flags of what was sent:
//!
//! * the loop, before it waits: `fetch_or(W)`; if a flag was set, it does not wait;
//! * a sender: `fetch_or(flag)`; if it got W back and no flag, it rings;
//! * the loop, after waiting: `swap(0)` takes the flags and withdraws W at once.
//!
//! Each step is one read-modify-write on one word, so they fall into one order and a flag is either
//! seen by the loop's first step or its sender sees W.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, mem};

use crate::sys::fork;
use crate::sys::signal::Ring;
use crate::sys::wake::Bell;
use crate::{Break, EvLoop};

/// The loop is about to wait, or waiting.
const WANTED: u32 = 1;
/// A [`Remote::wake`].
pub(crate) const WOKEN: u32 = 2;
/// Closures were posted.
pub(crate) const POSTED: u32 = 4;
/// A notifier called.
pub(crate) const NOTIFIED: u32 = 8;
/// A signal came that somebody in this loop listens to.
pub(crate) const SIGNALLED: u32 = 16;
/// The loop itself has gathered something outside of a wait.
pub(crate) const GATHERED_OUTSIDE: u32 = 64;
/// A watched file may have changed.
#[cfg(feature = "stat")]
pub(crate) const HINTED: u32 = 32;

pub(crate) type Posted = Box<dyn FnOnce(&mut EvLoop) + Send>;

/// What a loop shares with its remote handles. Outlives the loop as long as one of them does.
pub(crate) struct Shared {
    flags: AtomicU32,
    gone: AtomicBool,
    posted: Mutex<Vec<Posted>>,
    bell: Arc<Bell>,
    /// The process whose bell it is: in a forked child that has not taken the loop over, it is still the
    /// parent's.
    forks: AtomicU32,
}

impl Shared {
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        Self {
            flags: AtomicU32::new(0),
            gone: AtomicBool::new(false),
            posted: Mutex::new(Vec::new()),
            bell,
            forks: AtomicU32::new(fork::generation()),
        }
    }

    /// Sets a flag and wakes the loop if it waits. Lock-free and without allocation.
    pub(crate) fn flag(&self, flag: u32) {
        // AcqRel: what the sender wrote before is seen by the loop that takes the flag.
        if self.flags.fetch_or(flag, Ordering::AcqRel) == WANTED
            && self.forks.load(Ordering::Relaxed) == fork::generation()
        {
            self.bell.ring();
        }
    }

    /// Announces a wait; `false` if something was sent already and there must be none.
    #[inline]
    pub(crate) fn announce_wait(&self) -> bool {
        self.flags.fetch_or(WANTED, Ordering::AcqRel) & !WANTED == 0
    }

    /// Takes what was sent and withdraws the announcement.
    #[inline]
    pub(crate) fn take(&self) -> u32 {
        // The load spares the locked operation in turns that neither wait nor were sent anything.
        if self.flags.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.flags.swap(0, Ordering::AcqRel) & !WANTED
    }

    /// What was taken could not be dealt with: the next to take it is the next run.
    pub(crate) fn put_back(&self, flags: u32) {
        self.flags.fetch_or(flags, Ordering::AcqRel);
    }

    pub(crate) fn has_flags(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & !WANTED != 0
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Sleeps until the bell rings, for backends that have no wait of their own.
    #[cfg(feature = "test-util")]
    pub(crate) fn await_bell(&self) -> std::io::Result<()> {
        let mut fds = [rustix::event::PollFd::new(&*self.bell, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None)?;
        self.bell.hush();
        Ok(())
    }

    /// In a forked child: the bell is the parent's as well. The new one has the old number, so whoever
    /// rings it need not be told.
    pub(crate) fn renew_bell(&self) -> std::io::Result<()> {
        self.bell.renew()
    }

    /// In a forked child, with a bell of its own: what was sent before is rung for again. `waiting`:
    /// nobody runs the loop, so a host may be waiting for its descriptor.
    pub(crate) fn adopt(&self, waiting: bool) {
        self.forks.store(fork::generation(), Ordering::Relaxed);
        let flags = self.take();
        if waiting {
            self.announce_wait();
        }
        if flags != 0 {
            self.flag(flags);
        }
    }

    /// A poster that panicked while it held the lock has left the list as it was.
    fn list(&self) -> MutexGuard<'_, Vec<Posted>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_posted(&self) -> Vec<Posted> {
        mem::take(&mut *self.list())
    }

    /// The loop is being dropped: nothing is accepted any more, what was not run is dropped.
    pub(crate) fn close(&self) {
        let mut list = self.list();
        self.gone.store(true, Ordering::Release);
        let unrun = mem::take(&mut *list);
        // Their destructors may post.
        drop(list);
        drop(unrun);
    }
}

/// A line into the loop for those who know nothing of loops: rings with one flag.
pub(crate) struct Ringer {
    shared: Arc<Shared>,
    flag: u32,
}

impl Ringer {
    pub(crate) fn new(shared: Arc<Shared>, flag: u32) -> Self {
        Self { shared, flag }
    }
}

impl Ring for Ringer {
    fn ring(&self) {
        self.shared.flag(self.flag);
    }
}

/// One notifier's end of the line: what its watcher and its sending half share.
pub(crate) struct Caller {
    /// Whether the watcher is started; calls to a stopped one have no effect.
    listening: AtomicBool,
    called: AtomicBool,
    shared: Arc<Shared>,
}

impl Caller {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (listening, called) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { listening, called, shared }
    }

    /// Returns whether the call will be heard.
    #[inline]
    pub(crate) fn call(&self) -> bool {
        if !self.listening.load(Ordering::Acquire) {
            return false;
        }
        // A swap and not a load: what this thread wrote before must be seen by the callback also
        // where the call joins an earlier one.
        if !self.called.swap(true, Ordering::AcqRel) {
            self.shared.flag(NOTIFIED);
        }
        true
    }

    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    /// Takes the call, on the loop's thread.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        self.called.load(Ordering::Relaxed) && self.called.swap(false, Ordering::AcqRel)
    }

    /// The watcher starts or stops; a call made before is forgotten. Whoever is told that its call will
    /// be heard must be right: nothing is forgotten once calls are accepted.
    pub(crate) fn listen(&self, listening: bool) {
        if !listening {
            self.listening.store(false, Ordering::Release);
        }
        self.called.store(false, Ordering::Release);
        if listening {
            self.listening.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.shared.is_gone()
    }
}

/// A handle to a loop for other threads.
///
/// Clone it, send it, keep it as long as you like: once the loop is gone its methods return
/// `false` and do nothing.
///
/// ```
/// use evloop::EvLoop;
/// use std::time::Duration;
///
/// let mut ev = EvLoop::new()?;
/// let keep_alive = ev.timer(Duration::from_secs(60), Duration::ZERO, |_, _| {}).start(&mut ev);
/// let remote = ev.remote();
/// let worker = std::thread::spawn(move || {
///     let result = 6 * 7;
///     remote.post(move |ev| {
///         assert_eq!(result, 42);
///         keep_alive.stop(ev);
///     })
/// });
/// ev.run()?;
/// assert!(worker.join().unwrap());
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// A posted closure does not keep the loop running: a loop with no active watchers returns from
/// `run` although a thread is about to post. A closure posted but never run is dropped with the
/// loop, on the loop's thread, so senders captured in it close then.
///
/// Nothing bounds how many closures wait. Where a thread may outrun the loop, use a
/// [`channel`](EvLoop::channel), which says when it is full.
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

impl Remote {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Has the loop's thread call `f`, before any watcher of the same turn.
    ///
    /// Closures from one thread run in the order they were posted. Those posted while the loop is
    /// running posted closures wait for the next turn, so a poster cannot starve the watchers.
    /// Allocates, and takes a lock for the length of a push; for signal handlers there is
    /// [`Notifier`](crate::Notifier). Returns `false`, and drops `f`, once the loop is gone.
    pub fn post(&self, f: impl FnOnce(&mut EvLoop) + Send + 'static) -> bool {
        let f: Posted = Box::new(f);
        {
            let mut list = self.shared.list();
            // Under the lock, so that nothing enters after `close` has emptied the list.
            if self.shared.is_gone() {
                drop(list);
                return false;
            }
            list.push(f);
        }
        self.shared.flag(POSTED);
        true
    }

    /// Ends the loop's present or next wait. Nothing is called; an iteration passes.
    pub fn wake(&self) -> bool {
        if self.shared.is_gone() {
            return false;
        }
        self.shared.flag(WOKEN);
        true
    }

    /// [`EvLoop::break_loop`] from another thread.
    ///
    /// It is a posted closure: it takes effect in the run that executes it, so a break sent just
    /// before `run` is not lost.
    pub fn break_loop(&self, how: Break) -> bool {
        self.post(move |ev| ev.break_loop(how))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("gone", &self.shared.is_gone()).finish()
    }
}
