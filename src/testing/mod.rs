//! Testing programs that use the loop: a clock that moves when you say so, and readiness that comes
//! from a script. Feature `test-util`.
//!
//! * A loop on a [`MockClock`] never reads the real one. Where it would sleep until a timer, it polls
//!   once, and if nothing is ready it moves the clock instead: a day of timers takes no time, and
//!   every callback sees the exact moment it asked for. Works with every backend.
//! * A loop on a [`Script`] has no kernel behind it. Watchers start and stop as usual, and are told
//!   what the script says: readiness, failures, interruptions. It also records what the loop asked
//!   for: how long each wait would have been, and each change of a registration.
//!
//! ```
//! use evloop::testing::{MockClock, Script};
//! use evloop::{Events, EvLoop, Interest};
//! use std::os::unix::net::UnixStream;
//! use std::time::Duration;
//!
//! let (clock, script) = (MockClock::new(), Script::new());
//! let mut ev = EvLoop::builder().mock_clock(&clock).script(&script).build()?;
//!
//! // The program under test: a reader that gives up after an hour of silence.
//! let (stream, _peer) = UnixStream::pair()?;
//! let idle = ev.timer(Duration::ZERO, Duration::from_secs(3600), |ev, _| ev.break_loop(evloop::Break::All));
//! let reader = ev.io(stream, Interest::READ, move |ev, _| {
//!     idle.again(ev);
//! });
//! reader.start(&mut ev)?;
//! idle.again(&mut ev);
//!
//! script.ready(reader, Events::READ);
//! ev.run()?;
//! assert_eq!(clock.elapsed(), Duration::from_secs(3600));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clock;
mod script;

pub use clock::MockClock;
pub use script::Script;
