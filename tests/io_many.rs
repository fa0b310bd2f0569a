//! More descriptors at once than a report holds: a process of its own, because it opens thousands.

#![allow(clippy::unwrap_used)]

#[path = "suite/sockets.rs"]
mod sockets;
mod suite;

suite::on!(epoll: io_many);
suite::on!(poll: io_many);
