//! What all case files share: the environments, and a few words to write cases in.
//!
//! A case file (`tests/cases/NAME.rs`) is written once and instantiated per environment by [`on!`]:
//!
//! ```ignore
//! mod suite;
//! suite::on!(epoll: timer, order);
//! suite::on!(poll: timer, order);
//! suite::on!(scripted: timer, order, waits);
//! ```
//!
//! It is included into a module that has imported everything of this file, of `evloop`, and of its
//! environment: `ev()`, `ev_with_clock()`, `builder()`, `live_ev()`, and `NAME`. `scripted` has
//! `ev_with_script()` besides. Being included, it starts with `//` comments, not `//!`.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code, unused_imports, unused_macros)]

mod names;

pub use std::cell::{Cell, RefCell};
pub use std::rc::Rc;
pub use std::time::{Duration, Instant};

pub use evloop::testing::{MockClock, Script};
pub use evloop::*;
pub use names::{temporary, unused};

/// Instantiates case files in one environment: `on!(poll: run, order)`.
macro_rules! on {
    ($env:ident: $($case:ident),+ $(,)?) => {
        mod $env {
            $(mod $case {
                #[allow(unused_imports)]
                use crate::suite::{*, $env::*};
                include!(concat!("cases/", stringify!($case), ".rs"));
            })+
        }
    };
}
pub(crate) use on;

/// One environment on a real backend: the kernel waits, the clock is ours.
macro_rules! environment {
    ($env:ident, $backend:expr) => {
        pub mod $env {
            use super::*;

            /// The environment's name, for messages.
            pub const NAME: &str = stringify!($env);

            /// A builder for this backend, deaf to the environment, on the real clock.
            pub fn builder() -> Builder {
                EvLoop::builder().backend($backend).env(false)
            }

            /// A loop whose clock moves only when it would sleep.
            pub fn ev() -> EvLoop {
                ev_with_clock().0
            }

            /// The same with the clock in hand.
            pub fn ev_with_clock() -> (EvLoop, MockClock) {
                let clock = MockClock::new();
                let ev = builder().mock_clock(&clock).build().expect("a loop on a mock clock");
                (ev, clock)
            }

            /// A loop on the real clock, for cases in which other threads take part.
            pub fn live_ev() -> EvLoop {
                builder().build().expect("a loop on the real clock")
            }
        }
    };
}

environment!(epoll, Backend::Epoll);
environment!(poll, Backend::Poll);

/// No kernel at all: mock clock and script. An unlimited wait that nobody can end is `Stuck`.
pub mod scripted {
    use super::*;

    pub const NAME: &str = "scripted";

    /// A builder without a kernel; its clock and script are its own.
    pub fn builder() -> Builder {
        EvLoop::builder().env(false).mock_clock(&MockClock::new()).script(&Script::new())
    }

    pub fn ev() -> EvLoop {
        ev_with_script().0
    }

    pub fn ev_with_clock() -> (EvLoop, MockClock) {
        let (ev, clock, _) = ev_with_script();
        (ev, clock)
    }

    /// The loop, its clock, and the script that says what the kernel would have said.
    pub fn ev_with_script() -> (EvLoop, MockClock, Script) {
        let (clock, script) = (MockClock::new(), Script::new());
        let ev = EvLoop::builder()
            .env(false)
            .mock_clock(&clock)
            .script(&script)
            .build()
            .expect("a scripted loop");
        (ev, clock, script)
    }

    pub fn live_ev() -> EvLoop {
        ev()
    }
}

pub const ZERO: Duration = Duration::ZERO;

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// What happened, in order: shared by the closures of a case.
pub struct Log<T = &'static str>(Rc<RefCell<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log(Rc::clone(&self.0))
    }
}

impl<T: 'static> Log<T> {
    pub fn new() -> Self {
        Log(Rc::default())
    }

    pub fn push(&self, entry: T) {
        self.0.borrow_mut().push(entry);
    }

    /// Everything since the last `take`.
    pub fn take(&self) -> Vec<T> {
        self.0.take()
    }

    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

impl<T: Clone + 'static> Log<T> {
    /// A callback of any in-process kind that only writes `entry`.
    pub fn says<E>(&self, entry: T) -> impl FnMut(&mut EvLoop, E) + use<T, E> + 'static {
        let log = self.clone();
        move |_, _| log.push(entry.clone())
    }
}

/// A counter shared by the closures of a case.
#[derive(Clone, Default)]
pub struct Count(Rc<Cell<usize>>);

impl Count {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn get(&self) -> usize {
        self.0.get()
    }

    /// Counts one up and returns the new value.
    pub fn up(&self) -> usize {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }

    /// A callback of any in-process kind that only counts.
    pub fn ups<E>(&self) -> impl FnMut(&mut EvLoop, E) + use<E> + 'static {
        let count = self.clone();
        move |_, _| {
            count.up();
        }
    }
}

/// A callback of any in-process kind that does nothing.
pub fn nothing<E>(_: &mut EvLoop, _: E) {}

/// Counts the waits of a loop that somebody has ended before `until`. A process that was given no time for long looks once
/// more when it wakes up, which is nobody's doing.
pub fn early_ends(ev: &mut EvLoop, until: Instant) -> Count {
    let ends = Count::new();
    let count = ends.clone();
    ev.on_wait(
        || {},
        move || {
            if Instant::now() < until {
                count.up();
            }
        },
    );
    ends
}

/// Notes something in the loop itself, for closures that must be `Send` and cannot hold a [`Log`].
pub fn trace(ev: &mut EvLoop, entry: &'static str) {
    ev.local::<RefCell<Vec<&'static str>>>().borrow_mut().push(entry);
}

/// Everything traced since the last call.
pub fn traced(ev: &mut EvLoop) -> Vec<&'static str> {
    ev.local::<RefCell<Vec<&'static str>>>().take()
}

/// A loop's watcher that keeps it running and never does anything: a timer no run reaches.
pub fn anchor(ev: &mut EvLoop) -> Timer {
    ev.timer(secs(1_000_000), ZERO, nothing).start(ev)
}

/// The panic message of `f`, or `None` if it returned.
pub fn panic_of<R>(f: impl FnOnce() -> R) -> Option<String> {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).err()?;
    Some(match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(other) => other.downcast::<String>().map_or_else(|_| "?".to_owned(), |text| *text),
    })
}

/// Ends the process, with a message, if the case has not dropped it in time: a case that hangs
/// fails instead of blocking the suite.
pub struct Watchdog(Option<std::sync::mpsc::Sender<()>>);

impl Watchdog {
    /// For a case that must be over within `limit` of real time.
    #[track_caller]
    pub fn new(limit: Duration) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let site = std::panic::Location::caller();
        std::thread::spawn(move || {
            let late =
                stopped.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if late {
                // Past the harness, which would keep the message to itself.
                use std::io::Write as _;
                let _ = writeln!(std::io::stderr(), "{site}: not over after {limit:?}");
                std::process::abort();
            }
        });
        Watchdog(Some(stop))
    }
}
