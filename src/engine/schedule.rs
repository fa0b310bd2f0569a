//! When a periodic is due: arithmetic in whole nanoseconds since 1970, so that the thousandth year is
//! as exact as the first minute.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::clock::{NEVER, nanos, nanos_since_1970, system_time};

/// When a [`Periodic`](crate::Periodic) is due.
///
/// ```
/// use evloop::Schedule;
/// use std::time::{Duration, SystemTime};
///
/// // Once, at a moment (libev: interval 0, offset that moment).
/// let launch = Schedule::at(SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000));
/// // On the hour, by UTC.
/// let hourly = Schedule::every(Duration::from_secs(3600));
/// // Ten past every hour.
/// let ten_past = Schedule::every(Duration::from_secs(3600)).offset(Duration::from_secs(600));
/// // By a rule of your own: whenever the seconds are a prime number, say.
/// let whenever = Schedule::by(|now| now.checked_add(Duration::from_secs(7)));
/// ```
pub struct Schedule(Rule);

enum Rule {
    At(u64),
    Every { interval: u64, offset: u64 },
    By(Box<dyn FnMut(SystemTime) -> Option<SystemTime>>),
}

/// 1/8192 of a second, as in libev: what is asked to happen more often is not meant for the wall clock.
const SHORTEST_INTERVAL: u64 = 122_070;

impl Schedule {
    /// Once, at a moment of the wall clock; at once, if it has passed. (libev: an absolute timer.)
    #[must_use]
    pub fn at(moment: SystemTime) -> Self {
        Self(Rule::At(nanos_since_1970(moment)))
    }

    /// At every multiple of `interval`, counted from 1970-01-01 00:00 UTC; shift that with
    /// [`offset`](Self::offset). Less than 1/8192 s counts as that (122 070 ns).
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self(Rule::Every { interval: nanos(interval).max(SHORTEST_INTERVAL), offset: 0 })
    }

    /// Shifts the moments of [`every`](Self::every): they are those that leave `offset` when divided by
    /// the interval. Other schedules stay as they are.
    #[must_use]
    pub fn offset(mut self, offset: Duration) -> Self {
        if let Rule::Every { interval, offset: present } = &mut self.0 {
            *present = (offset.as_nanos() % u128::from(*interval)) as u64;
        }
        self
    }

    /// By a rule: given the present time, `next` says when (libev: a reschedule callback). A moment that
    /// has passed counts as now; `None` means never, or not until [`again`](crate::Periodic::again).
    ///
    /// For "midnight, local time" and the like. It is asked at the start, after each call, and when the
    /// wall clock has jumped. Should it panic in `start` or `again`, the watcher is stopped; should it panic
    /// later, it stays started and is not due until `again`.
    pub fn by(next: impl FnMut(SystemTime) -> Option<SystemTime> + 'static) -> Self {
        Self(Rule::By(Box::new(next)))
    }

    /// When it is due, for one that is started at `now`.
    #[inline]
    pub(super) fn first(&mut self, now: u64) -> u64 {
        match &mut self.0 {
            Rule::At(moment) => *moment,
            Rule::Every { interval, offset } => next_multiple(now, *interval, *offset),
            Rule::By(next) => {
                next(system_time(now)).map_or(NEVER, |t| nanos_since_1970(t).max(now))
            }
        }
    }

    /// When it is due again, for one that is called at `now`; `None` if it is over. `due` is the moment it
    /// was due at, if that was by this schedule.
    #[inline]
    pub(super) fn next(&mut self, due: Option<u64>, now: u64) -> Option<u64> {
        match (&self.0, due) {
            // It may have become this schedule only after it was started.
            (Rule::At(moment), _) => (*moment > now).then_some(*moment),
            // The usual case is spared the division.
            (Rule::Every { interval, .. }, Some(due)) if due.saturating_add(*interval) > now => {
                Some(due.saturating_add(*interval))
            }
            _ => Some(self.first(now)),
        }
    }

    /// Whether a jump of the clock changes when it is due.
    pub(super) fn follows_jumps(&self) -> bool {
        !matches!(self.0, Rule::At(_))
    }

    /// Whether asking it runs code of the program's.
    pub(super) fn asks_the_program(&self) -> bool {
        matches!(self.0, Rule::By(_))
    }
}

/// The smallest `offset` + N·`interval` that is later than `now`.
fn next_multiple(now: u64, interval: u64, offset: u64) -> u64 {
    // The offset is less than the interval.
    let Some(since) = now.checked_sub(offset) else { return offset };
    now.saturating_add(interval - since % interval)
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::At(moment) => f.debug_tuple("At").field(&system_time(*moment)).finish(),
            Rule::Every { interval, offset } => f
                .debug_struct("Every")
                .field("interval", &Duration::from_nanos(*interval))
                .field("offset", &Duration::from_nanos(*offset))
                .finish(),
            Rule::By(_) => f.write_str("By(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000_000_000;

    #[test]
    fn the_next_multiple_is_strictly_later_and_exact_for_centuries() {
        assert_eq!(next_multiple(0, HOUR, 0), HOUR);
        assert_eq!(next_multiple(HOUR - 1, HOUR, 0), HOUR);
        assert_eq!(next_multiple(HOUR, HOUR, 0), 2 * HOUR);
        assert_eq!(next_multiple(5, HOUR, 10), 10);
        assert_eq!(next_multiple(10, HOUR, 10), HOUR + 10);
        let late = 500 * 365 * 24 * HOUR;
        assert_eq!(next_multiple(late + 1, HOUR, 7), late + 7);
    }

    #[test]
    fn an_interval_of_centuries_saturates_to_never() {
        assert_eq!(Schedule::every(Duration::MAX).first(1), NEVER);
        let mut long = Schedule::every(Duration::from_secs(1 << 40)).offset(Duration::MAX);
        assert!(long.first(1) > 1);
    }

    #[test]
    fn an_interval_of_zero_is_the_shortest_there_is() {
        let mut schedule = Schedule::every(Duration::ZERO).offset(Duration::from_secs(1));
        assert!((1..=SHORTEST_INTERVAL).contains(&(schedule.first(HOUR) - HOUR)));
    }

    #[test]
    fn the_next_one_after_a_call_is_the_same_by_addition_and_by_division() {
        let offset = Duration::from_secs(7);
        let mut hourly = Schedule::every(Duration::from_secs(3600)).offset(offset);
        let due = hourly.first(5 * HOUR);
        for late in [0, 1, HOUR - 1, HOUR, HOUR + 1, 100 * HOUR] {
            let now = due + late;
            assert_eq!(hourly.next(Some(due), now), hourly.next(None, now), "{late} late");
        }
        assert_eq!(hourly.next(Some(NEVER - 1), NEVER - 1), Some(NEVER));
    }

    proptest! {
        #[test]
        fn it_is_the_least_of_its_residue_class_after_now(
            now in 0..u64::MAX / 2, interval in 1..u64::MAX / 4, offset in any::<u64>(),
        ) {
            let offset = offset % interval;
            let next = next_multiple(now, interval, offset);
            prop_assert!(next > now || next == offset);
            prop_assert_eq!(next % interval, offset);
            prop_assert!(next == offset || next - interval <= now);
        }
    }
}
