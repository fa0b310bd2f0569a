//! Time inside the loop: nanoseconds of the monotonic clock, or since 1970, in a `u64`.
//!
//! `Instant` arithmetic costs more than all the rest of a turn with one event, so it happens only
//! at the public edge. The edge is exact to one side: an `Instant` is read just before the number
//! it is paired with, so a deadline given as `Instant` never comes early, and `now()` is never
//! ahead of `Instant::now()`.

#[cfg(feature = "test-util")]
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crate::sys::clock::{monotonic_nanos, realtime_nanos};

/// "Never": the value that saturating arithmetic ends at.
pub(crate) const NEVER: u64 = u64::MAX;

pub(crate) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(NEVER)
}

/// A moment of the wall clock as a number. What lies before 1970 is at its beginning.
pub(crate) fn nanos_since_1970(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).map_or(0, nanos)
}

/// The inverse of [`nanos_since_1970`].
pub(crate) fn system_time(nanos: u64) -> SystemTime {
    // 584 years fit wherever a SystemTime does.
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)).unwrap_or_else(SystemTime::now)
}

pub(crate) struct Clock {
    /// The same moment in both notations.
    instant: Instant,
    nanos: u64,
    #[cfg(feature = "test-util")]
    mock: Option<Mock>,
}

/// A clock that somebody else moves: nanoseconds since its beginning, and the wall time then, in
/// nanoseconds since 1970, which may have been before.
#[cfg(feature = "test-util")]
#[derive(Clone)]
pub(crate) struct Mock {
    pub(crate) elapsed: Rc<std::cell::Cell<u64>>,
    pub(crate) wall: Rc<std::cell::Cell<i128>>,
}

#[cfg(feature = "test-util")]
impl Mock {
    pub(crate) fn wall(&self) -> u64 {
        let wall = self.wall.get() + i128::from(self.elapsed.get());
        wall.clamp(0, NEVER.into()) as u64
    }
}

impl Clock {
    pub(crate) fn new() -> Self {
        let (instant, nanos) = Self::pair();
        Self {
            instant,
            nanos,
            #[cfg(feature = "test-util")]
            mock: None,
        }
    }

    /// A moment in both notations, as nearly as can be: all that is turned from one into the other later is off by what lies
    /// between the readings. A process that has just begun looks for its clock first, which takes some 15 microseconds, and
    /// any may be interrupted.
    fn pair() -> (Instant, u64) {
        let read = || {
            let instant = Instant::now();
            let nanos = monotonic_nanos();
            (instant, nanos, instant.elapsed())
        };
        let mut best = read();
        for _ in 0..4 {
            let next = read();
            if next.2 < best.2 {
                best = next;
            }
        }
        (best.0, best.1)
    }

    #[cfg(feature = "test-util")]
    pub(crate) fn mocked(mock: Mock) -> Self {
        Self { mock: Some(mock), ..Self::new() }
    }

    #[cfg(feature = "test-util")]
    pub(crate) fn mock(&self) -> Option<&Mock> {
        self.mock.as_ref()
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        #[cfg(feature = "test-util")]
        if let Some(mock) = &self.mock {
            return self.nanos.saturating_add(mock.elapsed.get());
        }
        monotonic_nanos()
    }

    /// The wall clock: nanoseconds since 1970.
    pub(crate) fn wall(&self) -> u64 {
        #[cfg(feature = "test-util")]
        if let Some(mock) = &self.mock {
            return mock.wall();
        }
        realtime_nanos()
    }

    /// Whether jumps of the wall clock are noticed by nothing but a look.
    pub(crate) fn is_mocked(&self) -> bool {
        #[cfg(feature = "test-util")]
        return self.mock.is_some();
        #[cfg(not(feature = "test-util"))]
        false
    }

    /// Sleeps through a collect interval.
    pub(crate) fn sleep(&self, d: Duration) {
        #[cfg(feature = "test-util")]
        if let Some(mock) = &self.mock {
            mock.elapsed.set(mock.elapsed.get().saturating_add(nanos(d)));
            return;
        }
        std::thread::sleep(d);
    }

    /// `None` for [`NEVER`] and for what an `Instant` cannot hold.
    pub(crate) fn instant(&self, at: u64) -> Option<Instant> {
        if at == NEVER {
            None
        } else if at >= self.nanos {
            self.instant.checked_add(Duration::from_nanos(at - self.nanos))
        } else {
            self.instant.checked_sub(Duration::from_nanos(self.nanos - at))
        }
    }

    /// The nanoseconds of an `Instant`, saturating at both ends.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        match instant.checked_duration_since(self.instant) {
            Some(later) => self.nanos.saturating_add(nanos(later)),
            None => self.nanos.saturating_sub(nanos(self.instant.duration_since(instant))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_of_a_moment_are_the_same_within_microseconds() {
        let clock = Clock::new();
        // Of many, since any of these may be interrupted too.
        let apart = (0..1000).map(|_| {
            let now = clock.instant(clock.now()).unwrap();
            Instant::now().duration_since(now)
        });
        assert!(apart.min().unwrap() < Duration::from_micros(5));
    }

    #[test]
    fn now_is_never_ahead_of_the_system_and_a_deadline_never_early() {
        let clock = Clock::new();
        for _ in 0..1000 {
            let now = clock.instant(clock.now()).unwrap();
            let system = Instant::now();
            assert!(now <= system);
            let deadline = clock.at(system);
            assert!(clock.instant(deadline).unwrap() == system);
            let before = monotonic_nanos();
            assert!(clock.at(Instant::now()) >= before);
        }
    }

    #[test]
    fn extreme_instants_saturate() {
        let clock = Clock::new();
        assert_eq!(clock.instant(NEVER), None);
        let far = Instant::now() + Duration::from_secs(1 << 40);
        assert_eq!(clock.at(far), NEVER);
        assert_eq!(nanos(Duration::MAX), NEVER);
    }
}
