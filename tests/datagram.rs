//! Datagrams, on every backend: net-and-http-server.md 2.10; reliability.md R1 to R5, R9 to R11, R14, R19.

#![allow(clippy::unwrap_used)]

#[path = "suite/datagrams.rs"]
mod datagrams;
mod suite;

suite::on!(
    epoll: datagram_receive, datagram_send, datagram_end, datagram_options, datagram_multicast,
    datagram_unix, datagram_handler, datagram_filtered,
);
suite::on!(
    poll: datagram_receive, datagram_send, datagram_end, datagram_options, datagram_multicast,
    datagram_unix, datagram_handler, datagram_filtered,
);
