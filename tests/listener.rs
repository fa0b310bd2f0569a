//! Listeners, on both backends: net-and-http-server.md 2.5; reliability.md R4, R9, R10 and the accept rows
//! of section 4. What needs a process of its own is in `listener_process.rs`.

#![allow(clippy::unwrap_used)]

#[path = "suite/listening.rs"]
mod listening;
mod suite;

suite::on!(epoll: listener_bind, listener_unix, listener_accept, listener_callbacks, listener_limits);
suite::on!(poll: listener_bind, listener_unix, listener_accept, listener_callbacks, listener_limits);
