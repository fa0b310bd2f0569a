//! Forking: a loop in a child process.
//!
//! After `fork` there are two processes with one loop each in memory, and *one* set of kernel
//! objects between them: the same epoll instance, the same wake-up channel. What one of them
//! changes there, the other has changed. So a loop belongs to the process that made it.
//!
//! # The usual case: nothing to do
//!
//! A child that calls `exec`, which is all that [`std::process::Command`] ever makes, never meets the loop.
//! All its descriptors are closed on `exec`.
//!
//! # A child that goes on
//!
//! In a child that has not taken the loop over, runs and starts that can fail say
//! [`ErrorKind::Forked`](crate::ErrorKind::Forked); freeing watchers, or dropping the loop, closes
//! descriptors and does nothing else. The parent notices neither. A child that wants a loop of its own drops the old
//! one and makes another.
//!
//! [`after_fork`](crate::EvLoop::after_fork) takes it over instead: what was shared is replaced, every started
//! watcher stays started, and [fork watchers](crate::Fork) are called in the next iteration, for those who
//! must open something anew.
//!
//! ```
//! use evloop::EvLoop;
//! use std::time::Duration;
//!
//! let mut ev = EvLoop::new()?;
//! ev.on_fork(|_, _| { /* a connection of our own, a new seed */ })
//!     .set_ref(&mut ev, false)
//!     .start(&mut ev);
//! ev.after(Duration::from_millis(10), |_| { /* called in both processes */ });
//!
//! // SAFETY: this process has a single thread.
//! match unsafe { libc::fork() } {
//!     -1 => return Err(std::io::Error::last_os_error().into()),
//!     0 => {
//!         let outcome = ev.after_fork().and_then(|()| ev.run());
//!         std::process::exit(i32::from(outcome.is_err()));
//!     }
//!     pid => {
//!         let child = ev.child_pid(pid as u32, |_, e| {
//!             assert!(e.status.is_some_and(|status| status.success()));
//!         });
//!         child.start(&mut ev)?;
//!         ev.run()?;
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With [`Builder::follow_fork(true)`](crate::Builder::follow_fork) the loop does that by itself where
//! it would say `Forked`. It costs nothing, since the comparison is made anyway. It is not the default,
//! because a child that runs the parent's loop by mistake should hear of it.
//!
//! # What becomes of the watchers
//!
//! | watcher | in the child, after `after_fork` |
//! |---|---|
//! | io | watches on, in an epoll instance of its own; but the *open file* is the parent's too |
//! | timer, periodic, idle, prepare, check | as they were |
//! | signal | signals sent to the child from now on; what had come and was not delivered yet is pending in both |
//! | child | the parent's children are not the child's: [`Events::ERROR`](crate::Events::ERROR) when they end |
//! | stat | looks at once, hinted by a thread of this process |
//! | notifier, channel, [`Remote`](crate::Remote) | handles in the child reach the child's loop |
//! | fork | called |
//! | cleanup | called when the child drops the loop; without `after_fork` not |
//!
//! # Sharp edges
//!
//! * **Only the thread that called `fork` goes on** in the child. What the others had locked stays locked, the
//!   memory allocator of some systems included. Fork before there are threads, or call `exec` soon. The stat
//!   watcher's thread counts.
//! * **An open file is shared**, with its position and its flags. Two processes that read the same socket
//!   each get some of it. One of them should free its watcher.
//! * **A bare `clone` or `vfork` is not noticed**: the count is kept by `pthread_atfork`.
//! * **Forking in a callback** is allowed. The child is then inside that callback, inside its run, which
//!   goes on when the callback returns, with what was pending: take the loop over before that, or leave the process.
//! * **A loop nested in another** as a [guest](super::embedding) is told separately, and its host must take
//!   its descriptor anew.
