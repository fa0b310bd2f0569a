//! Finding what blocks: counters, and the callback that keeps all others waiting.
//!
//! On one thread, a callback that takes a second is a second in which nobody else is served. It rarely says so:
//! a name is resolved, a file lies on a network, a regular expression meets the one line it was not made
//! for. The loop can tell.
//!
//! # The stall watch
//!
//! ```
//! use evloop::{EvLoop, Kind};
//! use std::time::Duration;
//! # use std::{cell::Cell, rc::Rc};
//!
//! let mut ev = EvLoop::builder().metrics(true).build()?;
//! # let told = Rc::new(Cell::new(0));
//! # let count = Rc::clone(&told);
//! ev.on_stall(Duration::from_millis(10), move |stall| {
//!     // "a callback of kind Timer took 30.1ms, its watcher was created at src/report.rs:40"
//!     eprintln!("{stall}");
//! #   count.set(count.get() + 1);
//! });
//! ev.after(Duration::ZERO, |_| std::thread::sleep(Duration::from_millis(30)));
//! ev.run()?;
//! # assert_eq!(told.get(), 1);
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! A [`Stall`](crate::Stall) says which watcher it was, at which priority it was called, how long that
//! took, and where the watcher was created. The place is known in debug builds, and in release builds for
//! watchers that were made while the counters were on: hence `metrics(true)` at the builder.
//!
//! # The counters
//!
//! [`metrics`](crate::EvLoop::metrics) is a snapshot, made to be shown on a status page or compared
//! with the one before:
//!
//! ```
//! # use evloop::{EvLoop, Kind};
//! # use std::time::Duration;
//! # let mut ev = EvLoop::builder().metrics(true).build()?;
//! # ev.after(Duration::from_millis(1), |_| {});
//! # ev.run()?;
//! let metrics = ev.metrics().expect("they are on");
//! let total = metrics.busy + metrics.waited;
//! let load = metrics.busy.as_secs_f64() / total.as_secs_f64(); // 1: it never waits
//! # assert!((0.0..=1.0).contains(&load));
//! let io = metrics.events(Kind::Io);
//! # assert_eq!(io, 0);
//! let lag = metrics.longest_lag;
//! # assert!(lag <= metrics.busy);
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! * **Lag** is the time between two waits: what came just after the first had to wait that long before the loop
//!   looked at all. It is the number to raise an alarm by. Many short callbacks cause it as well as one
//!   long one; `longest` tells which it is.
//! * **Busy** by itself is no trouble. A loop that is busy all the time and lags a millisecond serves
//!   everybody.
//! * **Many iterations with few events** mean that something wakes the loop for nothing, such as an idle watcher
//!   that was forgotten. `{:?}` of the loop says what is active.
//!
//! # What to do about it
//!
//! * Long computations: slices in an [`Idle`](crate::Idle) watcher, or
//!   [`feed_later`](crate::Timer::feed_later).
//! * Calls that block: a thread, which [`post`](crate::Remote::post)s the result or sends it through a
//!   [`channel`](crate::EvLoop::channel).
//! * A read that takes all there is from a fast peer: read once and return. The loop calls again.
//! * What must not wait for the rest: a higher [priority](crate#priorities). It comes first within its iteration; it does
//!   not interrupt.
//!
//! # Sharp edges
//!
//! * **It tells afterwards.** A callback that never returns is never told of. For that a watchdog has to stand
//!   outside: [`on_wait`](crate::EvLoop::on_wait) gives it the moments at which the loop is known to be well.
//! * **Free when off.** On, each callback costs two readings of the clock, and the short way from the kernel's
//!   report to the callbacks is not taken.
//! * **Time is time, not work**: a callback that was interrupted by the scheduler looks long.
//! * **Nested runs are not counted** into the callback around them.
//! * **The loop's own looks at files** ([stat](crate::Kind)) happen between the callbacks: a slow file system shows in
//!   lag, and not as a stall.
