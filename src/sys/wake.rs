//! The wake-up channel: an eventfd that any thread, and any signal handler, may write to.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that becomes readable when it is rung.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Puts a new, silent channel behind the same number: in a forked child, which shares the old one
    /// with its parent.
    pub(crate) fn renew(&self) -> io::Result<()> {
        let fresh = Self::new()?;
        // SAFETY: both numbers are open descriptors that we own. What stood behind ours is closed in the
        // same step in which the new one takes its place, so nobody sees the number closed; it stays
        // ours, of the same kind, and is closed by the same owner.
        let renewed =
            unsafe { libc::dup3(fresh.0.as_raw_fd(), self.0.as_raw_fd(), libc::O_CLOEXEC) };
        if renewed < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes the descriptor readable. Never blocks, never allocates, leaves `errno` alone.
    ///
    /// The result is not looked at: the one failure that can occur is `EAGAIN` when the counter is
    /// full, and then the descriptor is readable already.
    pub(crate) fn ring(&self) {
        // SAFETY: the address of the calling thread's errno is valid as long as the thread runs.
        let errno = unsafe { &raw mut *libc::__errno_location() };
        // SAFETY: as above; a plain read of an int.
        let saved = unsafe { errno.read() };
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        // SAFETY: as above; a plain write of an int.
        unsafe { errno.write(saved) };
    }

    /// Makes the descriptor silent again (level-triggered backends need that).
    pub(crate) fn hush(&self) {
        let mut count = [0; 8];
        // EAGAIN, nothing to read, is the state that was asked for; nothing else can occur.
        let _ = rustix::io::read(&self.0, &mut count);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewed_bell_is_silent_has_the_old_number_and_can_be_rung() {
        let bell = Bell::new().unwrap();
        let number = bell.as_fd().as_raw_fd();
        bell.ring();
        bell.renew().unwrap();
        assert_eq!(bell.as_fd().as_raw_fd(), number);
        let mut count = [0; 8];
        assert!(rustix::io::read(&bell, &mut count).is_err(), "silent");
        bell.ring();
        assert_eq!(rustix::io::read(&bell, &mut count), Ok(8));
    }

    #[test]
    fn ringing_keeps_errno_even_where_the_write_fails() {
        let bell = Bell::new().unwrap();
        rustix::io::write(&bell, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        // SAFETY: this thread's errno.
        unsafe { *libc::__errno_location() = 77 };
        bell.ring();
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(77));
        bell.hush();
        bell.hush();
    }
}
