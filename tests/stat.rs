//! Stat watchers: what is a change, and when it is found out, with hints and without.
//!
//! loop.md 3.6, 1.4, 1.5, 2, design.md D9, reliability.md §4. With hints the cases run on the real clock
//! and wait for word from the kernel; without them the clock is a mock, where looking takes no time.

#![cfg(feature = "stat")]
#![allow(clippy::unwrap_used)]

#[path = "suite/files.rs"]
mod files;
mod suite;

files::on_files!(epoll_hinted: stat, stat_paths, stat_hinted);
files::on_files!(poll_hinted: stat, stat_paths, stat_hinted);
files::on_files!(epoll_polled: stat, stat_paths, stat_polled);
files::on_files!(poll_polled: stat, stat_paths, stat_polled);
