//! A `pollfd` array that lives from one wait to the next.
//!
//! rustix's `PollFd` borrows its descriptor, so an array of them cannot outlive the borrow and
//! would have to be rebuilt for every wait. This set keeps raw numbers instead. That is harmless:
//! waiting on a number that was closed answers `POLLNVAL`, waiting on one that was reused answers
//! for a file that the caller then refuses by generation; nothing is ever read, written or closed
//! through these numbers.

use std::io;
use std::os::fd::RawFd;
use std::ptr;

/// A set of descriptors with the `poll(2)` events asked of each and those it answered with.
#[derive(Default)]
pub(crate) struct PollSet {
    fds: Vec<libc::pollfd>,
}

impl PollSet {
    /// Adds a descriptor at the end and returns its place.
    pub(crate) fn push(&mut self, fd: RawFd, events: i16) -> usize {
        if self.fds.len() == self.fds.capacity() {
            // Not to twice its length: half of that would be memory of nobody.
            self.fds.reserve_exact((self.fds.len() / 4).max(64));
        }
        self.fds.push(libc::pollfd { fd, events, revents: 0 });
        self.fds.len() - 1
    }

    /// Changes what is asked of the descriptor at `place`.
    pub(crate) fn set(&mut self, place: usize, events: i16) {
        if let Some(entry) = self.fds.get_mut(place) {
            entry.events = events;
        }
    }

    /// Removes the descriptor at `place`; the last one moves there, and its number is returned.
    pub(crate) fn swap_remove(&mut self, place: usize) -> Option<RawFd> {
        self.fds.swap_remove(place);
        self.fds.get(place).map(|moved| moved.fd)
    }

    /// Waits so many nanoseconds, `None` for ever, and returns how many descriptors have an answer.
    ///
    /// # Errors
    ///
    /// Those of `ppoll(2)`.
    pub(crate) fn wait(&mut self, nanos: Option<u64>) -> io::Result<usize> {
        let timeout = nanos.map(super::timespec);
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        let count = self.fds.len() as libc::nfds_t;
        // SAFETY: the pointer and the count describe this vector, which nothing else touches
        // during the call; the time-out outlives the call and null means none; a null signal mask
        // is documented to leave the mask alone.
        let n = unsafe { libc::ppoll(self.fds.as_mut_ptr(), count, timeout, ptr::null()) };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }

    /// The descriptors that answered in the last wait, `n` of them, with their answers.
    pub(crate) fn answers(&self, n: usize) -> impl Iterator<Item = (RawFd, i16)> + '_ {
        self.fds.iter().filter(|entry| entry.revents != 0).map(|e| (e.fd, e.revents)).take(n)
    }

    pub(crate) fn clear(&mut self) {
        self.fds.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn answers_name_the_descriptors_that_are_ready() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let (c, _d) = UnixStream::pair().unwrap();
        let mut set = PollSet::default();
        set.push(c.as_raw_fd(), libc::POLLIN);
        set.push(a.as_raw_fd(), libc::POLLIN);
        b.write_all(b"x").unwrap();
        let n = set.wait(None).unwrap();
        assert_eq!(set.answers(n).collect::<Vec<_>>(), [(a.as_raw_fd(), libc::POLLIN)]);
        assert_eq!(set.swap_remove(0), Some(a.as_raw_fd()));
        set.set(0, 0);
        assert_eq!(set.wait(Some(0)).unwrap(), 0);
    }
}
