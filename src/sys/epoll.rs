//! Waiting on an epoll instance, to the nanosecond where the kernel can.
//!
//! `epoll_wait` counts milliseconds; rounding a 100 µs wait up to 1 ms is the weakest spot of
//! libev's timers. `epoll_pwait2` (Linux 5.11) takes a `timespec`. rustix offers it only without a
//! fallback for older kernels, so the call stands here and the caller does the falling back.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::event::epoll::Event;

/// Waits at most `nanos` nanoseconds and fills `events` up to its capacity, replacing what was in it.
///
/// # Errors
///
/// `ENOSYS` on a kernel without the call and `EPERM` under a filter that does not know it: use
/// [`rustix::event::epoll::wait`] then. Otherwise those of `epoll_wait(2)`.
pub(crate) fn wait_nanos(
    epoll: BorrowedFd<'_>,
    events: &mut Vec<Event>,
    nanos: u64,
) -> io::Result<()> {
    events.clear();
    let timeout = super::timespec(nanos);
    let room = events.capacity().try_into().unwrap_or(libc::c_int::MAX);
    // SAFETY: `epoll` is open for the duration of the borrow; the pointer and `room` describe the
    // vector's own spare memory, to which the kernel writes at most `room` events, and `Event` has
    // the kernel's `struct epoll_event` layout (rustix passes it to the kernel itself); the
    // time-out outlives the call; a null signal mask is documented to leave the mask alone.
    let n = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            room,
            ptr::from_ref(&timeout),
            ptr::null::<libc::sigset_t>(),
            0_usize,
        )
    };
    let Ok(n) = usize::try_from(n) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has initialised the first `n` events, and n <= room <= capacity.
    unsafe { events.set_len(n) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
    use rustix::event::{EventfdFlags, eventfd};
    use std::os::fd::AsFd;

    #[test]
    fn a_ready_descriptor_is_reported_with_its_data() {
        let set = epoll::create(CreateFlags::CLOEXEC).unwrap();
        let ready = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
        epoll::add(&set, &ready, EventData::new_u64(42), EventFlags::IN).unwrap();
        let mut events = Vec::with_capacity(4);
        match wait_nanos(set.as_fd(), &mut events, 5_000_000_000) {
            Ok(()) => {
                let [event] = events[..] else { panic!("{} events", events.len()) };
                assert_eq!({ event.data }.u64(), 42);
            }
            Err(e) => assert_eq!(e.raw_os_error(), Some(libc::ENOSYS)),
        }
    }

    #[test]
    fn the_longest_wait_there_is_can_be_asked_for() {
        let set = epoll::create(CreateFlags::CLOEXEC).unwrap();
        let ready = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
        epoll::add(&set, &ready, EventData::new_u64(1), EventFlags::IN).unwrap();
        let mut events = Vec::with_capacity(1);
        match wait_nanos(set.as_fd(), &mut events, u64::MAX) {
            Ok(()) => assert_eq!(events.len(), 1),
            Err(e) => assert_eq!(e.raw_os_error(), Some(libc::ENOSYS)),
        }
    }
}
