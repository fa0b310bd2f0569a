//! Defects that a review found once, each as the promise it broke; and loops inside other loops.
//!
//! loop.md 1.4, 1.5, 1.6, 1.10, 2.1, 3.1, 3.2. Where a defect made the loop spin, the waits of the
//! kernel are counted, so that a case fails instead of hanging.

#![allow(clippy::unwrap_used)]

#[path = "suite/sockets.rs"]
mod sockets;
mod suite;

suite::on!(epoll: regressions, regressions_io, regressions_edge, hosting);
suite::on!(poll: regressions, regressions_io, hosting);
