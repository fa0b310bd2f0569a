//! HTTPS: net-and-http-server.md 3.12 (TLS), 3.8 (the handshake's time), on both backends. The client's TLS is done by
//! hand on its side of a socket, so that every byte can be held back, or the connection be cut behind it.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;
mod tls;

suite::on!(epoll: http_tls);
suite::on!(poll: http_tls);
