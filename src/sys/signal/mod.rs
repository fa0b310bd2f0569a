//! Signals, from the handler to the loops.
//!
//! Every loop has a [`Seat`]. A seat says which signals its loop listens for, and the handler, in
//! whatever thread it runs, walks all seats, notes the signal in those that want it, and rings their
//! loops. Any number of loops can listen for the same signal.
//!
//! The handlers are `signal-hook-registry`'s, so that they get along with other crates' (one
//! registration per signal, made when the first loop listens and kept for the life of the process:
//! the registry cannot give a disposition back). When nobody listens any more, our action behaves
//! as the [disposition found](action::Fallback) when it was installed.
//!
//! # The protocol
//!
//! Seats stand on nodes of a list that only grows; nodes are never freed, only taken again, so their
//! number is that of the most loops there ever were at once. A handler can walk the list at any time.
//! What does come and go is the [`Ring`] that a node points to:
//!
//! * a handler: looks at `interest`; adds itself to `users`; looks at `interest` again; sets the bit in
//!   `pending`; loads the pointer and rings; takes itself off `users`;
//! * the owner who leaves: sets `interest` to nothing; takes the pointer out; waits until `users` is 0;
//!   frees the ring.
//!
//! `users += 1` before the load of the pointer, and the pointer's removal before the look at `users`,
//! all four [`SeqCst`](Ordering::SeqCst): in their one order either the handler's addition comes
//! before the owner's look, and the owner waits, or the handler's load comes after the removal, and the
//! handler finds null. Acquire and Release would not do: each side stores to one word and then loads
//! the other's. The wait is bounded, under a storm of signals too: handlers that come later see no
//! interest and stay out, and those inside make at most one write that cannot block. A handler that
//! interrupts the waiting owner has come and gone before the owner looks again.
//!
//! The second look at `interest` makes that what a handler notes is for the owner whose pointer it
//! finds: a node does not change hands while `users` counts the handler.
//!
//! # Invariants
//!
//! * `interest` has a bit only while the node is taken, its pointer is set, and `generation` is its
//!   owner's; only the owner changes it.
//! * A signal for which there is an `interest` bit is never met with the default action: the bit is set
//!   before the handler is installed, and a handler that found nobody walks again if somebody began to
//!   listen meanwhile ([`LISTENS`](action::LISTENS)); so a loop may take a signal over from another.
//! * The handler takes no lock, allocates nothing, frees nothing, and leaves `errno` alone (the
//!   registry restores it).
//!
//! # Sharp edges
//!
//! * `exec` passes ignored signals on, but resets handled ones to the default: a signal that was ignored
//!   when a loop first listened for it is not ignored in programs executed later.
//! * What the kernel does by looking at the disposition cannot be imitated. With SIGCHLD found ignored,
//!   children become zombies from the first `listen` on; with SIGTTIN or SIGTTOU found ignored, a
//!   background process's terminal access is tried again and again instead of failing.
//! * SIGBUS, SIGTRAP and SIGSYS also come from the instruction at hand, which is tried again when the
//!   handler returns: whoever listens for one of them may turn a crash into an endless loop. For SIGBUS,
//!   Rust's runtime prevents that in its own way: it has a handler for stack overflows, the registry
//!   calls that first, and it puts the default in place: the second SIGBUS kills the process.
//! * Other users of the registry are not seen: when the last loop has stopped listening for a signal whose
//!   default is to kill, it kills, although another crate has registered for it since.
//! * A forked child that has not [adopted](Seat::adopt) a listening seat and does not drop it has the
//!   signal noted and nothing else done.
//! * What was pending at a fork is pending on both sides, like all of a loop's state.
//! * The first `listen` for a signal takes locks, ours and the registry's, and the registry waits until
//!   all handlers in flight have returned. In a child that was forked while another thread was in there,
//!   or in a handler, that lasts for ever. Signals listened for before the fork are not concerned.
//! * The registry asks for no alternate stack: handlers run on the stack of the thread that is interrupted.

mod action;
mod default_action;
mod mask;
mod nodes;
mod seat;

pub(crate) use seat::Seat;

use std::sync::atomic::Ordering;

use self::nodes::nodes;

/// A loop that can be woken.
pub(crate) trait Ring: Send + Sync {
    /// Tells the loop to look at [`Seat::take_pending`].
    ///
    /// Called in signal handlers: must not lock, allocate, block, or panic, and makes only
    /// async-signal-safe calls. What was written before is to be seen by the loop when it looks.
    fn ring(&self);
}

/// In a forked child, called by [`fork`](super::fork): what other threads had begun will not be finished here.
pub(super) fn in_child() {
    // Relaxed throughout: there is one thread. A handler that interrupts it has finished before it
    // goes on, so it has left nothing to be counted.
    for node in nodes() {
        node.users.store(0, Ordering::Relaxed);
    }
    default_action::in_child();
}

#[cfg(test)]
mod tests;
