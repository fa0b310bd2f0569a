//! Virtual hosts, hooks for some paths, and turning away: net-and-http-server.md 3.11 (routing), 3.12 (limits), 3.5
//! (503), on both backends.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;

suite::on!(epoll: http_hosts, http_capacity);
suite::on!(poll: http_hosts, http_capacity);
