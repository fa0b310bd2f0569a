//! Embedding: a loop inside another loop, whosever that is.
//!
//! Some other loop runs the program: a toolkit's, tokio's, one written by hand around `poll`. Ours can be
//! its guest. It takes three things:
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
//!     let limit = ev.next_deadline().map(|due| {
//!         let left = due.saturating_duration_since(Instant::now());
//!         Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
//!     });
//!     let fd = ev.backend_fd().expect("epoll has one");
//!     // … and whatever else this program waits for.
//!     match poll(&mut [PollFd::new(&fd, PollFlags::IN)], limit.as_ref()) {
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
//! An `AsyncFd` for the descriptor, a time-out for the deadline. A loop does not leave its thread, so its
//! task is a local one.
//!
//! ```
//! use evloop::{Backend, EvLoop};
//! use rustix::event::{PollFd, PollFlags, Timespec, poll};
//! use std::time::Duration;
//! use tokio::io::{Interest, unix::AsyncFd};
//! use tokio::time::timeout_at;
//!
//! async fn host(mut ev: EvLoop) -> Result<(), Box<dyn std::error::Error>> {
//!     let fd = ev.backend_fd().expect("epoll has one").try_clone_to_owned()?;
//!     // SAFETY: it owns the duplicate, which is the same open descriptor for as long.
//!     let door = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
//!     while ev.has_refs() {
//!         let ready = match ev.next_deadline() {
//!             Some(due) => timeout_at(due.into(), door.readable()).await.ok().transpose()?,
//!             None => Some(door.readable().await?),
//!         };
//!         ev.turn(Some(Duration::ZERO))?;
//!         if let Some(mut ready) = ready {
//!             // tokio is told of changes only, and what this turn has left undone is none.
//!             let mut fds = [PollFd::new(door.get_ref(), PollFlags::IN)];
//!             if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
//!                 ready.clear_ready();
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let mut ev = EvLoop::builder().backend(Backend::Epoll).build()?;
//! ev.after(Duration::from_millis(20), |_| {});
//! runtime.block_on(host(ev))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
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
