//! Other threads: `Remote`, `Notifier` and `Sender` against loops that wait in the kernel.
//!
//! loop.md 3.8 and 1.4, loop-api.md (e), reliability.md R3, R10. No case sleeps to be right; each
//! waits for an event that the other side sends.

#![allow(clippy::unwrap_used)]

mod suite;

suite::on!(epoll: cross);
suite::on!(poll: cross);
