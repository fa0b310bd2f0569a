//! poll: the set travels to the kernel with every wait. Slower with many descriptors, and the
//! proof that nothing above leans on epoll.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use super::{Poller, Reports, Wait, bits_of, lengthen};
use crate::Interest;
use crate::sys::poll::PollSet;
use crate::sys::wake::Bell;

pub(super) struct Poll {
    /// The wake-up channel stands at place 0.
    set: PollSet,
    bell: Arc<Bell>,
    /// By descriptor number; grows to the highest number ever registered.
    known: Vec<Known>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    /// Place in the set; 0, the wake-up channel's, for "not in the set".
    place: u32,
    generation: u32,
}

impl Poll {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        let mut poll = Self { set: PollSet::default(), bell, known: Vec::new() };
        poll.listen_to_bell();
        poll
    }

    fn listen_to_bell(&mut self) {
        self.set.push(self.bell.as_fd().as_raw_fd(), libc::POLLIN);
    }
}

impl Poller for Poll {
    fn modify(
        &mut self,
        fd: BorrowedFd<'_>,
        _old: Interest,
        new: Interest,
        generation: u32,
    ) -> io::Result<()> {
        if new.contains(Interest::EDGE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let number = fd.as_raw_fd();
        let bits = bits_of(new) as i16;
        let known = self.known.get(number as usize).copied().unwrap_or_default();
        match (known.place, new.is_empty()) {
            (0, true) => {}
            (0, false) => {
                // poll(2) would only complain in the wait; the caller's line is the place to.
                rustix::io::fcntl_getfd(fd)?;
                if self.known.len() <= number as usize {
                    lengthen(&mut self.known, number as usize + 1, Known::default());
                }
                // There are no more descriptors than numbers for them.
                let place = u32::try_from(self.set.push(number, bits)).unwrap_or(0);
                self.known[number as usize] = Known { place, generation };
            }
            (place, true) => {
                if let Some(moved) = self.set.swap_remove(place as usize) {
                    self.known[moved as usize].place = place;
                }
                self.known[number as usize].place = 0;
            }
            (place, false) => {
                if known.generation != generation {
                    rustix::io::fcntl_getfd(fd)?;
                }
                self.set.set(place as usize, bits);
                self.known[number as usize].generation = generation;
            }
        }
        Ok(())
    }

    fn wait(&mut self, wait: Wait, reports: &mut Reports) -> io::Result<()> {
        reports.clear();
        let n = self.set.wait(match wait {
            Wait::Now => Some(0),
            Wait::For(nanos) => Some(nanos),
            Wait::Forever => None,
        })?;
        let bell = self.bell.as_fd().as_raw_fd();
        for (fd, bits) in self.set.answers(n) {
            if fd == bell {
                self.bell.hush();
            } else {
                let generation = self.known[fd as usize].generation;
                reports.push(fd as u32, generation, u32::from(bits as u16));
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.set.clear();
        self.known.clear();
        self.listen_to_bell();
        Ok(())
    }
}
