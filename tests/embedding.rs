//! A loop inside foreign loops: hosted by a plain poll(2) and by tokio, with every kind of watcher.
//!
//! loop.md 3.9. Hosted by another loop of ours it is in `regressions`.

#![allow(clippy::unwrap_used)]

#[path = "suite/sockets.rs"]
mod sockets;
mod suite;

suite::on!(epoll: embedding);
