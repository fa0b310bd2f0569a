//! `evloop::stdin()`: whatever stands behind descriptor 0 can be watched. Each case runs in a
//! child process with a standard input of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "suite/sockets.rs"]
#[allow(unused_imports)]
mod sockets;
mod suite;

suite::on!(epoll: stdin);
suite::on!(poll: stdin);
