//! The street: how readiness comes from the kernel.
//!
//! A backend knows descriptors and interests. It knows no watcher, no callback and no clock. The
//! contract, which the trait [`Poller`] repeats:
//!
//! 1. **One registration per descriptor number.** The engine forms the union of what the watchers
//!    of a number ask for and says `modify(fd, old, new, generation)` when the union differs from
//!    what it told the backend last. `old` empty means "not registered"; `new` empty means
//!    "remove", and afterwards nothing of that number may be reported, not even a hang-up.
//! 2. **The generation travels.** It comes back with every report of that registration. A number
//!    can be closed and opened again between two waits; the engine tells reports of the old file
//!    by their generation.
//! 3. **`modify` may find the kernel in another state** than `old` says, because the number was
//!    closed or reused. Adding what exists modifies it; modifying or removing what is gone is
//!    `NotFound`, and the engine knows whether that matters.
//! 4. **What the kernel cannot wait for is always ready.** Regular files and the like are reported
//!    in each wait with the bits asked for, and the wait does not sleep while there are any.
//! 5. **Level-triggered** unless [`Interest::EDGE`] is asked for; a backend that cannot do edges
//!    says `Unsupported`.
//! 6. **`wait` replaces the reports.** It returns early (with no reports) when the [`Bell`] was
//!    rung; it returns `Interrupted` and nothing else for a signal. It never rounds a wait down.
//! 7. **`reset`** forgets all registrations and ghosts of closed numbers; the engine then adds
//!    everything again.

mod epoll;
mod poll;
mod table;

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use rustix::event::epoll::{Event, EventData, EventFlags};

use crate::Interest;
use crate::sys::wake::Bell;

pub(crate) use table::lengthen;

/// How long to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    Now,
    /// At most so many nanoseconds, and not zero.
    For(u64),
    Forever,
}

/// What a backend does; the module's text is the contract.
pub(crate) trait Poller {
    fn modify(
        &mut self,
        fd: BorrowedFd<'_>,
        old: Interest,
        new: Interest,
        generation: u32,
    ) -> io::Result<()>;

    fn wait(&mut self, wait: Wait, reports: &mut Reports) -> io::Result<()>;

    fn reset(&mut self) -> io::Result<()>;

    /// A descriptor that is readable when a wait would report something.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether the next wait will not sleep although [`fd`](Poller::fd) is silent.
    fn is_always_ready(&self) -> bool {
        false
    }

    /// Gives a number a name. Only a scripted backend, whose script speaks of watchers and not of
    /// descriptors, wants to know.
    fn introduce(&mut self, _name: u64, _fd: RawFd) {}
}

/// Readiness of one descriptor. The bits are poll(2)'s, which epoll shares.
#[derive(Clone, Copy)]
pub(crate) struct Report {
    pub(crate) fd: u32,
    pub(crate) generation: u32,
    bits: u32,
}

impl Report {
    #[inline]
    fn of(event: &Event) -> Self {
        let data = { event.data }.u64();
        Self { fd: data as u32, generation: (data >> 32) as u32, bits: { event.flags }.bits() }
    }

    const FAULTS: u32 = libc::POLLERR as u32 | libc::POLLHUP as u32 | libc::POLLNVAL as u32;

    /// The readiness bits as [`Interest`] has them; a hang-up or an error is readiness for all.
    #[inline]
    pub(crate) fn ready(self) -> Interest {
        if self.bits & Self::FAULTS != 0 {
            return Interest::MASK;
        }
        let peer_close = (self.bits & libc::POLLRDHUP as u32) >> 10;
        Interest::from_bits((self.bits as u8 & 7) | peer_close as u8)
    }

    /// [`ready`](Self::ready), if it is nothing but readable, writable or urgent.
    #[inline]
    pub(crate) fn plain_readiness(self) -> Option<Interest> {
        (self.bits & !7 == 0).then_some(Interest::from_bits(self.bits as u8))
    }

    /// Whether the descriptor was not open.
    #[inline]
    pub(crate) fn invalid(self) -> bool {
        self.bits & libc::POLLNVAL as u32 != 0
    }
}

/// The poll(2) bits to ask the kernel for.
fn bits_of(interest: Interest) -> u32 {
    let mut bits = u32::from((interest & Interest::MASK).bits() & 7);
    if interest.contains(Interest::PEER_CLOSE) {
        bits |= libc::POLLRDHUP as u32;
    }
    bits
}

/// The reports of one wait, in the kernel's own array.
pub(crate) struct Reports {
    events: Vec<Event>,
}

impl Reports {
    const FIRST: usize = 64;
    const MOST: usize = 1 << 16;

