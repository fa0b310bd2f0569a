//! The loop and its in-process watchers, once per backend and once with no kernel at all.
//!
//! loop.md 1 and 2, 3.2, 3.7, 3.8; loop-api.md; reliability.md R10, R13, R19. The cases of one
//! subject are in `cases/SUBJECT.rs`.

#![allow(clippy::unwrap_used)]

#[path = "suite/sockets.rs"]
mod sockets;
mod suite;

suite::on!(
    epoll: run, nested, order, priority, feed, idle, prepare_check, timer, timer_time, periodic, notifier,
    channel, remote, local, suspend, collect, panic, lifecycle, stale, debug, metrics, cleanup,
);
suite::on!(
    poll: run, nested, order, priority, feed, idle, prepare_check, timer, timer_time, periodic, notifier,
    channel, remote, local, suspend, collect, panic, lifecycle, stale, debug, metrics, cleanup,
);
suite::on!(
    scripted: run, nested, order, priority, feed, idle, prepare_check, timer, timer_time, periodic, notifier,
    channel, remote, local, suspend, collect, panic, lifecycle, stale, debug, metrics, cleanup, waits, periodic_waits,
);
