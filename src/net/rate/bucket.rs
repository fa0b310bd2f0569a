//! A token bucket, which fills continuously.
//!
//! It is exact: what is less than a byte is kept in billionths, and what flows in while the rate is changed counts
//! at the lower of the two. Nothing overflows, whatever the numbers.

use std::mem;
use std::time::Duration;

use super::limit::{MOST, Rate, RateLimit};
use crate::net::Direction;

pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) const MILLISECOND: u64 = 1_000_000;

/// Whether somebody may move bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::net) enum Allowance {
    /// At most so many, now. What was moved is to be charged before anybody else asks.
    Now(usize),
    /// None before this time, in nanoseconds: then it is to be asked again. Always later than now.
    WaitUntil(u64),
}

/// A token bucket. Times are nanoseconds since any fixed moment.
#[derive(Clone, Debug)]
pub(in crate::net) struct Bucket {
    rate: Rate,
    /// What the interval in progress counts with: the lower rate if it was changed meanwhile.
    counting: u64,
    /// Bytes that may move. At most the burst; negative when more was taken than there was.
    pub(super) level: i64,
    /// What has flowed in beyond that, in billionths of a byte: less than one byte.
    pub(super) fraction: u64,
    /// When it was last refilled. The first look finds it as it was made.
    refilled: Option<u64>,
    pub(super) tick: u64,
}

impl Bucket {
    pub(super) fn new(rate: Rate, tick: Duration) -> Self {
        let level = signed(rate.burst);
        let tick = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX);
        Self { rate, counting: rate.per_second, level, fraction: 0, refilled: None, tick }
    }

    /// Goes on at another rate. What is in it stays, as far as it fits; the time since the last refill
    /// counts at the lower of the two, so neither bound is exceeded. `false`: there is no limit any more, and
    /// no bucket needed.
    #[must_use]
    pub(in crate::net) fn set_limit(&mut self, limit: &RateLimit, direction: Direction) -> bool {
        let Some(new) = limit.bucket(direction) else { return false };
        self.counting = self.counting.min(new.rate.per_second);
        self.rate = new.rate;
        self.tick = new.tick;
        self.level = self.level.min(signed(self.rate.burst));
        true
    }

    /// How many bytes may move now.
    pub(in crate::net) fn available(&mut self, now: u64) -> usize {
        self.refill(now);
        usize::try_from(self.level.max(0)).unwrap_or(usize::MAX)
    }

    /// What is in it, debts included.
    pub(in crate::net) fn level(&mut self, now: u64) -> i64 {
        self.refill(now);
        self.level
    }

    /// Takes out what was moved, also more than there is: that is owed. Follows a look at the same time: what
    /// flowed in before it would count as having come after it.
    pub(in crate::net) fn take(&mut self, n: usize) {
        self.add(-i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// Puts in, or takes out. Never above the burst.
    pub(in crate::net) fn add(&mut self, n: i64) {
        let most = signed(self.rate.burst);
        self.level = self.level.saturating_add(n).clamp(-signed(MOST), most);
    }

    /// When there is enough of what is wanted to make it worth while; `now` if there is.
    pub(in crate::net) fn ready_at(&mut self, now: u64, want: usize) -> u64 {
        self.refill(now);
        let need = self.quantum().min(unsigned(want)).max(1);
        now.saturating_add(self.time_until(signed(need)))
    }

    /// What may move of what is wanted.
    pub(in crate::net) fn allowance(&mut self, now: u64, want: usize) -> Allowance {
        if want == 0 || self.ready_at(now, want) == now {
            return Allowance::Now(self.available(now).min(want));
        }
        let soonest = now.saturating_add(MILLISECOND);
        Allowance::WaitUntil(self.ready_at(now, want).max(soonest))
    }

    pub(super) fn refill(&mut self, now: u64) {
        let before = self.refilled.unwrap_or(now);
        // A clock that seems to go backwards brings nothing, and takes nothing.
        let elapsed = now.saturating_sub(before);
        self.refilled = Some(now.max(before));
        let rate = mem::replace(&mut self.counting, self.rate.per_second);
        let burst = signed(self.rate.burst);
        if self.level >= burst {
            self.fraction = 0;
            return;
        }
        // Mostly it fits into one word, and 128 bits divide slowly.
        let (whole, fraction) =
            match rate.checked_mul(elapsed).and_then(|flow| flow.checked_add(self.fraction)) {
                Some(flow) => (flow / SECOND, flow % SECOND),
                None => {
                    let flow = u128::from(rate) * u128::from(elapsed) + u128::from(self.fraction);
                    let second = u128::from(SECOND);
                    let whole = u64::try_from(flow / second).unwrap_or(u64::MAX);
                    (whole, u64::try_from(flow % second).unwrap_or(0))
                }
            };
        self.level = self.level.saturating_add(signed(whole.min(MOST)));
        self.fraction = fraction;
        if self.level >= burst {
            self.level = burst;
            self.fraction = 0;
        }
    }

    /// What flows in during a tick, as far as it fits.
    pub(super) fn quantum(&self) -> u64 {
        let flow = u128::from(self.rate.per_second) * u128::from(self.tick) / u128::from(SECOND);
        u64::try_from(flow).unwrap_or(u64::MAX).clamp(1, self.rate.burst)
    }

    /// How long until so much is in it (if the burst allows), after a refill.
    pub(super) fn time_until(&self, level: i64) -> u64 {
        let missing = i128::from(level) - i128::from(self.level);
        if missing <= 0 {
            return 0;
        }
        // At most 2⁶³ and a bit, times 2³⁰. What is missing is at least a byte, and the fraction is less.
        self.time_of(missing.unsigned_abs() * u128::from(SECOND) - u128::from(self.fraction))
    }

    /// How long it takes so many bytes to flow in.
    pub(super) fn time_for(&self, bytes: u64) -> u64 {
        self.time_of(u128::from(bytes) * u128::from(SECOND))
    }

    fn time_of(&self, flow: u128) -> u64 {
        u64::try_from(flow.div_ceil(u128::from(self.rate.per_second))).unwrap_or(u64::MAX)
    }
}

pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
