//! The ground: the few raw system calls that need `unsafe`, each behind a safe function.
//!
//! Nothing here knows watchers, the loop, or policy. Everything else of the system comes, typed
//! and safe, from `rustix`; a call stands here only because it is missing there or costs too much
//! there.
//!
//! * [`epoll`]: waiting with nanosecond time-outs.
//! * [`poll`]: a `pollfd` array that persists between waits.
//! * [`secure`]: whether the process runs with raised privileges.
//! * [`wake`]: writing to the wake-up channel from any context, signal handlers included.

#![allow(unsafe_code)]

pub(crate) mod epoll;
pub(crate) mod poll;
pub(crate) mod secure;
pub(crate) mod wake;
