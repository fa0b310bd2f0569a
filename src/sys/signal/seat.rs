//! A loop's seat: what it listens for, and what came. The owner's side of the protocol.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{io, ptr, thread};

use super::Ring;
use super::action::{LISTENS, bit, install};
use super::mask::change_mask;
use super::nodes::{Node, nodes};
use crate::sys::fork;

/// One loop's place among those that signals are delivered to.
pub(crate) struct Seat {
    pub(super) node: &'static Node,
}

impl Seat {
    /// Takes a seat, which listens for nothing yet.
    ///
    /// The seat belongs to the process it was taken in, if [`fork::watch`] was called before.
    pub(crate) fn take(ring: Arc<dyn Ring>) -> Self {
        let ring = Box::into_raw(Box::new(ring));
        // Acquire, with the Release in `drop`: what the last owner did to the node is over.
        let free = nodes().find(|node| !node.taken.swap(true, Ordering::Acquire));
        let node = free.unwrap_or_else(Node::append);
        // Relaxed: handlers look at these only behind an `interest` bit, and setting that publishes
        // them. Of `users`, nothing may be assumed: a late handler of an earlier time can be inside,
        // between its two looks at `interest`.
        node.generation.store(fork::generation(), Ordering::Relaxed);
        node.ring.store(ring, Ordering::Relaxed);
        Self { node }
    }

    /// From here on the signal is noted in this seat; with `unblock` the calling thread no longer
    /// blocks it. Listening for it already, only the unblocking is done.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for what is no signal, for those that cannot be
    /// caught or are raised by faults (SIGKILL SIGSTOP SIGILL SIGFPE SIGSEGV), and for those that the
    /// C library keeps to itself. Nothing has changed then.
    pub(crate) fn listen(&self, signum: i32, unblock: bool) -> io::Result<()> {
        let Some(bit) = bit(signum) else {
            return Err(unwatchable(signum));
        };
        fork::watch()?;
        let node = self.node;
        if node.interest.load(Ordering::Relaxed) & bit == 0 {
            // What came before is not for this listener: notes of the time before the last `unlisten`,
            // or of the seat's last owner. A handler in another thread may be past its looks and make
            // such a note only after this. It cannot be told from a signal that was sent earlier and
            // is delivered now, so there is no use in waiting for it.
            node.pending.fetch_and(!bit, Ordering::Relaxed);
            // Before the handler is there, so that no signal meets the handler alone. SeqCst, as
            // all of `interest` and LISTENS: see `deliver`.
            node.interest.fetch_or(bit, Ordering::SeqCst);
            LISTENS.fetch_add(1, Ordering::SeqCst);
        }
        let done = install(signum, bit).and_then(|()| match unblock {
            true => change_mask(libc::SIG_UNBLOCK, signum),
            false => Ok(()),
        });
        if done.is_err() {
            self.unlisten(signum);
        }
        done
    }

    /// The signal is no longer noted here; a note not yet taken is forgotten.
    pub(crate) fn unlisten(&self, signum: i32) {
        let Some(bit) = bit(signum) else { return };
        self.node.interest.fetch_and(!bit, Ordering::SeqCst);
        // The note may stay: it is not reported without interest, and `listen` removes it.
    }

    /// The signals that came since the last call, in ascending order.
    pub(crate) fn take_pending(&self) -> Signals {
        // Acquire, with the Release in `deliver`: what the handler's thread did before the signal.
        let pending = self.node.pending.swap(0, Ordering::Acquire);
        Signals(pending & self.node.interest.load(Ordering::Relaxed))
    }

    /// In a forked child: the seat belongs to this process now, and signals ring again.
    ///
    /// Rings if something is pending, so the ring must not reach the parent any more.
    pub(crate) fn adopt(&self) {
        let node = self.node;
        // SeqCst here and in `deliver`: a handler notes and then looks at the generation, this sets
        // the generation and then looks for notes; one of the two sees the other's.
        node.generation.store(fork::generation(), Ordering::SeqCst);
        if node.pending.load(Ordering::SeqCst) != 0 {
            let ring = node.ring.load(Ordering::Relaxed);
            // SAFETY: the pointer was made from a box in `take`, and only `drop` frees it, which
            // needs the seat that is borrowed here.
            unsafe { (*ring).ring() };
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let node = self.node;
        // The order of the module's protocol.
        node.interest.store(0, Ordering::SeqCst);
        let ring = node.ring.swap(ptr::null_mut(), Ordering::SeqCst);
        // Also an Acquire, with the Release of the handlers' subtraction: their use of the ring is
        // over before it is freed.
        while node.users.load(Ordering::SeqCst) != 0 {
            thread::yield_now();
        }
        // Release, with the Acquire in `take`.
        node.taken.store(false, Ordering::Release);
        // SAFETY: made by `Box::into_raw` in `take`, and taken out of the node by this swap alone. No
        // handler has it: those that loaded it before the swap had added themselves to `users`
        // before, and that was seen at 0 since; those that loaded later got null, or the pointer of
        // the node's next owner.
        drop(unsafe { Box::from_raw(ring) });
    }
}

/// A set of signals; iterates in ascending order.
#[derive(Debug)]
pub(crate) struct Signals(u64);

impl Iterator for Signals {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        if self.0 == 0 {
            return None;
        }
        let lowest = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(lowest as i32 + 1)
    }
}

#[cold]
fn unwatchable(signum: i32) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("signal {signum} cannot be watched"))
}
