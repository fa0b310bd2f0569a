//! Noticing that the process was forked.
//!
//! What a loop shares with the kernel (an epoll instance, a wake-up channel) is shared with the
//! parent after a fork, so a loop must know that it is in a child before it touches any of it. A
//! `getpid` per look would cost a system call; a counter that `pthread_atfork` has bumped in the
//! child costs a load. Whoever owns something of that sort keeps the [`generation`] it was made in
//! and compares: unequal means that it belongs to an ancestor.
//!
//! The count starts with the first [`watch`]; numbers are good for comparing and for nothing else.
//!
//! # Sharp edges
//!
//! Only `fork(3)` runs the handlers. A bare `clone(2)`, glibc's `_Fork` and `vfork` do not; children
//! made by those ways have no business in a loop before they execute another program. glibc runs the
//! handlers with signals unblocked, so for a moment a handler in the child sees the parent's number.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static WATCHING: AtomicBool = AtomicBool::new(false);

/// Has forks counted from here on. Costs one load when that is so already.
///
/// # Errors
///
/// `ENOMEM`, the only failure of `pthread_atfork(3)`.
pub(crate) fn watch() -> io::Result<()> {
    // Acquire, with the Release below: whoever sees `true` has the handler registered.
    if WATCHING.load(Ordering::Acquire) {
        return Ok(());
    }
    // No lock: a fork while another thread held it would lock the child out for good. Two threads
    // that meet here both register, the count then moves by two, and nobody minds.
    // SAFETY: the handler is a function of the right type for as long as the program (glibc takes it
    // out again where it unloads the library it is in), and it does only what a child of a threaded
    // process may do, see there.
    let error = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    WATCHING.store(true, Ordering::Release);
    Ok(())
}

/// Which process of a line of forks this is.
#[inline]
pub(crate) fn generation() -> u32 {
    // Relaxed: it changes only where the process has a single thread, and threads started later see
    // it by having been started.
    GENERATION.load(Ordering::Relaxed)
}

/// Runs in the child, in its only thread, possibly with locks held by threads that are not there:
/// nothing but atomics and async-signal-safe calls. Harmless when run twice.
extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    super::signal::in_child();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_is_of_another_generation_and_the_parent_is_not() {
        watch().unwrap();
        watch().unwrap();
        let before = generation();
        // SAFETY: the child does nothing but a load and `_exit`, which are async-signal-safe.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: `_exit` ends the process and touches nothing else.
            unsafe { libc::_exit(i32::from(generation() == before)) };
        }
        assert!(child > 0);
        let mut status = -1;
        // SAFETY: the pointer is to a local that outlives the call; the child is this test's own.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(generation(), before);
    }
}
