//! Ranges: parts of something, by bytes (RFC 9110 §14).
//!
//! ```
//! use evloop::wire::range::{self, ByteRange, Requested};
//!
//! let Requested::Ranges(ranges) = range::parse(b"bytes=0-4, 90-, -2", 100) else { unreachable!() };
//! assert_eq!(*ranges, [ByteRange { offset: 0, len: 5 }, ByteRange { offset: 90, len: 10 }]);
//!
//! let mut value = Vec::new();
//! range::content_range(&mut value, ranges[0], 100);
//! assert_eq!(value, b"bytes 0-4/100");
//! assert_eq!(range::parse(b"bytes=100-", 100), Requested::Unsatisfiable);
//! assert_eq!(range::parse(b"bytes=5-2", 100), Requested::Ignored);
//! ```

use std::cmp::Ordering;
use std::ops::Deref;

use super::Fields;
use super::syntax::trim;
use super::write::number;

/// How many ranges a request may ask for; one that asks for more gets the whole.
///
/// What a request costs does not grow with them: those that overlap or touch become one, and no byte is sent
/// twice (CVE-2011-3192).
pub const RANGES_MAX: usize = 16;

/// A part: so many bytes, from there on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ByteRange {
    /// How many bytes are before it.
    pub offset: u64,
    /// How many there are: at least one.
    pub len: u64,
}

impl ByteRange {
    /// What comes behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// What a `Range` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack, for as long as a request is looked at"
)]
pub enum Requested {
    /// Nothing that counts: there is none, it is malformed, in a unit that is not `bytes`, or asks for too
    /// many. The answer is the whole, with 200.
    Ignored,
    /// Only what is not there: the answer is 416, with [`unsatisfied`].
    Unsatisfiable,
    /// These parts: the answer is 206.
    Ranges(Ranges),
}

/// Parts that lie within the whole, have bytes, and neither overlap nor touch each other. In the order in which
/// they were asked for; those that were joined are where the first of them was.
// Invariant: `len` is at least 1 and at most RANGES_MAX.
#[derive(Clone, Copy)]
pub struct Ranges {
    ranges: [ByteRange; RANGES_MAX],
    len: usize,
}

impl Deref for Ranges {
    type Target = [ByteRange];

    fn deref(&self) -> &[ByteRange] {
        self.ranges.get(..self.len).unwrap_or_default()
    }
}