    pub(crate) fn new() -> Self {
        Self { events: Vec::with_capacity(Self::FIRST) }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<Report> {
        self.events.get(place).map(Report::of)
    }

    /// Drops those that `keep` says `false` of.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Report) -> bool) {
        self.events.retain(|event| keep(Report::of(event)));
    }

    pub(crate) fn clear(&mut self) {
        self.events.clear();
    }

    pub(crate) fn push(&mut self, fd: u32, generation: u32, bits: u32) {
        self.events.push(Event {
            flags: EventFlags::from_bits_retain(bits),
            data: data_of(fd, generation),
        });
    }

    /// A report in our own words; `ERROR` is a hang-up.
    #[cfg(feature = "test-util")]
    pub(crate) fn push_events(&mut self, fd: u32, generation: u32, events: crate::Events) {
        let mut bits = bits_of(events.readiness());
        if events.contains(crate::Events::ERROR) {
            bits |= libc::POLLHUP as u32;
        }
        self.push(fd, generation, bits);
    }

    /// A full array means that more may be waiting: the next wait gets twice the room.
    pub(crate) fn grow_if_full(&mut self) {
        let room = self.events.capacity();
        if self.events.len() >= room && room < Self::MOST {
            self.events.reserve_exact(room * 2 - self.events.len());
        }
    }
}

fn data_of(fd: u32, generation: u32) -> EventData {
    EventData::new_u64(u64::from(generation) << 32 | u64::from(fd))
}

/// The number that no descriptor has: reports of the wake-up channel carry it.
const NO_FD: u32 = u32::MAX;

/// A way of waiting for readiness.
///
/// [`EvLoop::new`](crate::EvLoop::new) takes the first of [`recommended`](Backend::recommended)
/// that works; [`Builder::backend`](crate::Builder::backend) and the environment choose otherwise.
///
/// ```
/// use evloop::{Backend, EvLoop};
///
/// let ev = EvLoop::builder().backend(Backend::Poll).build()?;
/// assert_eq!(ev.backend(), Some(Backend::Poll));
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Backend {
    /// `epoll(7)`: cost by what is ready, not by what is watched (`EVBACKEND_EPOLL`).
    Epoll,
    /// `poll(2)`: cost by what is watched; works on everything (`EVBACKEND_POLL`).
    Poll,
}

impl Backend {
    /// The backends compiled in (`ev_supported_backends`).
    #[must_use]
    pub const fn available() -> &'static [Self] {
        &[Self::Epoll, Self::Poll]
    }

    /// What is tried, in this order, when nothing was chosen (`ev_recommended_backends`).
    #[must_use]
    pub const fn recommended() -> &'static [Self] {
        &[Self::Epoll, Self::Poll]
    }

    /// Those whose descriptor another loop can watch
    /// ([`EvLoop::backend_fd`](crate::EvLoop::backend_fd); `ev_embeddable_backends`).
    #[must_use]
    pub const fn embeddable() -> &'static [Self] {
        &[Self::Epoll]
    }

    /// The name as the environment variable spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Poll => "poll",
        }
    }

    pub(crate) fn open(self, bell: &Arc<Bell>) -> io::Result<Box<dyn Poller>> {
        Ok(match self {
            Self::Epoll => Box::new(epoll::Epoll::new(Arc::clone(bell))?),
            Self::Poll => Box::new(poll::Poll::new(Arc::clone(bell))),
        })
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(bits: i16) -> Report {
        Report { fd: 0, generation: 0, bits: bits as u32 }
    }

    #[test]
    fn a_report_says_what_the_kernel_said() {
        assert_eq!(report(libc::POLLIN).ready(), Interest::READ);
        assert_eq!(report(libc::POLLOUT).ready(), Interest::WRITE);
        assert_eq!(report(libc::POLLPRI).ready(), Interest::PRIORITY);
        assert_eq!(report(libc::POLLRDHUP).ready(), Interest::PEER_CLOSE);
    }

    #[test]
    fn a_hang_up_or_an_error_is_readiness_for_everything() {
        for fault in [libc::POLLHUP, libc::POLLERR, libc::POLLNVAL] {
            assert_eq!(report(fault).ready(), Interest::MASK);
        }
    }

    #[test]
    fn the_bits_asked_for_are_those_reported() {
        for asked in [Interest::READ, Interest::WRITE, Interest::PRIORITY, Interest::PEER_CLOSE] {
            let bits = bits_of(asked | Interest::EDGE);
            assert_eq!(Report { fd: 0, generation: 0, bits }.ready(), asked);
        }
    }
}
