//! epoll as `serve` and `load` use it: the bare calls, their errors as `io::Error`. Included by both.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// How many reports one wait may bring.
const EVENTS: usize = 1024;

pub struct Epoll {
    fd: OwnedFd,
    events: Box<[libc::epoll_event]>,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no preconditions.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the number has just been made and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS].into_boxed_slice();
        Ok(Self { fd, events })
    }

    pub fn add(&self, fd: RawFd, interest: i32, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, key)
    }

    // The load only reads.
    #[allow(dead_code)]
    pub fn modify(&self, fd: RawFd, interest: i32, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, key)
    }

    fn control(&self, operation: i32, fd: RawFd, interest: i32, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest as u32, u64: key };
        // SAFETY: `event` outlives the call; a bad number is an error, which is checked.
        checked(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &mut event) })?;
        Ok(())
    }

    /// Waits for at least one report, for at most so many milliseconds (-1: for ever); says how many there are.
    pub fn wait(&mut self, limit_ms: i32) -> io::Result<usize> {
        loop {
            let (events, room) = (self.events.as_mut_ptr(), self.events.len() as i32);
            // SAFETY: `events` has `room` places.
            let ready =
                checked(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events, room, limit_ms) });
            match ready {
                Ok(ready) => return Ok(ready as usize),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The key and the readiness of one report of the last wait.
    #[inline]
    pub fn report(&self, position: usize) -> (u64, i32) {
        let event = self.events[position];
        (event.u64, event.events as i32)
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub fn raise_fd_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit, filled by the first call.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(())
}

/// Whoever started this process takes it along when it ends, however it ends.
pub fn end_with_parent() -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) })?;
    Ok(())
}