impl PartialEq for Ranges {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Ranges {}

impl std::fmt::Debug for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What the fields ask for of something that has `len` bytes. Two `Range` fields are none.
#[must_use]
pub fn requested(fields: &Fields, len: u64) -> Requested {
    let mut all = fields.get_all("range");
    match (all.next(), all.next()) {
        (Some(value), None) => parse(value, len),
        _ => Requested::Ignored,
    }
}

/// What the value of a `Range` asks for of something that has `len` bytes.
///
/// Linear in the length of the value. Numbers may be of any length: what is beyond all bounds is beyond the end.
#[must_use]
pub fn parse(value: &[u8], len: u64) -> Requested {
    let value = trim(value);
    let Some(set) = value.get(..6).filter(|unit| unit.eq_ignore_ascii_case(b"bytes=")) else {
        return Requested::Ignored;
    };
    let mut found = [ByteRange::default(); RANGES_MAX];
    let mut count = 0;
    let mut asked = 0_usize;
    let mut of_nothing = false;
    for member in value.get(set.len()..).unwrap_or_default().split(|&byte| byte == b',') {
        let member = trim(member);
        if member.is_empty() {
            continue;
        }
        let Some(spec) = spec(member) else { return Requested::Ignored };
        asked += 1;
        match spec.within(len) {
            Some(range) => {
                if let Some(place) = found.get_mut(count) {
                    *place = range;
                    count += 1;
                }
            }
            // There is no way to say which part of nothing it is that is sent.
            None => of_nothing |= len == 0 && matches!(spec, Spec::Last(n) if n > 0),
        }
    }
    if asked == 0 || asked > RANGES_MAX || of_nothing {
        return Requested::Ignored;
    }
    match joined(found, count) {
        ranges if ranges.len > 0 => Requested::Ranges(ranges),
        _ => Requested::Unsatisfiable,
    }
}

enum Spec {
    /// From there, up to and with that.
    Between(u64, u64),
    /// The last so many.
    Last(u64),
}

impl Spec {
    fn within(&self, len: u64) -> Option<ByteRange> {
        let (offset, end) = match *self {
            Self::Between(first, last) => (first, last.saturating_add(1).min(len)),
            Self::Last(n) => (len.saturating_sub(n), len),
        };
        let len = end.checked_sub(offset).filter(|len| *len > 0)?;
        Some(ByteRange { offset, len })
    }
}

fn spec(member: &[u8]) -> Option<Spec> {
    let dash = member.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (member.get(..dash)?, member.get(dash + 1..)?);
    if first.is_empty() {
        return Some(Spec::Last(clamped(last)?));
    }
    let from = clamped(first)?;
    if last.is_empty() {
        return Some(Spec::Between(from, u64::MAX));
    }
    let to = clamped(last)?;
    (order(first, last) != Ordering::Greater).then_some(Spec::Between(from, to))
}

/// The number that these digits write, or the largest there is. `None` if it is none.
fn clamped(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number: u64, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

/// Which of two numbers is larger, also where both are beyond all bounds.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    let (one, other) = (significant(one), significant(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

fn significant(mut digits: &[u8]) -> &[u8] {
    while let [b'0', rest @ ..] = digits {
        digits = rest;
    }
    digits
}

/// Joins what overlaps or touches.
fn joined(found: [ByteRange; RANGES_MAX], count: usize) -> Ranges {
    // With their places, so that they can be put back into their order.
    let mut order: [(usize, ByteRange); RANGES_MAX] =
        [(usize::MAX, ByteRange::default()); RANGES_MAX];
    for (entry, numbered) in order.iter_mut().zip(found.into_iter().enumerate().take(count)) {
        *entry = numbered;
    }
    let Some(order) = order.get_mut(..count) else { return Ranges { ranges: found, len: 0 } };
    order.sort_unstable_by_key(|(_, range)| range.offset);
    let mut groups = [(usize::MAX, ByteRange::default()); RANGES_MAX];
    let mut len = 0_usize;
    for &mut (place, range) in order {
        match len.checked_sub(1).and_then(|last: usize| groups.get_mut(last)) {
            Some((at, group)) if range.offset <= group.end() => {
                group.len = group.len.max(range.end() - group.offset);
                *at = place.min(*at);
            }
            _ => {
                if let Some(group) = groups.get_mut(len) {
                    *group = (place, range);
                    len += 1;
                }
            }
        }
    }
    // The unused ones come last.
    groups.sort_unstable_by_key(|(place, _)| *place);
    Ranges { ranges: groups.map(|(_, range)| range), len }
}

/// Appends the value of a `Content-Range` for a part of something that has `total` bytes.
pub fn content_range(out: &mut Vec<u8>, range: ByteRange, total: u64) {
    out.extend_from_slice(b"bytes ");
    number(out, range.offset);
    out.push(b'-');
    number(out, range.end().saturating_sub(1));
    out.push(b'/');
    number(out, total);
}

/// Appends the value of the `Content-Range` of a 416.
pub fn unsatisfied(out: &mut Vec<u8>, total: u64) {
    out.extend_from_slice(b"bytes */");
    number(out, total);
}

/// Reads the value of a `Content-Range`: which part it is, and how long the whole will be, if that is said.
///
/// `None` for anything else: other units, parts that end before they begin or behind the end of the whole, numbers beyond
/// 64 bits, and `bytes */100`, which is no part.
///
/// ```
/// use evloop::wire::range::{ByteRange, parse_content_range};
///
/// let range = ByteRange { offset: 5, len: 5 };
/// assert_eq!(parse_content_range(b"bytes 5-9/20"), Some((range, Some(20))));
/// assert_eq!(parse_content_range(b"bytes 5-9/*"), Some((range, None)));
/// assert_eq!(parse_content_range(b"bytes 5-9/9"), None);
/// ```
#[must_use]
pub fn parse_content_range(value: &[u8]) -> Option<(ByteRange, Option<u64>)> {
    let value = trim(value);
    let (unit, rest) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes ") {
        return None;
    }
    let text = std::str::from_utf8(rest).ok()?;
    let (part, total) = text.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let exact = |digits: &str| {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let (first, last) = (exact(first)?, exact(last)?);
    let len = last.checked_sub(first)?.checked_add(1)?;
    let total = match total {
        "*" => None,
        total => Some(exact(total).filter(|total| last < *total)?),
    };
    Some((ByteRange { offset: first, len }, total))
}
