//! What the kernel would have done, done in the handler where nobody listens.
//!
//! One thread at a time for each signal: it puts the default in place, raises, and puts back what was there.

use std::cell::UnsafeCell;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use super::mask::only;

/// A default action being performed: who does it, and what to put back.
struct Performing {
    state: AtomicU8,
    /// Belongs to whoever has brought `state` from idle to busy.
    replaced: UnsafeCell<MaybeUninit<libc::sigaction>>,
}

const IDLE: u8 = 0;
/// Somebody is at it.
const BUSY: u8 = 1;
/// Somebody is at it, and what to put back is known.
const REPLACING: u8 = 2;

// SAFETY: `replaced` is touched only by the one thread that won `state` from IDLE to BUSY, until it
// sets IDLE with Release; and by the only thread of a forked child, in which that thread is no more.
unsafe impl Sync for Performing {}

static PERFORMING: [Performing; 64] = [const {
    Performing { state: AtomicU8::new(IDLE), replaced: UnsafeCell::new(MaybeUninit::uninit()) }
}; 64];

/// Has the kernel do what it would have done without a handler, so that the parent sees the true
/// signal, core flag included. In the handler.
///
/// Returns after a stop, when the process is continued, and where the default does not apply: a stop
/// in an orphaned process group, any signal to the first process of a namespace. The handler is back
/// in place then.
pub(super) fn perform_default(signum: i32) {
    let Some(performing) = PERFORMING.get(signum as usize - 1) else { return };
    // A second thread would find the default in place and put that back in the end. Nor has it
    // anything to add: its signal came while this one was being performed on the whole process.
    let state = &performing.state;
    if state.compare_exchange(IDLE, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return;
    }
    let replaced = performing.replaced.get().cast::<libc::sigaction>();
    // SAFETY: the memory is this thread's by the exchange above, lives for ever, and is written by
    // this call; a null new action changes nothing.
    if unsafe { libc::sigaction(signum, ptr::null(), replaced) } == 0 {
        // Known before it is replaced, so that a fork at any moment finds either nothing to put
        // back or what to; see `in_child`.
        state.store(REPLACING, Ordering::Release);
        // SAFETY: all zeros are a valid value of this plain C structure: SIG_DFL, no flags, an empty
        // mask, no restorer.
        let default: libc::sigaction = unsafe { mem::zeroed() };
        let signal = only(signum);
        let mut before = MaybeUninit::uninit();
        // SAFETY: the pointers are to locals, and to `replaced`, filled above; they outlive the calls,
        // which are all async-signal-safe. The mask is put back only if it was read. What is put back
        // in the end is what this process had in place.
        unsafe {
            libc::sigaction(signum, &raw const default, ptr::null_mut());
            // For this thread, pending as long as it blocks the signal, as handlers do.
            libc::raise(signum);
            let unblock = libc::SIG_UNBLOCK;
            if libc::pthread_sigmask(unblock, &raw const signal, before.as_mut_ptr()) == 0 {
                // Here the process ends or stops. Blocked again before the handler returns to its
                // place: it must not interrupt itself.
                libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
            }
            libc::sigaction(signum, replaced, ptr::null_mut());
        }
    }
    state.store(IDLE, Ordering::Release);
}

/// In a forked child: a thread that had the default in place does not exist here.
pub(super) fn in_child() {
    for (signum, performing) in (1..).zip(&PERFORMING) {
        match performing.state.load(Ordering::Relaxed) {
            IDLE => continue,
            // SAFETY: filled before the state was set, by a thread that does not exist here. The call
            // is async-signal-safe and reads it.
            REPLACING => unsafe {
                libc::sigaction(signum, performing.replaced.get().cast(), ptr::null_mut());
            },
            _ => {}
        }
        performing.state.store(IDLE, Ordering::Relaxed);
    }
}
