//! A clock that moves when it is told to, or when the loop would have slept.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::engine::{Mock, nanos, nanos_since_1970, system_time};

/// A clock for [`Builder::mock_clock`](crate::Builder::mock_clock). Clones are the same clock.
///
/// It stands still but for [`advance`](Self::advance) and for the loop's own waits: where a loop would
/// sleep it looks once for readiness and, if there is none, moves the clock by what it would have
/// slept. A wait without a time-out is a real one.
///
/// ```
/// use evloop::{EvLoop, testing::MockClock};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let mut ev = EvLoop::builder().mock_clock(&clock).build()?;
/// ev.after(Duration::from_secs(86_400), |_| {});
/// ev.run()?;
/// assert_eq!(clock.elapsed(), Duration::from_secs(86_400));
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// Other threads and processes live on the real clock. A loop that waits for one of them with a
/// time-out runs into the time-out first.
#[derive(Clone)]
pub struct MockClock(Mock);

impl MockClock {
    /// A clock at its beginning.
    #[must_use]
    pub fn new() -> Self {
        let wall = Rc::new(Cell::new(nanos_since_1970(SystemTime::now()).into()));
        Self(Mock { elapsed: Rc::new(Cell::new(0)), wall })
    }

    /// Moves the clock. Loops notice when they next read it: in their next iteration, or with
    /// [`update_now`](crate::EvLoop::update_now).
    pub fn advance(&self, by: Duration) {
        self.0.elapsed.set(self.0.elapsed.get().saturating_add(nanos(by)));
    }

    /// How far the clock has moved since it was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.elapsed.get())
    }

    /// What the wall clock shows: at first the true time, from then on as far as the clock has moved.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        system_time(self.0.wall())
    }

    /// Sets the wall clock; the monotonic one goes on as if nothing had happened. Loops notice in their
    /// next iteration. A moment before 1970 counts as 1970.
    ///
    /// ```
    /// use evloop::{EvLoop, Run, Schedule, testing::MockClock};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let clock = MockClock::new();
    /// clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(90));
    /// let mut ev = EvLoop::builder().mock_clock(&clock).build()?;
    /// ev.periodic(Schedule::every(Duration::from_secs(60)), |_, _| {}).start(&mut ev);
    /// ev.run_mode(Run::Once)?;
    /// assert_eq!(clock.elapsed(), Duration::from_secs(30));
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn set_wall(&self, to: SystemTime) {
        self.0.wall.set(i128::from(nanos_since_1970(to)) - i128::from(self.0.elapsed.get()));
    }

    pub(crate) fn mock(&self) -> Mock {
        self.0.clone()
    }
}

impl Default for MockClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MockClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MockClock").field(&self.elapsed()).finish()
    }
}
