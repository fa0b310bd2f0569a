//! Dates as HTTP writes them (RFC 9110 §5.6.7).
//!
//! One format is written, `Sun, 06 Nov 1994 08:49:37 GMT`, and two older ones are understood as well. A
//! server says the date in every reply, and it changes once a second: a [`DateCache`] keeps it.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that has four digits of year: 31 December 9999, 23:59:59.
const LAST: u64 = 253_402_300_799;

/// The date as HTTP writes it, to the second.
///
/// Years have four digits: what is before 1970 or after 9999 becomes the nearest date between.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let date = evloop::wire::http_date(UNIX_EPOCH + Duration::from_secs(784_111_777));
/// assert_eq!(&date, b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[must_use]
pub fn http_date(time: SystemTime) -> [u8; 29] {
    format(seconds(time))
}

/// Reads a date in any of the three formats that a recipient must understand (RFC 9110 §5.6.7): that of
/// [`http_date`], RFC 850's `Sunday, 06-Nov-94 08:49:37 GMT`, and C's `Sun Nov  6 08:49:37 1994`.
///
/// `None` for anything else: also for days that do not exist, for the wrong day of the week, and for years
/// before 1970. A header with such a date is to be ignored.
///
/// # Sharp edges
///
/// A year of two digits is between 1970 and 2069. There are no leap seconds: `:60` is `None`.
///
/// ```
/// use evloop::wire::parse_http_date;
///
/// let date = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT");
/// assert!(date.is_some());
/// assert_eq!(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), date);
/// assert_eq!(parse_http_date("Sun Nov  6 08:49:37 1994"), date);
/// assert_eq!(parse_http_date("Mon, 06 Nov 1994 08:49:37 GMT"), None);
/// ```
#[must_use]
pub fn parse_http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// The date of replies, formatted once a second.
///
/// The time is passed in, as a loop has it: nothing here asks the system.
///
/// ```
/// use evloop::wire::DateCache;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let mut dates = DateCache::new();
/// let now = UNIX_EPOCH + Duration::from_millis(784_111_777_900);
/// assert_eq!(dates.at(now), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// assert_eq!(dates.at(now + Duration::from_millis(100)), b"Sun, 06 Nov 1994 08:49:38 GMT");
/// ```
#[derive(Clone, Debug)]
pub struct DateCache {
    second: u64,
    date: [u8; 29],
}

impl DateCache {
    /// A cache that holds the first date there is.
    #[must_use]
    pub fn new() -> Self {
        Self { second: 0, date: format(0) }
    }

    /// The date at this time, as [`http_date`] has it.
    #[inline]
    pub fn at(&mut self, now: SystemTime) -> &[u8; 29] {
        let second = seconds(now);
        if second != self.second {
            *self = Self { second, date: format(second) };
        }
        &self.date
    }
}

impl Default for DateCache {
    fn default() -> Self {
        Self::new()
    }
}

/// Whole seconds since 1970, as far as dates go.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().min(LAST))
}

/// `second` is at most [`LAST`], or httpdate would panic.
fn format(second: u64) -> [u8; 29] {
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let time = UNIX_EPOCH + Duration::from_secs(second.min(LAST));
    // Any date has 29 bytes, so it fits.
    let _ = write!(&mut date[..], "{}", httpdate::HttpDate::from(time));
    date
}
