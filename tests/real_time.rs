//! Cases whose subject is real time, on the real clock: loop.md 3.2 (precision), reliability.md R3.
//!
//! Lower bounds are exact. Upper bounds are taken from the best of many tries, because a busy
//! machine may delay any single one.

#![allow(clippy::unwrap_used)]

mod suite;

suite::on!(epoll: precision);
suite::on!(poll: precision);
