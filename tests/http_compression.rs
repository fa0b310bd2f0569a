//! Replies that are packed and requests that are unpacked, on both backends: net-and-http-server.md 3.11 and 3.7; the caps of
//! reliability.md §3a on what comes out.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;

suite::on!(epoll: http_compression, http_decompression);
suite::on!(poll: http_compression, http_decompression);
