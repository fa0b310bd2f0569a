//! Embedding: a loop inside another loop, whosever that is.
//!
//! Some other loop runs the program: a toolkit's, tokio's, one written by hand around `poll`. Ours can be
//! its guest. It takes three things, and libev's embed watcher has none to add:
//!
//! * [`backend_fd`](crate::EvLoop::backend_fd): a descriptor that is readable when one of the loop's watchers
//!   has something to hear;
//! * [`next_deadline`](crate::EvLoop::next_deadline): when it wants to run although the descriptor is silent;
//! * [`turn`](crate::EvLoop::turn): one pass.
//!
//! The host waits until the descriptor is readable or the deadline has come, whichever is first, and calls
//! `turn(Some(Duration::ZERO))`. Then it asks for the deadline again. That is all: timers, periodics,
//! signals, children, files and calls from other threads come through these two.
//!
//! # In a plain poll
//!
//! ```
//! use evloop::{Backend, EvLoop};
//! use rustix::event::{PollFd, PollFlags, Timespec, poll};
//! use rustix::io::Errno;
//! use std::time::{Duration, Instant};
//!
//! let mut ev = EvLoop::builder().backend(Backend::Epoll).build()?;
//! ev.after(Duration::from_millis(20), |_| {});
//!
//! while ev.has_refs() {
//!     let left = ev.next_deadline().map(|due| due.saturating_duration_since(Instant::now()));
//!     let left = left.map(|left| Timespec::try_from(left).unwrap_or(Timespec::MAX));
//! #   trait Max { const MAX: Self; }
//! #   impl Max for Timespec { const MAX: Self = Timespec { tv_sec: i64::MAX, tv_nsec: 0 }; }
//!     let fd = ev.backend_fd().expect("epoll has one");
//!     // … and whatever else this program waits for.
//!     match poll(&mut [PollFd::new(&fd, PollFlags::IN)], left.as_ref()) {
//!         Ok(_) | Err(Errno::INTR) => {}
//!         Err(error) => return Err(error.into()),
//!     }
//!     ev.turn(Some(Duration::ZERO))?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # In another `EvLoop`
//!
//! An io watcher for the descriptor, a timer for the deadline. Both poke one closure, which owns the
//! guest.
//!
//! ```
//! use evloop::{Backend, EvLoop, Events, Interest};
//! use std::time::Duration;
//!
//! let mut guest = EvLoop::builder().backend(Backend::Epoll).build()?;
//! guest.after(Duration::from_millis(20), |_| {});
//!
//! let mut host = EvLoop::new()?;
//! let fd = guest.backend_fd().expect("epoll has one").try_clone_to_owned()?;
//! let alarm = host.timer(Duration::ZERO, Duration::ZERO, |_, _| {});
//! let door = host.io(fd, Interest::READ, move |host, e| {
//!     if let Err(error) = guest.turn(Some(Duration::ZERO)) {
//!         return host.fail(error);
//!     }
//!     if !guest.has_refs() {
//!         alarm.free(host);
//!         e.watcher.free(host); // and the guest with it
//!     } else if let Some(due) = guest.next_deadline() {
//!         alarm.restart(host, due.saturating_duration_since(host.now()));
//!     } else {
//!         alarm.stop(host);
//!     }
//! });
//! alarm.set_callback(&mut host, move |host, _| _ = door.feed(host, Events::TIMER));
//! door.start(&mut host)?;
//! alarm.start(&mut host); // a first turn, to learn of the first deadline
//! host.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # In tokio
//!
//! An `AsyncFd` for the descriptor, a sleep for the deadline. A loop does not leave its thread, so its
//! task is a local one.
//!
//! ```ignore (this crate has no dependency on tokio)
//! use std::time::Duration;
//! use tokio::io::{Interest, unix::AsyncFd};
//!
//! async fn host(mut ev: evloop::EvLoop) -> Result<(), Box<dyn std::error::Error>> {
//!     let fd = ev.backend_fd().expect("epoll has one").try_clone_to_owned()?;
//!     let door = AsyncFd::with_interest(fd, Interest::READABLE)?;
//!     while ev.has_refs() {
//!         let deadline = ev.next_deadline();
//!         let alarm = async {
//!             match deadline {
//!                 Some(due) => tokio::time::sleep_until(due.into()).await,
//!                 None => std::future::pending().await,
//!             }
//!         };
//!         tokio::select! {
//!             ready = door.readable() => {
//!                 let mut ready = ready?;
//!                 ev.turn(Some(Duration::ZERO))?;
//!                 // tokio is told of changes only. What this turn has left undone is none.
//!                 if is_silent(door.get_ref()) {
//!                     ready.clear_ready();
//!                 }
//!             }
//!             () = alarm => {
//!                 ev.turn(Some(Duration::ZERO))?;
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//!
//! /// Whether `poll` with a time-out of zero finds nothing to read.
//! fn is_silent(fd: &impl std::os::fd::AsFd) -> bool { /* … */ }
//! ```
//!
//! tokio watches edge-triggered: it hears of the descriptor when it *becomes* readable. A callback of the guest
//! that reads only part of what is there leaves it readable, hence the question at the end of the turn. What
//! comes between that question and `clear_ready` is not lost; tokio sees to that.
//!
//! tokio's timer counts in milliseconds, and rounds up.
//!
//! # The other way round
//!
//! Any loop that has a descriptor and can say when it wants to run is hosted by ours in the same way: an io
//! watcher for the one, a timer for the other, set in a [`Prepare`](crate::Prepare) watcher if the answer may change
//! behind our back.
//!
//! # Sharp edges
//!
//! * **`poll` has no such descriptor**: ask for [`Backend::Epoll`](crate::Backend::Epoll) explicitly, as above, and
//!   [`backend_fd`](crate::EvLoop::backend_fd) is never `None`.
//! * **Ask for the deadline after every turn, and after everything else done with the guest**: starting a
//!   timer moves it, and the descriptor does not tell.
//! * **The descriptor is the loop's.** Duplicate it for a host that wants to own one. When a watched
//!   descriptor was closed behind the guest's back, or after a fork, the loop replaces what stands behind the number: the
//!   duplicate is then silent, and has to be made anew.
//! * **[`run`](crate::EvLoop::run) in the guest** stops the host for as long as it lasts.
//! * **A deadline in the past** is no error: something is waiting already.
