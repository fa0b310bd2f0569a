//! Writing to what has no reader without being killed for it.
//!
//! Sockets are written with `MSG_NOSIGNAL`. Pipes and terminals have no such flag, nor has `sendfile`:
//! with them it depends on what the process does on `SIGPIPE`. Rust programs ignore it from the start;
//! others, and those that have changed it back, die of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Whether `SIGPIPE` would end the process now.
pub(crate) fn kills() -> bool {
    // SAFETY: all zeroes is a valid `sigaction`: integers, and a handler that may be null.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action changes nothing; `now` is valid for the old one to be written to.
    let asked = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut now) };
    asked != 0 || now.sa_sigaction == libc::SIG_DFL
}

/// `write(2)`, with `EPIPE` as no more than an error.
pub(crate) fn write(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    if kills() { write_masked(fd, bytes) } else { write_plainly(fd, bytes) }
}

fn write_plainly(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the descriptor is borrowed for the call, and the slice is valid for its length.
    let n = unsafe { libc::write(fd.as_fd().as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// The signal is of this thread, the one that writes: blocked here it waits, and is taken before it is
/// let through again. One that waited before is somebody else's and stays.
#[cold]
fn write_masked(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: all zeroes is a valid `sigset_t`, and the calls below initialise what they are given; every
    // pointer is to a local that outlives its call; the mask of this thread is put back at the end.
    unsafe {
        let mut pipe: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::sigpending(&mut pending);
        let waited = libc::sigismember(&pending, libc::SIGPIPE) == 1;
        let blocked = libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        if blocked != 0 {
            return Err(io::Error::from_raw_os_error(blocked));
        }
        let result = write_plainly(fd, bytes);
        let broken = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::EPIPE));
        if broken && !waited {
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while libc::sigtimedwait(&pipe, std::ptr::null_mut(), &at_once) == -1
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        result
    }
}
