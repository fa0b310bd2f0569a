//! Log-ins of the HTTP server, on both backends: net-and-http-server.md 3.10; reliability.md R1, R2. Clients are in the
//! same process, but for curl.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;

suite::on!(epoll: http_auth);
suite::on!(poll: http_auth);
