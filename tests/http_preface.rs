//! What proxies say of those they speak for: net-and-http-server.md 3.12 (PROXY, Forwarded, caps of addresses), on both
//! backends.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;
#[cfg(feature = "tls")]
mod tls;

suite::on!(epoll: http_preface);
suite::on!(poll: http_preface);
