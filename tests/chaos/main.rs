//! Chaos: the demo server (`examples/http_server`) among peers that lie, stall, flood, leave and come
//! back. Black box: only its options, its routes, its exit, and what the system says about its process.
//! The promises are those of reliability.md R1 to R19; a file here is a family of scenarios there.
//!
//! Every scenario ends with [`Server::finish`]: the descriptors are back to the number at the start,
//! memory is bounded, a new client is served, SIGTERM ends the process with 0, and nothing on its
//! standard error looks like a panic.
//!
//! The server is `examples/http_server` beside this test's executable, which a plain `cargo test`
//! builds (`cargo test --test chaos` alone does not); `EVLOOP_HTTP_SERVER` names another.
//! `EVLOOP_CHAOS_SEED` repeats the random parts; each prints its seed, which a failure shows.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod client;
mod folder;
#[path = "../suite/names.rs"]
mod names;
mod process;
mod random;
mod response;
#[cfg(feature = "tls")]
mod secure;
mod server;
mod words;
#[cfg(feature = "websocket")]
mod ws;

mod access_log;
mod bodies;
mod chunks;
mod descriptors;
mod disconnects;
mod drain;
mod files_moving;
mod flood;
mod garbage;
mod half_close;
mod heads;
mod max_per_ip;
mod multipart;
mod order;
mod pressure;
mod ranges;
mod rest;
mod smuggling;
mod smuggling_tables;
mod split;
mod sse;
mod start;
mod stop;
mod timeouts;
#[cfg(feature = "tls")]
mod tls;
mod traversal;
mod upload;
#[cfg(feature = "websocket")]
mod ws_bad;
#[cfg(feature = "websocket")]
mod ws_close;

pub use client::{Client, Ending, get, post};
pub use process::Process;
pub use random::Random;
pub use response::Response;
pub use server::Server;
pub use words::{PATIENCE, ms, secs, until, until_within};

/// One scenario, on epoll and on poll.
macro_rules! on_both {
    ($(#[$meta:meta])* fn $name:ident($backend:ident) $body:block) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$meta])*
            fn scenario($backend: &'static str) $body

            #[test]
            fn epoll() {
                scenario("epoll");
            }

            #[test]
            fn poll() {
                scenario("poll");
            }
        }
    };
}
pub(crate) use on_both;
