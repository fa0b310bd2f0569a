//! The ground: the few raw system calls that need `unsafe`, each behind a safe function.
//!
//! Nothing here knows watchers, the loop, or policy. Everything else of the system comes, typed
//! and safe, from `rustix`; a call stands here only because it is missing there or costs too much
//! there.
//!
//! * [`clock`]: reading the clocks.
//! * `close`: closing with an answer (feature `http-server`).
//! * `datagram`: receiving many datagrams with one call, descriptors in messages (feature `net`).
//! * [`epoll`]: waiting with nanosecond time-outs.
//! * [`fork`]: a counter of the forks that led to this process.
//! * `leaked`: values of the process that a forked child leaves alone (features `stat`, `net`).
//! * `listen`: what listening needs of the system (feature `net`).
//! * [`poll`]: a `pollfd` array that persists between waits.
//! * [`process`]: descriptors for processes, waiting for them, signals to them.
//! * `queued`: what a socket's peer has not acknowledged (feature `net`).
//! * [`secure`]: whether the process runs with raised privileges.
//! * [`signal`]: one action per signal of the process, and the loops it tells.
//! * `sigpipe`: writing to what has no reader (feature `net`).
//! * [`wake`]: writing to the wake-up channel from any context, signal handlers included.

#![allow(unsafe_code)]

pub(crate) mod clock;
#[cfg(feature = "http-server")]
pub(crate) mod close;
#[cfg(feature = "net")]
pub(crate) mod datagram;
pub(crate) mod epoll;
pub(crate) mod fork;
#[cfg(any(feature = "stat", feature = "net"))]
pub(crate) mod leaked;
#[cfg(feature = "net")]
pub(crate) mod listen;
pub(crate) mod poll;
pub(crate) mod process;
#[cfg(feature = "net")]
pub(crate) mod queued;
pub(crate) mod secure;
pub(crate) mod signal;
#[cfg(feature = "net")]
pub(crate) mod sigpipe;
pub(crate) mod wake;

/// Nanoseconds as the kernel counts time. 64 bits of them are 584 years, which fit.
fn timespec(nanos: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
    }
}
