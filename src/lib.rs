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
//! * **A watcher** is a closure and what it waits for:
//!
//!   | watcher | called when |
//!   |---|---|
//!   | [`Io`] | a descriptor is ready |
//!   | [`Timer`] | time has passed |
//!   | [`Periodic`] | the clock on the wall shows a certain time |
//!   | [`Signal`] | a signal was delivered |
//!   | [`Child`] | a child process has ended, stopped or gone on |
//!   | `Stat` (feature `stat`) | a file has changed |
//!   | [`Async`] | another thread called |
//!   | [`Prepare`], [`Check`] | the loop is about to wait, has waited |
//!   | [`Idle`] | there is nothing better to do |
//!   | [`Fork`] | the process is a fork of the one that made the loop |
//!   | [`Cleanup`] | the loop is being dropped |
//!
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
//! 1. **Fork** watchers are called, if the process was forked and the loop was told
//!    ([`after_fork`](EvLoop::after_fork)).
//! 2. **Prepare** watchers are called. If one breaks the loop, it ends here.
//! 3. **Changes** of interest since the last wait are told to the kernel, one call per descriptor, and
//!    none for those that cancelled out.
//! 4. **Time** is read, if something waits for a certain one.
//! 5. **The wait** begins: not at all if an idle watcher is active, something was deferred or fed for later,
//!    or nothing keeps the loop running; until the first timer, periodic or look at a file otherwise.
//!    [`iteration`](EvLoop::iteration) counts it. From here to its end, other threads' calls and signals ring a
//!    bell; the rest of the time they make no system call.
//! 6. **Time** is read again, and stands still until the next wait. If the wall clock has jumped, periodics are
//!    computed anew. Children are asked what became of them, and files that may have changed are looked at.
//! 7. **Events are queued** by priority and, within one, in this order: closures posted from other threads
//!    (at the top priority), check watchers, signals by number, children, notifiers, files, periodics by due
//!    time, timers by due time, io in the order the kernel reported it, what was fed for later, and idle
//!    watchers if nothing else is pending at their priority or above.
//! 8. **Callbacks** are called, highest priority first, first in first out within one. After each the loop looks
//!    again, so an event fed at a higher priority overtakes the rest. What is started now has its first chance
//!    in the next iteration.
//! 9. **Deferred** closures are called.
//! 10. **The end**, if there was a break, or nothing active is left that [keeps the loop running](Timer::set_ref).
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
//! | *(none)* | always | the loop, and every watcher but the stat watcher |
//! | `auth` | no | log-ins in `evloop::http::auth`: Basic, Bearer, Digest; depends on `base64`, `md-5` and `sha2`; turns `http-server` on |
//! | `compress` | no | replies and requests that are packed with gzip or deflate, also the messages of WebSockets; depends on `flate2` and `miniz_oxide`, which is beneath it; turns `http-server` on |
//! | `http-server` | yes | `evloop::http`, the HTTP/1.1 server with files, forms and events, and `evloop::wire`, the protocol without sockets; depends on `httpdate`, `percent-encoding`, `form_urlencoded` and `mime_guess`; turns `net` on |
//! | `http-types` | no | conversions from and to the types of the crate `http`, which it depends on; turns `http-server` on |
//! | `net` | yes | `evloop::net`, connections: buffered streams, listeners, name resolution, datagrams, rates, loop threads, and the work pool; depends on `bytes`, for bytes that are shared |
//! | `stat` | yes | the stat watcher; depends on `notify`, which hints when to look |
//! | `tls` | no | TLS on connections, both sides, and HTTPS with `http-server`; depends on `rustls` with `ring`, and on `webpki-roots`; turns `net` on |
//! | `websocket` | yes | `evloop::websocket`, both ends; depends on `base64` and `sha1_smol`; turns `http-server` on |
//! | `full` | no | everything optional: `auth`, `compress`, `http-server`, `http-types`, `net`, `stat`, `tls` and `websocket` |
//! | `test-util` | no | `evloop::testing`: a mock clock and a scripted backend, for tests of programs |
//!
//! Features add and never change. The loop starts no thread, but for the one that brings the stat watchers' hints and
//! those of the work pool, which also resolves names, all on first use; and those that a program asks for.
//!
//! # Connections
//!
//! A descriptor that is ready is not yet a message that has come. The module `net`, made of the watchers above and
//! nothing else, has what lies between: streams with buffers on both sides, time-outs, back-pressure and TLS;
//! listeners; datagrams. Feature `net`, and `tls` for TLS.
//!
//! # HTTP
//!
//! The module `http`, on top of those, has a server for HTTP/1.1: routes, closures that answer at once or later, bodies in
//! pieces, files, forms, streams of events, access logs; over TLS too, with several hosts, behind proxies; and a limit or a deadline for
//! everything that a client could hold up. What makes sense of the bytes stands apart from sockets, in `wire`. Feature
//! `http-server`; log-ins with `auth`, packed bodies with `compress`, HTTPS with `tls`.
//!
//! The module `websocket` has messages in both directions, for servers and for clients. Feature `websocket`.
//!
//! # Further
//!
//! The [`guide`] has a chapter on each of [signals and children](guide::signals_and_children), watching files, connections, serving HTTP,
//! [time](guide::time), [forking](guide::forking), [embedding](guide::embedding) and [finding what
//! blocks](guide::finding_what_blocks), and a daemon in less than 60 lines of code.
//!
//! # From libev
//!
//! The words are libev's where it has them, and each item names its counterpart; [a chapter](guide::from_libev)
//! lists them all. What is better on purpose: dispatch is first in, first out, and equal timers fire in the order they were
//! started; timers are good to the nanosecond the kernel can count; a closed descriptor is an event, not
//! an abort; every loop may watch every signal and its own children, and waits for no others; a file's times are
//! compared to the nanosecond; freeing is always safe.

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
pub mod guide;
#[cfg(feature = "http-server")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-server")))]
pub mod http;
#[cfg(feature = "net")]
#[cfg_attr(docsrs, doc(cfg(feature = "net")))]
pub mod net;
mod sys;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod testing;
mod watch;
#[cfg(feature = "websocket")]
#[cfg_attr(docsrs, doc(cfg(feature = "websocket")))]
pub mod websocket;
#[cfg(feature = "http-server")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-server")))]
pub mod wire;

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
#[cfg(all(doctest, feature = "http-server"))]
#[doc = include_str!("../README.md")]
struct Readme;
