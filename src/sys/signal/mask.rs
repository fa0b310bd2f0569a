//! The calling thread's signal mask, and sets of one signal.

use std::mem::MaybeUninit;
use std::{io, ptr};

/// Changes the calling thread's signal mask by one signal.
pub(super) fn change_mask(how: i32, signum: i32) -> io::Result<()> {
    let signal = only(signum);
    // SAFETY: the pointer is to a local that outlives the call; null means that the old mask is not
    // asked for.
    match unsafe { libc::pthread_sigmask(how, &raw const signal, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The C library's set with one signal in it. Async-signal-safe.
pub(super) fn only(signum: i32) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the pointer is to a local; `sigemptyset` initialises it and cannot fail, and
    // `sigaddset` leaves it as it is if the number is no signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signum);
        set.assume_init()
    }
}
