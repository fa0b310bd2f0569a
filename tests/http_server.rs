//! The HTTP server, on both backends: net-and-http-server.md 3.4–3.9 and the routing of 3.11; reliability.md R2, R4,
//! R5, R7, R8, R10, R12, R20 and the handlers of §4. Clients are in the same process, and time is
//! the case's own.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;

suite::on!(epoll: http_routes, http_replies, http_endings, http_hooks, http_bodies, http_any_order, http_streams, http_pipes, http_pipelines, http_anywhere, http_behind, http_connections, http_time, http_stopping, http_panics, http_threads, http_watching);
suite::on!(poll: http_routes, http_replies, http_endings, http_hooks, http_bodies, http_any_order, http_streams, http_pipes, http_pipelines, http_anywhere, http_behind, http_connections, http_time, http_stopping, http_panics, http_threads, http_watching);
