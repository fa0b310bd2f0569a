//! epoll: the kernel keeps the set and reports only what is ready.
//!
//! The wake-up channel stands in the set edge-triggered and is never read: each ring is an edge of
//! its own, so a wake-up costs one `write` on the sender's side and nothing here.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventFlags};
use rustix::io::Errno;

use super::{NO_FD, Poller, Reports, Wait, bits_of, data_of};
use crate::Interest;
use crate::sys::epoll::wait_nanos;
use crate::sys::wake::Bell;

pub(super) struct Epoll {
    set: OwnedFd,
    bell: Arc<Bell>,
    /// Descriptors that epoll refuses because they are always ready. Usually empty, rarely more
    /// than stdin, so it is searched from end to end.
    always: Vec<Always>,
    /// Cleared for good when the kernel has no `epoll_pwait2`.
    nanos: bool,
}

const NANOS_PER_MILLI: u64 = 1_000_000;

struct Always {
    fd: u32,
    generation: u32,
    bits: u32,
}

impl Epoll {
    pub(super) fn new(bell: Arc<Bell>) -> io::Result<Self> {
        let set = new_set(&bell)?;
        Ok(Self { set, bell, always: Vec::new(), nanos: true })
    }

    fn add(&mut self, fd: BorrowedFd<'_>, new: Interest, generation: u32) -> Result<(), Errno> {
        let data = data_of(fd.as_raw_fd() as u32, generation);
        match epoll::add(&self.set, fd, data, flags_of(new)) {
            // The number was closed, reopened and registered behind our back, or comes from a
            // parent process: what stands there is this file, so mend it.
            Err(Errno::EXIST) => epoll::modify(&self.set, fd, data, flags_of(new)),
            Err(Errno::PERM) if !new.contains(Interest::EDGE) => {
                self.always.push(Always {
                    fd: fd.as_raw_fd() as u32,
                    generation,
                    bits: bits_of(new),
                });
                Ok(())
            }
            other => other,
        }
    }

    fn wait_millis(&mut self, nanos: u64, reports: &mut Reports) -> Result<(), Errno> {
        // Up, never down: a wait that ends early would be repeated at once, and again.
        let millis = nanos.div_ceil(NANOS_PER_MILLI).min(i32::MAX as u64) as i64;
        let limit = Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 };
        self.wait_plain(Some(&limit), reports)
    }

    #[inline]
    fn wait_plain(&mut self, limit: Option<&Timespec>, reports: &mut Reports) -> Result<(), Errno> {
        reports.events.clear();
        epoll::wait(&self.set, spare_capacity(&mut reports.events), limit).map(drop)
    }
}

fn new_set(bell: &Bell) -> io::Result<OwnedFd> {
    let set = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&set, bell, data_of(NO_FD, 0), EventFlags::IN | EventFlags::ET)?;
    Ok(set)
}

fn flags_of(interest: Interest) -> EventFlags {
    let flags = EventFlags::from_bits_retain(bits_of(interest));
    if interest.contains(Interest::EDGE) { flags | EventFlags::ET } else { flags }
}

impl Poller for Epoll {
    fn modify(
        &mut self,
        fd: BorrowedFd<'_>,
        old: Interest,
        new: Interest,
        generation: u32,
    ) -> io::Result<()> {
        if !self.always.is_empty() {
            let number = fd.as_raw_fd() as u32;
            let listed = self.always.len();
            self.always.retain(|a| a.fd != number);
            if self.always.len() < listed {
                // The number may stand for another file by now, which epoll does take.
                return match new {
                    Interest::NONE => Ok(()),
                    _ => Ok(self.add(fd, new, generation)?),
                };
            }
        }
        let done = if new.is_empty() {
            match epoll::delete(&self.set, fd) {
                Err(Errno::NOENT | Errno::BADF) => return Err(io::ErrorKind::NotFound.into()),
                other => other,
            }
        } else if old.is_empty() {
            self.add(fd, new, generation)
        } else {
            let data = data_of(fd.as_raw_fd() as u32, generation);
            epoll::modify(&self.set, fd, data, flags_of(new))
        };
        Ok(done?)
    }

    fn wait(&mut self, wait: Wait, reports: &mut Reports) -> io::Result<()> {
        let wait = if self.always.is_empty() { wait } else { Wait::Now };
        match wait {
            Wait::Forever => self.wait_plain(None, reports)?,
            Wait::Now => {
                self.wait_plain(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }), reports)?;
            }
            // Whole milliseconds need no finer call, and the plain one is cheaper.
            Wait::For(nanos) if !self.nanos || nanos % NANOS_PER_MILLI == 0 => {
                self.wait_millis(nanos, reports)?;
            }
            Wait::For(nanos) => match wait_nanos(self.set.as_fd(), &mut reports.events, nanos) {
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.nanos = false;
                    self.wait_millis(nanos, reports)?;
                }
                other => other?,
            },
        }
        reports.grow_if_full();
        for a in &self.always {
            reports.push(a.fd, a.generation, a.bits);
        }
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        let fresh = new_set(&self.bell)?;
        // Under the old number, so that whoever holds `backend_fd` by number keeps a good one.
        rustix::io::dup3(&fresh, &mut self.set, rustix::io::DupFlags::CLOEXEC)?;
        self.always.clear();
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.set.as_fd())
    }

    fn is_always_ready(&self) -> bool {
        !self.always.is_empty()
    }
}
