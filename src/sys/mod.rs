//! The ground: the few raw system calls that need `unsafe`, each behind a safe function.
//!
//! Nothing here knows watchers, the loop, or policy. Everything else of the system comes, typed
//! and safe, from `rustix`; a call stands here only because it is missing there or costs too much
//! there.
//!
//! * [`clock`]: reading the clocks.
//! * [`epoll`]: waiting with nanosecond time-outs.
//! * [`fork`]: a counter of the forks that led to this process.
//! * `leaked`: values of the process that a forked child leaves alone (features `stat`, `net`).
//! * [`poll`]: a `pollfd` array that persists between waits.
//! * [`process`]: descriptors for processes, waiting for them, signals to them.
//! * [`secure`]: whether the process runs with raised privileges.
//! * [`signal`]: one action per signal of the process, and the loops it tells.
//! * [`wake`]: writing to the wake-up channel from any context, signal handlers included.

#![allow(unsafe_code)]

pub(crate) mod clock;
pub(crate) mod epoll;
pub(crate) mod fork;
#[cfg(any(feature = "stat", feature = "net"))]
pub(crate) mod leaked;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod secure;
pub(crate) mod signal;
pub(crate) mod wake;

/// Nanoseconds as the kernel counts time. 64 bits of them are 584 years, which fit.
fn timespec(nanos: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
    }
}
