//! Streams of server-sent events, on both backends: net-and-http-server.md 3.11 and 3.9; reliability.md R4, R5, R8.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;

suite::on!(epoll: http_events);
suite::on!(poll: http_events);
