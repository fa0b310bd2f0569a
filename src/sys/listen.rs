//! What listening needs of the system and has no safe call elsewhere: an option of sockets, the limit of
//! descriptors, and descriptors that came with the process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Has connections accepted only when they have something to read, or so many seconds have passed.
///
/// # Errors
///
/// `ENOPROTOOPT` and `EOPNOTSUPP` where it is not TCP.
pub(crate) fn set_defer_accept(fd: BorrowedFd<'_>, seconds: i32) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT);
    // SAFETY: the descriptor is open for the length of the borrow; the pointer is to a local of the size
    // that is given, which the call reads and does not keep.
    let set = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const seconds).cast(), size)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many descriptors the process may have; `usize::MAX` for no limit.
pub(crate) fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes to a local and touches nothing else.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return usize::MAX;
    }
    // "No limit" is the greatest value there is.
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Takes the descriptors that the process was started with for this purpose: `count` of them, from
/// `first` on. Once per process: later calls get nothing.
///
/// They are made close-on-exec. If one of them is not open, none is taken.
///
/// # Errors
///
/// `EBADF` if one is not open.
pub(crate) fn inherit(first: RawFd, count: usize) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if count == 0 || TAKEN.load(Ordering::Acquire) {
        return Ok(Vec::new());
    }
    let count = RawFd::try_from(count).unwrap_or(RawFd::MAX);
    let numbers = first..first.saturating_add(count);
    for number in numbers.clone() {
        // SAFETY: takes integers; it reads a flag of a descriptor, or fails if there is none.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if flags < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    let take = |number| {
        // SAFETY: takes integers, and changes one flag of a descriptor that is ours, see below.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        // SAFETY: it is open, as was just asked. That nobody else in the process owns it is what the
        // protocol says by which our caller knows the numbers: whoever executed this program opened
        // them for whoever in it asks first and names this process, so nothing that was opened here
        // has such a number; and here each is taken once in the life of the process.
        unsafe { OwnedFd::from_raw_fd(number) }
    };
    Ok(numbers.map(take).collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn deferring_is_for_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_defer_accept(listener.as_fd(), 5).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let refused = set_defer_accept(file.as_fd(), 5).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOTSOCK));
    }

    #[test]
    fn there_is_a_limit_of_descriptors() {
        assert!(descriptor_limit() > 3);
    }

    #[test]
    fn what_is_not_open_is_not_taken() {
        // The descriptors that are open here belong to others, so only the refusal is tried.
        let refused = inherit(RawFd::MAX - 1, usize::MAX).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EBADF));
    }
}
