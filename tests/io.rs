//! Io watchers, on every backend: loop.md 1.6, 2, 3.1; loop-api.md b, c, d; reliability.md R3, R9,
//! R10, R19 and the descriptor rows of section 4.

#![allow(clippy::unwrap_used)]

#[path = "suite/sockets.rs"]
mod sockets;
mod suite;

suite::on!(
    epoll: io_level, io_shared, io_interest, io_files, io_reuse, io_source, io_once, io_feed,
    io_batch, io_nested, io_panic, io_kinds, io_refuse, io_edge
);
suite::on!(
    poll: io_level, io_shared, io_interest, io_files, io_reuse, io_source, io_once, io_feed,
    io_batch, io_nested, io_panic, io_kinds, io_refuse, io_no_edge
);
suite::on!(scripted: io_script);
