//! The guide: how the parts go together, subject by subject. It has no code of its own; what it shows
//! is compiled, and run where it ends by itself.
//!
//! The page of a watcher says what that watcher does. The chapters say what it is good for, which of several
//! ways to take, and where the system underneath has corners.
//!
//! * [Signals and children](signals_and_children): stopping cleanly, starting processes and hearing of
//!   their end, reading what they write.
#![cfg_attr(
    feature = "stat",
    doc = "* [Watching files](watching_files): reloading a configuration, what counts as a change, what is polled."
)]
#![cfg_attr(
    not(feature = "stat"),
    doc = "* *Watching files* comes with the feature `stat`, which is turned off here."
)]
#![cfg_attr(
    feature = "net",
    doc = "* [Connections](connections): from a watcher to a stream; back-pressure, time-outs, ends, TLS, many of them."
)]
#![cfg_attr(
    not(feature = "net"),
    doc = "* *Connections* comes with the feature `net`, which is turned off here."
)]
#![cfg_attr(
    feature = "http-server",
    doc = "* [Serving HTTP](http): a first server, streaming, late replies, limits and time-outs, behind a proxy."
)]
#![cfg_attr(
    not(feature = "http-server"),
    doc = "* *Serving HTTP* comes with the feature `http-server`, which is turned off here."
)]
//! * [Time](time): timers or periodics, what happens when somebody sets the clock, and while the machine
//!   sleeps.
//! * [Forking](forking): a loop in a child process.
//! * [Embedding](embedding): a loop inside another loop, whosever that is.
//! * [Finding what blocks](finding_what_blocks): counters, and the callback that keeps all others waiting.
//! * [From libev](from_libev): every function, macro and flag of libev, and what it is here.
//!
//! # A daemon
//!
//! Most of it in one program: it keeps a child process running, reloads when a file changes, does
//! something on the hour, and stops cleanly. In the repository it is `examples/daemon.rs`.
//!
#![cfg_attr(feature = "stat", doc = "```no_run")]
#![cfg_attr(not(feature = "stat"), doc = "```ignore (needs the feature stat)")]
#![doc = include_str!("../../examples/daemon.rs")]
//! ```
//!
//! What is worth a look in it:
//!
//! * **The loop ends when there is nothing left to do.** Signals, file and clock are watched with
//!   [`set_ref(false)`](crate::Signal::set_ref): they keep no loop running. The child does while it lives, and
//!   so does its starter while it is counting down. To stop is to free the starter and to tell the child; the
//!   run returns when the child has gone.
//! * **Keys are captured by copy**, also in closures that were made before what they name has an
//!   end: `starter.restart` after `starter.free` does nothing, and `child.signal` on a child that has ended is an
//!   error that may be ignored.
//! * **The back-off is a timer**, not a sleep: a stop during the pause is obeyed at once.
//! * **A callback that cannot go on** calls [`fail`](crate::EvLoop::fail), and `main` returns that error.

#[cfg(feature = "net")]
#[cfg_attr(docsrs, doc(cfg(feature = "net")))]
pub mod connections;
pub mod embedding;
pub mod finding_what_blocks;
pub mod forking;
pub mod from_libev;
#[cfg(feature = "http-server")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-server")))]
pub mod http;
pub mod signals_and_children;
pub mod time;
#[cfg(feature = "stat")]
#[cfg_attr(docsrs, doc(cfg(feature = "stat")))]
pub mod watching_files;
