//! Hints: word from the kernel that a path may have changed, so that a stat watcher looks at once.
//!
//! A hint says *look*, never *what*. It may come for nothing, and several may come as one; the meaning of a
//! stat watcher stays that of polling, only sooner. What must not happen is that one stays away where
//! polling was given up for it, so [`Coverage::Full`] is given only where that is known, and everything
//! in doubt, from a network file system to a hard link, is [`Coverage::Partial`]: hinted and polled.
//!
//! One watcher of `notify`, with its one thread, serves all loops of the process. It watches directories,
//! never files, since a file that is replaced by renaming another over it takes its watch with it. What
//! happens in a directory is matched by name on `notify`'s thread, before any loop is woken: ten
//! thousand paths in one directory are one watch and one look into a hash table per event.
//!
//! # How to use it
//!
//! On a hint: [`renew`](Subscription::renew), *then* look. After [`subscribe`] likewise: what happens
//! between a look and the subscription is hinted to nobody, what happens after it is. Renewing finds out
//! whether the path now leads elsewhere (a directory appeared, or was replaced), and is two looks at the
//! file system if it does not. As long as the coverage is not full, renew with every poll as well: what the
//! system refused it may grant later. A key may still be in the [`Inbox`] after its subscription has gone.
//!
//! # Sharp edges
//!
//! Not hinted, and therefore found by polling only, or never where [`Coverage::Full`] was given:
//!
//! * Writing to the file through **another hard link** in another directory. A file that has several links
//!   when it is looked at is polled; a link made later elsewhere goes unnoticed until the next hint.
//! * **Writing through `mmap`**, until the descriptor is closed.
//! * **Renaming or unmounting a directory above the parent**, and mounting something over the path.
//!   Unmounting the parent itself too: the kernel tells, `notify` does not pass it on. Symbolic links in
//!   the parent part make a path polled for that reason: those do get swapped.
//! * **Reading**: that `accessed` has changed is no hint, else every reader in the directory would wake
//!   loops. (`notify` asks the kernel for `IN_OPEN` and gives no choice, so its own thread does wake.)
//! * **Network, FUSE and pseudo file systems** (`/proc`, `/sys`), where others make the changes. Polled.
//! * **A file with something mounted on it**, as in containers: its events go to the directory it comes
//!   from. Polled.

// # Invariants
//
// Two locks. `Hub::control` is held by whoever subscribes, renews or unsubscribes, for the whole of it,
// calls of notify included. `Hub::table` is held for short, by them and by the event handler on notify's
// thread. An inbox's lock is innermost. Order: control, table, inbox.
//
// No deadlock: notify's `watch` and `unwatch` wait for a reply of its thread, and its `drop` is followed by
// our waiting for the end of that thread. All that thread ever takes is `table` and an inbox. Nobody
// holds either while it calls notify, and nobody who holds
// them waits for anything else: `Ring::ring` must not block. The file system is asked with `control` held or
// without a lock: one that does not answer holds up those who subscribe, never those who take hints.
//
// Directories are known by device and inode, because inotify knows them so: if notify watches the same
// one by two paths, the kernel gives it one descriptor for both and removing either silences both. The
// path a directory is watched by is its *label*. For notify it is a key and nothing more: it stays what it
// was when the directory is moved, two directories must not have the same one, and notify forgets a watch
// when it is told that something of that name (or, of the directories below, of the name of one
// above) was deleted or moved away, even if the name is another directory's by now. Hence:
//
// * a directory is `lost` from the moment at which an event made notify, or the kernel, forget it, or may
//   have; all its subscribers are hinted in the same breath, and the first to renew has it watched anew;
// * `lost` is cleared before notify is asked to watch. Notify forgets, at the end of a batch of events, on the
//   same thread on which it then takes up our request, so what was marked before is forgotten before;
//   and a mark that is set meanwhile stays, and costs a needless renewal at worst;
// * a subscriber is in the table before it checks that nothing is lost and that the path still leads where
//   it did: every event after that check finds it.
//
// An inode number may be used again at once, for a directory that we then believe to be watched. The
// event that the old one was deleted precedes that, so it is marked as lost by then, or will be, and its
// subscribers, old and new, hinted.
//
// Fork: a child must neither lock nor drop what the parent had (its locks may be held by a thread that was
// not forked, its descriptors are the parent's too). The hub is leaked and tagged with the generation of the
// process; whoever finds a foreign one puts its own in its place, and what belongs to a foreign one does
// nothing.
//
// The end: whoever removes the last directory drops notify's watcher and waits for the end of its event
// loop, which drops our handler after its descriptors. All under `control`, so nobody can subscribe in
// between, and afterwards the process has no descriptor of ours. The price is a thread started anew by
// a program that has one stat watcher and restarts it all the time: some 100 µs.

mod control;
mod handler;
mod hub;
mod inbox;
mod locality;
mod route;
mod subscription;
mod table;

pub(crate) use inbox::Inbox;
pub(crate) use subscription::{Subscription, subscribe};

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::fork;

/// How much a subscription's hints are worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coverage {
    /// Every change is hinted (but see the module's sharp edges): the path exists, its directory is
    /// watched, and both lie on a local file system.
    Full,
    /// Hints come, but some changes may come without.
    Partial,
    /// No hints: the system refused.
    None,
}

/// Which process this is, as long as no forked child has the same.
fn generation() -> u32 {
    #[cfg(test)]
    let forks = tests::FORKS.load(std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(test))]
    let forks = 0;
    fork::generation() + forks
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics with one of these locks held, save for want of memory.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
