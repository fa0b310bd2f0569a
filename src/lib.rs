//! A libev-style event loop: typed watchers, plain callbacks, one thread.
//!
//! You create a loop, tell it what to watch, and run it. It waits for all of that at once and calls
//! your closures when something happens:
//!
//! ```no_run
//! use evloop::{Break, EvLoop, Interest};
//! use std::io::Read;
//! use std::time::Duration;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut ev = EvLoop::new()?;
//!     let input = ev.io(evloop::stdin()?, Interest::READ, |ev, e| {
//!         let mut bytes = [0; 4096];
//!         let mut stdin = e.source;
//!         match stdin.read(&mut bytes) {
//!             Ok(0) => ev.break_loop(Break::All),
//!             Ok(n) => print!("got: {}", String::from_utf8_lossy(&bytes[..n])),
//!             Err(error) => ev.fail(error),
//!         }
//!     });
//!     let timeout = ev.timer(Duration::from_millis(5500), Duration::ZERO, |ev, _| {
//!         println!("timeout");
//!         ev.break_loop(Break::All);
//!     });
//!     input.start(&mut ev)?;
//!     timeout.start(&mut ev);
//!     ev.run()?;
//!     Ok(())
//! }
//! ```
//!
//! It is what C programs get from libev, for Rust programs with one thread and plain callbacks: no
//! executor, no futures, no globals, no `Send` bounds on your state, and none of the ways a C loop can
//! be made to call freed memory.
//!
//! # The model
//!
//! * **A loop** ([`EvLoop`]) owns watchers. It lives on one thread; other threads have a [`Remote`].
//! * **A watcher** is a closure and what it waits for. [`Io`]: a descriptor is ready. [`Timer`]: time has
//!   passed. [`Async`]: another thread called. [`Prepare`] and [`Check`]: the loop is about to wait, has
//!   waited. [`Idle`]: there is nothing better to do.
//! * **Constructors are on the loop**, `ev.timer(…)`, and return a *key*: a `Copy` number of 8 bytes that
//!   names the watcher. **Verbs are on the key**, `timer.start(&mut ev)`. A key whose watcher was freed is
//!   an error or a no-op, never another watcher. Forgetting to [`free`](Timer::free) keeps a slot until the
//!   loop goes; [`after`](EvLoop::after), [`once`](EvLoop::once), [`defer`](EvLoop::defer) and
//!   [`start_or_free`](Io::start_or_free) free by themselves.
//! * **Callbacks** get `(&mut EvLoop, event)` and may do anything in it: stop, restart, reconfigure or free
//!   any watcher, their own included, make new ones, run the loop again inside. They return nothing; one
//!   that cannot go on calls [`fail`](EvLoop::fail).
//!
//! ## The four states
//!
//! ```text
//!   made ──start──▶ active ──event──▶ pending ──▶ callback
//!     ▲               │ ▲                │
//!     └─────stop──────┘ └── (still active, or a one-shot that is stopped by now)
//! ```
//!
//! *Active* and *pending* are independent: an expired one-shot timer is pending and no longer active; an
//! event fed to a stopped watcher makes it pending. `stop` ends both, so after it returned the callback is
//! not called, even if its event had been queued in this iteration. Inside its own callback a watcher is
//! not pending, and it is never entered a second time.
//!
//! ## Where state lives
//!
//! 1. *The closure owns its state*: right for most watchers.
//! 2. *One owner, others poke it*: several watchers of one object hold the owner's key and
//!    [`feed`](Io::feed) it.
//! 3. *`Rc<Inner>` with small cells* for what truly is shared. Hold no borrow across a call of somebody
//!    else's closure, and `RefCell` stays silent.
//!
//! # One iteration
//!
//! [`run`](EvLoop::run) repeats these steps, in this order:
//!
//! 1. **Prepare** watchers are called. If one breaks the loop, it ends here.
//! 2. **Changes** of interest since the last wait are told to the kernel, one call per descriptor, and
//!    none for those that cancelled out.
//! 3. **Time** is read, if there are timers.
//! 4. **The wait** begins: not at all if an idle watcher is active, something was deferred or fed for later,
//!    or nothing keeps the loop running; until the first timer otherwise. [`iteration`](EvLoop::iteration)
//!    counts it. From here to its end, other threads' calls ring a bell; the rest of the time they make no
//!    system call.
//! 5. **Time** is read again, and stands still until the next wait.
//! 6. **Events are queued** by priority and, within one, in this order: closures posted from other threads
//!    (at the top priority), check watchers, notifiers, timers by due time, io in the order the kernel reported
//!    it, what was fed for later, and idle watchers if nothing else is pending at their priority or above.
//! 7. **Callbacks** are called, highest priority first, first in first out within one. After each the loop looks
//!    again, so an event fed at a higher priority overtakes the rest. What is started now has its first chance
//!    in the next iteration.
//! 8. **Deferred** closures are called.
//! 9. **The end**, if there was a break, or nothing active is left that [keeps the loop running](Timer::set_ref).
//!
//! # Priorities
//!
//! Five, −2 to +2, as in libev. They order the callbacks of one iteration and nothing more: all of them are
//! called before the next wait. Only idle watchers are locked out by what is above them.
//!
//! # Errors and panics
//!
//! What the system may refuse returns a [`Result`]; what cannot fail returns the key. Nothing prints, nothing
//! aborts. A callback's panic passes through [`run`](EvLoop::run) to its caller; the loop stays valid, and the
//! events not yet delivered are delivered by the next run.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `test-util` | no | `evloop::testing`: a mock clock and a scripted backend, for tests of programs |
//! | `full` | no | everything optional; at present nothing |
//!
//! # From libev
//!
//! The words are libev's where it has them. `ev_loop_destroy` is drop, `ev_ref`/`ev_unref` are
//! [`set_ref`](Timer::set_ref) on the watcher, `ev_async_send` is [`Notifier::notify`], `ev_embed` is turned
//! around ([`backend_fd`](EvLoop::backend_fd)), times are [`Duration`](std::time::Duration) and
//! [`Instant`](std::time::Instant). Each item names its counterpart. What is better on purpose: dispatch is first
//! in, first out, and equal timers fire in the order they were started; timers are good to the nanosecond the
//! kernel can count; a closed descriptor is an event, not an abort; freeing is always safe.

#![deny(unsafe_code)]
#![warn(missing_docs)]
// The library prints nothing and panics on nothing that comes from outside.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro, clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod engine;
mod error;
mod event;
mod sys;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod testing;
mod watch;

pub use backend::Backend;
pub use engine::{Break, Builder, EvLoop, Kind, Metrics, Remote, Run, Schedule, Stall};
pub use error::{Error, ErrorKind, Result};
pub use event::{Events, Interest};
pub use watch::{
    AnyWatcher, Async, AsyncEvent, Check, CheckEvent, Child, ChildEvent, Cleanup, CleanupEvent,
    Fork, ForkEvent, Idle, IdleEvent, Io, IoEvent, Notifier, Periodic, PeriodicEvent, Prepare,
    PrepareEvent, SendError, Sender, Signal, SignalEvent, Timer, TimerEvent, Watcher, stdin,
};
#[cfg(feature = "stat")]
#[cfg_attr(docsrs, doc(cfg(feature = "stat")))]
pub use watch::{FileAttr, Stat, StatEvent};

/// Has the README's sample compiled, so that it works for whoever copies it.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
