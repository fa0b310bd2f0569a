//! The action for a signal: installed once, and run in the handler. The handler's side of the protocol.
//!
//! What is called from `act` on takes no lock, allocates nothing, frees nothing and does not panic.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{io, ptr};

use super::default_action::perform_default;
use super::nodes::nodes;
use crate::sys::fork;

/// How often a seat began to listen for a signal.
pub(super) static LISTENS: AtomicU32 = AtomicU32::new(0);

/// The signals whose action is installed.
pub(super) static INSTALLED: AtomicU64 = AtomicU64::new(0);

/// What to do with a signal that nobody listens for, by the disposition found at install.
#[derive(Clone, Copy)]
enum Fallback {
    /// It was ignored, or left to a default that is to ignore it (for SIGCONT: the kernel has
    /// continued the process before any handler runs); or there was a handler: the registry calls
    /// that before our action, whether somebody listens or not.
    Nothing,
    /// The default action, which ends or stops the process.
    Default,
}

/// The bit of a signal that can be listened for, as far as that can be said without asking.
pub(super) fn bit(signum: i32) -> Option<u64> {
    // The last five make the registry panic.
    let refused = [libc::SIGKILL, libc::SIGSTOP, libc::SIGILL, libc::SIGFPE, libc::SIGSEGV];
    ((1..=64).contains(&signum) && !refused.contains(&signum)).then(|| 1 << (signum - 1))
}

/// Installs the action for a signal, once in the life of the process.
pub(super) fn install(signum: i32, bit: u64) -> io::Result<()> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    // Acquire, with the Release below: the handler is in place.
    if INSTALLED.load(Ordering::Acquire) & bit != 0 {
        return Ok(());
    }
    // Nothing is protected but the sequence of steps; poison means nothing.
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if INSTALLED.load(Ordering::Relaxed) & bit != 0 {
        return Ok(());
    }
    let mut found = MaybeUninit::uninit();
    // SAFETY: a null new action changes nothing; the pointer is to a local that outlives the call.
    // This also is what refuses numbers that the C library keeps to itself, with EINVAL.
    if unsafe { libc::sigaction(signum, ptr::null(), found.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, and so has filled it.
    let found: libc::sigaction = unsafe { found.assume_init() };
    let fallback = match (found.sa_sigaction, signum) {
        (libc::SIG_DFL, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT) => {
            Fallback::Nothing
        }
        (libc::SIG_DFL, _) => Fallback::Default,
        _ => Fallback::Nothing,
    };
    // SAFETY: the action runs in signal handlers. It walks leaked nodes by atomics, calls `ring`,
    // whose contract is to be async-signal-safe, and `sigaction`, `raise` and `pthread_sigmask`,
    // which are; it does not lock, allocate or panic.
    unsafe { signal_hook_registry::register(signum, move || act(signum, bit, fallback))? };
    INSTALLED.fetch_or(bit, Ordering::Release);
    Ok(())
}

/// The action, in the signal handler.
fn act(signum: i32, bit: u64, fallback: Fallback) {
    loop {
        let listens = LISTENS.load(Ordering::SeqCst);
        if deliver(bit) {
            return;
        }
        // While one loop took the signal over from another, the walk may have passed the first before
        // and the second after. Then the first had counted its `listen` in between: walk again.
        if LISTENS.load(Ordering::SeqCst) == listens {
            break;
        }
    }
    match fallback {
        Fallback::Nothing => {}
        Fallback::Default => perform_default(signum),
    }
}

/// Notes the signal in all seats that listen for it and rings them; whether there was one.
fn deliver(bit: u64) -> bool {
    let mut heard = false;
    for node in nodes() {
        if node.interest.load(Ordering::SeqCst) & bit == 0 {
            continue;
        }
        let entered = fork::generation();
        node.users.fetch_add(1, Ordering::SeqCst);
        if node.interest.load(Ordering::SeqCst) & bit != 0 {
            heard = true;
            // At least Release, with the Acquire in `take_pending`. Before the ring: the loop that is
            // woken must find it.
            node.pending.fetch_or(bit, Ordering::SeqCst);
            // In a forked child the ring may still lead to the parent; see `adopt`, also for SeqCst.
            if node.generation.load(Ordering::SeqCst) == fork::generation() {
                let ring = node.ring.load(Ordering::SeqCst);
                // SAFETY: null, or from a box that its seat frees only when it has seen `users` at 0
                // after it took the pointer out of the node. This handler has added itself before
                // this load, and the pointer was there after that, so the seat waits for it.
                if let Some(ring) = unsafe { ring.as_ref() } {
                    ring.ring();
                }
            }
        }
        // If a handler that interrupted this one has forked, the child's count does not contain it.
        if entered == fork::generation() {
            // Release: the use of the ring is over.
            node.users.fetch_sub(1, Ordering::Release);
        }
    }
    heard
}
