//! Forks: a loop in a process that did not make it.
//!
//! After `fork` the child has a copy of everything in memory and the same kernel objects as the parent:
//! taking a descriptor out of the shared epoll set would silence the parent, ringing the shared bell would
//! wake it. So a counter that `fork` bumps in the child is compared before every kernel change. In a
//! child that has not said [`EvLoop::after_fork`] nothing of the parent's is touched: runs and starts
//! are refused, freeing only closes.

use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{EvLoop, tenants::Kind};
use crate::event::{Events, Interest};
use crate::sys::fork;
use crate::{Error, ErrorKind, Result};

impl EvLoop {
    /// Whether this process is not the one the loop belongs to.
    #[inline]
    pub(super) fn is_forked(&self) -> bool {
        fork::generation() != self.forks
    }

    /// Makes the loop this process's, if it may; refuses otherwise.
    #[inline]
    pub(crate) fn be_unforked(&mut self, doing: &'static str) -> Result<()> {
        if self.is_forked() { self.follow(doing) } else { Ok(()) }
    }

    #[cold]
    fn follow(&mut self, doing: &'static str) -> Result<()> {
        if self.options.follow_fork {
            self.after_fork()
        } else {
            Err(Error::new(ErrorKind::Forked, doing))
        }
    }

    /// Tells the kernel a change; not from a forked child, where it would be the parent's kernel object
    /// that changes.
    pub(super) fn modify(
        &mut self,
        fd: BorrowedFd<'_>,
        old: Interest,
        new: Interest,
        generation: u32,
    ) -> io::Result<()> {
        if !self.is_forked() {
            self.poller.modify(fd, old, new, generation)
        } else if new.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other("the process was forked and the loop was not told"))
        }
    }

    /// Makes the loop usable in a forked child (`ev_loop_fork`): for a child that goes on with the loop
    /// instead of calling `exec`.
    ///
    /// Whatever was shared with the parent is replaced: the backend's descriptor and the wake-up
    /// channel (both under their old numbers), the clock's timer, the stat hints. Every started watcher
    /// stays started, [fork watchers](Self::on_fork) are called in the next iteration, and the parent
    /// notices nothing. In the process that made the loop, and a second time, it does nothing.
    ///
    /// With [`Builder::follow_fork`](crate::Builder::follow_fork) the loop calls this by itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Create`] when the descriptors cannot be had; the loop stays
    /// [`Forked`](ErrorKind::Forked) and it can be tried again.
    ///
    /// # Sharp edges
    ///
    /// A callback that forks and returns in the child lets the rest of the events at hand be delivered
    /// there as well as in the parent: the two read from the same descriptors. Fork outside of callbacks,
    /// or call `exec` or `_exit` in the child.
    ///
    /// A loop that hosts another one by its [`backend_fd`](Self::backend_fd) must find that one taken over
    /// when it takes itself over: call the hosted loop's `after_fork` first, or in a
    /// [fork watcher](Self::on_fork) of the host.
    ///
    /// Only the thread that called `fork` goes on in the child. What other threads had locked stays
    /// locked there, the lists behind [`Remote::post`](crate::Remote::post) and channels included: fork
    /// from programs with one thread, or call `exec` soon. Child watchers see the parent's children,
    /// which are not this process's: they are told [`Events::ERROR`] when such a child ends, and at once where
    /// only `SIGCHLD` would tell (traced ones, and those without a process descriptor).
    pub fn after_fork(&mut self) -> Result<()> {
        let generation = fork::generation();
        if generation == self.forks {
            return Ok(());
        }
        let refused = |e| Error::os(ErrorKind::Create, "taking over a loop after a fork", e);
        self.shared.renew_bell().map_err(refused)?;
        self.renew_poller().map_err(refused)?;
        self.forks = generation;
        self.note(Self::FORKED, true);
        self.renew_clock_watch();
        // From here on the bell is ours, and whoever has something for us rings it.
        self.shared.adopt(self.depth == 0);
        self.adopt_seat();
        // No signal will come of what are the parent's children.
        self.gather_children();
        self.gathered_outside();
        #[cfg(feature = "stat")]
        self.renew_stats();
        Ok(())
    }

    /// The loop is being dropped: calls the cleanup watchers, all of them, and returns the first one's
    /// panic. Not in a forked child that has not taken over: what they clean up is the parent's.
    pub(super) fn call_cleanups(&mut self) -> Option<Box<dyn std::any::Any + Send>> {
        self.closing = true;
        if self.cleanups.roster.is_empty() || self.is_forked() {
            return None;
        }
        self.queue_roster(Kind::Cleanup, Events::CLEANUP, |ev| &ev.cleanups);
        let mut panicked = None;
        // Each panic has used up one event. One that feeds itself again and again is left at last.
        for _ in 0..=self.pending_count() {
            match catch_unwind(AssertUnwindSafe(|| self.dispatch())) {
                Ok(()) => break,
                Err(payload) => _ = panicked.get_or_insert(payload),
            }
        }
        panicked
    }

    /// Whether the loop is being dropped.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    fn renew_poller(&mut self) -> io::Result<()> {
        self.poller.reset()?;
        self.tell_all_again();
        Ok(())
    }

    /// Step 3: the fork watchers, once per fork.
    pub(super) fn queue_forks(&mut self) {
        self.note(Self::FORKED, false);
        self.queue_roster(Kind::Fork, Events::FORK, |ev| &ev.fork_watchers);
    }
}
