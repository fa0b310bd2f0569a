//! Time: timers or periodics, what happens when somebody sets the clock, and while the machine sleeps.
//!
//! # Two clocks
//!
//! | | monotonic | wall |
//! |---|---|---|
//! | tells | how much time has passed | what time it is |
//! | type | [`Instant`](std::time::Instant) | [`SystemTime`](std::time::SystemTime) |
//! | the loop's reading | [`now`](crate::EvLoop::now) | [`wall_now`](crate::EvLoop::wall_now) |
//! | may be set | no | yes, forward and back |
//! | goes on while the machine sleeps | no | yes |
//! | watchers | [`Timer`](crate::Timer) | [`Periodic`](crate::Periodic) |
//!
//! *In an hour* is a timer. *On the hour* is a periodic. *Every ten seconds* is nearly always a
//! timer; it is a periodic only if it matters to others which seconds they are, as for two machines that
//! should report at the same moment.
//!
//! # The loop's time stands still
//!
//! Both readings are taken at most once per iteration and stay as they are while callbacks run, so all events of
//! one iteration have one time, and asking costs nothing. A timer started in a callback counts from there.
//! After a long computation that is in the past:
//!
//! ```
//! use evloop::EvLoop;
//! use std::time::{Duration, Instant};
//!
//! let mut ev = EvLoop::new()?;
//! ev.after(Duration::ZERO, |ev| {
//!     std::thread::sleep(Duration::from_millis(30)); // or computes that long
//!     let (present, delay) = (Instant::now(), Duration::from_millis(20));
//!     assert!(present - ev.now() >= Duration::from_millis(30));
//!     // Counts from the loop's now: overdue already.
//!     let early = ev.timer(delay, Duration::ZERO, |_, _| {}).start(ev);
//!     assert!(early.due(ev).is_some_and(|due| due < present));
//!     // Counts from the real one.
//!     let right = ev.timer(delay, Duration::ZERO, |_, _| {}).start_from_real_now(ev);
//!     assert!(right.due(ev).is_some_and(|due| due >= present + delay));
//! });
//! ev.run()?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! For a whole program there is [`Builder::fresh_timers`](crate::Builder::fresh_timers). Outside of `run`
//! there is no time of an iteration, and every start counts from the real present.
//!
//! # Somebody sets the clock
//!
//! Timers never notice. Periodics follow: those with an [interval](crate::Schedule::every) or a
//! [rule](crate::Schedule::by) are computed anew when the clock has jumped by a second or more, forward or back; one
//! for a [moment](crate::Schedule::at) waits until the clock shows it. The kernel tells the loop at once
//! that the clock was set. Tests can set one, of their own (feature `test-util`):
//!
//! ```
//! use evloop::testing::MockClock;
//! use evloop::{EvLoop, Run, Schedule};
//! use std::time::{Duration, SystemTime};
//!
//! let hour = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(3600 * n);
//! let clock = MockClock::new();
//! clock.set_wall(hour(10) + Duration::from_secs(60));
//! let mut ev = EvLoop::builder().mock_clock(&clock).build()?;
//! let hourly = ev.periodic(Schedule::every(Duration::from_secs(3600)), |_, _| {});
//! hourly.start(&mut ev);
//! assert_eq!(hourly.due(&ev), Some(hour(11)));
//!
//! // Summer time done wrong: an hour back and a bit. Ten o'clock comes again.
//! clock.set_wall(hour(9) + Duration::from_secs(60));
//! ev.run_mode(Run::NoWait)?;
//! assert_eq!(hourly.due(&ev), Some(hour(10)));
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! **Local time** is a matter of rules that change by law, which a loop knows nothing of. Summer time does not
//! set the clock, it changes how the clock is read. *Every day at six, here* is a rule that asks a crate
//! for calendars:
//!
//! ```
//! # use std::time::{Duration, SystemTime};
//! # fn next_six_o_clock_here(now: SystemTime) -> Option<SystemTime> { None }
//! use evloop::Schedule;
//!
//! let daily = Schedule::by(|now| next_six_o_clock_here(now)); // later than `now`
//! ```
//!
//! # While nothing runs
//!
//! Three things stop a program, and its timers see them differently:
//!
//! * **The process is stopped** (Ctrl-Z, a debugger) **or the loop is busy**: both clocks go on. Afterwards everything
//!   that is due is called, each watcher once. A repeating timer goes on from the end of the gap, or in
//!   its old phase with [`set_keep_phase`](crate::Timer::set_keep_phase).
//! * **The machine sleeps**: the monotonic clock stops, so timers know nothing of it. The wall clock has
//!   jumped: periodics of the night are lost, but for a moment that has passed.
//! * **[`suspend`](crate::EvLoop::suspend) and [`resume`](crate::EvLoop::resume)**, for programs that know that
//!   they will be away: timers are moved by the gap as if it had not been, periodics are computed anew.
//!
//! # How exact
//!
//! No timer is early, by not a nanosecond of the loop's clock, and no periodic before the clock shows its time.
//! How late depends on the other callbacks and on the kernel, which adds some 50 µs for its own
//! convenience (`PR_SET_TIMERSLACK`). Waits are counted in nanoseconds; a kernel before Linux 5.11 has
//! milliseconds only, and they are rounded up.
//!
//! Programs that would rather wake up seldom than be exact have
//! [`set_timer_collect`](crate::EvLoop::set_timer_collect) and [`set_io_collect`](crate::EvLoop::set_io_collect).
//!
//! # Sharp edges
//!
//! * **A rule must return the future.** What is not later than its `now` is due at once, again and
//!   again.
//! * **Intervals count from 1970 in UTC**: every 24 hours is midnight in Greenwich, every 7 days is Thursday.
//! * **Leap seconds** do not exist in this clock. It is slowed, or steps back by one, as the system does it.
//! * **A jump of less than a second** is none: the next time is simply reached a little sooner or later.
//! * **Where the kernel cannot tell** that the clock was set, or must not
//!   ([`Builder::watch_clock_jumps`](crate::Builder::watch_clock_jumps)), it is noticed within a minute: a loop
//!   with periodics wakes up that often.
//! * **[`next_deadline`](crate::EvLoop::next_deadline) of a periodic** is a forecast: an `Instant` at which
//!   the wall clock will show its time if nobody sets it.
