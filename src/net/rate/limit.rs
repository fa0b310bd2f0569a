//! What a program says: how fast, and how much at once.

use std::time::Duration;

use super::bucket::Bucket;
use crate::net::Direction;
use crate::{Error, ErrorKind, Result};

const LIMITING: &str = "setting a rate limit";

/// More than any machine moves, and far enough from the end of the numbers to add and subtract.
pub(super) const MOST: u64 = 1 << 62;

/// How often a starved stream is served if nobody says otherwise. Shorter is smoother, and wakes up the
/// loop more often.
const TICK: Duration = Duration::from_millis(100);
pub(super) const SHORTEST_TICK: Duration = Duration::from_millis(1);
pub(super) const LONGEST_TICK: Duration = Duration::from_secs(60);

/// How fast something may be, in each direction (`ev_token_bucket_cfg`).
///
/// Both directions are unlimited at first. A limit is a *rate* in bytes per second, and a *burst* in
/// bytes: as much as may move at once after a rest. Over any time t, no more than rate × t + burst
/// moves.
///
/// ```
/// use evloop::net::RateLimit;
///
/// // At most 64 KiB/s from the peer, and a quarter of a megabyte at once after a rest.
/// let limit = RateLimit::new().read(64 << 10, 256 << 10)?;
/// assert_eq!(limit.read_rate(), Some(64 << 10));
/// assert_eq!(limit.write_rate(), None);
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **What counts** is what the system was given or has given: with TLS, bytes as they are on the wire,
///   without the headers of packets.
/// * **It is an upper bound.** A loop that is late does not make up for more than the burst, so a burst of
///   less than rate × [tick](Self::tick) keeps the stream below its rate when the loop cannot wake up
///   that often. Twice that is a good choice.
/// * **A burst of one byte means one byte at a time**: each system call moves at most the burst.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RateLimit {
    read: Option<Rate>,
    write: Option<Rate>,
    tick: Duration,
}

/// Both are at least 1 and at most `MOST`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Rate {
    pub(super) per_second: u64,
    pub(super) burst: u64,
}

impl RateLimit {
    /// No limit in either direction, to begin with.
    #[must_use]
    pub const fn new() -> Self {
        Self { read: None, write: None, tick: TICK }
    }

    /// The same limit for each direction, of which each has a bucket of its own.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn both(per_second: u64, burst: u64) -> Result<Self> {
        Self::new().read(per_second, burst)?.write(per_second, burst)
    }

    /// Limits what comes from the peer to so many bytes per second, and so many at once.
    ///
    /// Numbers beyond what machines can do (2⁶²) count as that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if one of them is 0: nothing would ever move. For that there is
    /// disabling the direction.
    pub fn read(self, per_second: u64, burst: u64) -> Result<Self> {
        Ok(Self { read: Some(Rate::new(per_second, burst)?), ..self })
    }

    /// Limits what goes to the peer to so many bytes per second, and so many at once.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn write(self, per_second: u64, burst: u64) -> Result<Self> {
        Ok(Self { write: Some(Rate::new(per_second, burst)?), ..self })
    }

    /// How long a stream that has used up its bucket waits, so as not to be served byte by byte: until
    /// what flows in during a tick is there (or all it wants, or the burst, if that is less). 100 ms if this
    /// is never called.
    ///
    /// Unlike libevent's, buckets fill continuously: the tick has no influence on the rate. Less than 1 ms
    /// counts as that, and more than a minute as a minute.
    #[must_use]
    pub fn tick(self, tick: Duration) -> Self {
        Self { tick: tick.clamp(SHORTEST_TICK, LONGEST_TICK), ..self }
    }

    /// Bytes per second from the peer; `None`: unlimited.
    #[must_use]
    pub fn read_rate(&self) -> Option<u64> {
        self.read.map(|rate| rate.per_second)
    }

    /// Bytes at once from the peer; `None`: unlimited.
    #[must_use]
    pub fn read_burst(&self) -> Option<u64> {
        self.read.map(|rate| rate.burst)
    }

    /// Bytes per second to the peer; `None`: unlimited.
    #[must_use]
    pub fn write_rate(&self) -> Option<u64> {
        self.write.map(|rate| rate.per_second)
    }

    /// Bytes at once to the peer; `None`: unlimited.
    #[must_use]
    pub fn write_burst(&self) -> Option<u64> {
        self.write.map(|rate| rate.burst)
    }

    /// The [tick](Self::tick) as it counts.
    #[must_use]
    pub fn tick_length(&self) -> Duration {
        self.tick
    }

    /// A full bucket for this direction; `None` if it is unlimited.
    pub(in crate::net) fn bucket(&self, direction: Direction) -> Option<Bucket> {
        let rate = match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        };
        rate.map(|rate| Bucket::new(rate, self.tick))
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl Rate {
    fn new(per_second: u64, burst: u64) -> Result<Self> {
        if per_second == 0 || burst == 0 {
            let cause = "a rate and a burst are at least 1";
            return Err(Error::caused(ErrorKind::InvalidInput, LIMITING, cause.into()));
        }
        Ok(Self { per_second: per_second.min(MOST), burst: burst.min(MOST) })
    }
}
