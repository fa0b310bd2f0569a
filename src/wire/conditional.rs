//! Conditional requests: send it only if it has changed, change it only if it has not (RFC 9110 §13).
//!
//! ```
//! use evloop::wire::conditional::{Current, Verdict, evaluate};
//! use evloop::wire::{EntityTag, Fields, Method};
//!
//! let current = Current { tag: Some(EntityTag::strong("v2")?), ..Current::default() };
//! let mut fields = Fields::new();
//! fields.push("If-None-Match", r#""v1", "v2""#)?;
//! assert_eq!(evaluate(&Method::GET, &fields, &current), Verdict::NotModified);
//! # Ok::<(), evloop::wire::Fault>(())
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::syntax::trim;
use super::{EntityTag, Fields, Method, entity_tags, parse_http_date};

/// What there is now, at the place that is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Current<'a> {
    /// Its tag, if it has one.
    pub tag: Option<EntityTag<'a>>,
    /// When it was last changed, if that is known. Dates go by whole seconds.
    pub modified: Option<SystemTime>,
    /// What time it is, for `If-Range` with a date: what was changed within the last second may change again within it,
    /// and its date then says nothing (RFC 9110 §8.8.2.2). With `None` every date counts.
    pub now: Option<SystemTime>,
    /// There is nothing: what is asked for would be made.
    pub missing: bool,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// 412: what the client has in mind is not what there is.
    PreconditionFailed,
    /// 304: the client has it already.
    NotModified,
    /// What the method says, for the whole: a `Range` is to be ignored, if there is one.
    Whole,
    /// What the method says, and a `Range` counts.
    Ranges,
}

/// Looks at the conditions in the order of RFC 9110 §13.2.2: `If-Match`, or else `If-Unmodified-Since`; then
/// `If-None-Match`, or else `If-Modified-Since`; then, for a `GET` with `Range`, `If-Range`.
///
/// To be called when without conditions the answer would be one of 2xx. Dates that are none are ignored, and
/// so are fields of one value that come twice; of a list of tags what is malformed matches nothing.
///
/// # Sharp edges
///
/// Linear in the length of the fields: they are looked through once for each condition.
#[must_use]
pub fn evaluate(method: &Method, fields: &Fields, current: &Current<'_>) -> Verdict {
    let reads = *method == Method::GET || *method == Method::HEAD;
    if let Some(found) = matches(fields, "if-match", current, |one, other| one.is_same(other)) {
        if !found {
            return Verdict::PreconditionFailed;
        }
    } else if let (Some(date), Some(modified)) =
        (date(fields, "if-unmodified-since"), current.second())
    {
        if modified > date {
            return Verdict::PreconditionFailed;
        }
    }
    if let Some(found) = matches(fields, "if-none-match", current, |one, other| one.is_like(other))
    {
        if found {
            return if reads { Verdict::NotModified } else { Verdict::PreconditionFailed };
        }
    } else if reads {
        if let (Some(date), Some(modified)) = (date(fields, "if-modified-since"), current.second())
        {
            if modified <= date {
                return Verdict::NotModified;
            }
        }
    }
    if *method == Method::GET && ranges_count(fields, current) {
        Verdict::Ranges
    } else {
        Verdict::Whole
    }
}

impl Current<'_> {
    /// When it was last changed, as dates say it.
    fn second(&self) -> Option<SystemTime> {
        self.modified.map(to_second)
    }
}

fn to_second(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// Whether one of the tags in the fields of this name is the current one. `None` if there is no such field.
fn matches(
    fields: &Fields,
    name: &str,
    current: &Current<'_>,
    is: impl Fn(&EntityTag<'_>, &EntityTag<'_>) -> bool,
) -> Option<bool> {
    let mut found = None;
    for value in fields.get_all(name) {
        let matched = found.get_or_insert(false);
        *matched |= if trim(value) == b"*" {
            !current.missing
        } else {
            current.tag.is_some_and(|tag| entity_tags(value).any(|other| is(&tag, &other)))
        };
    }
    found
}

/// The date in the only field of this name.
fn date(fields: &Fields, name: &str) -> Option<SystemTime> {
    sole(fields, name).and_then(read_date)
}

fn read_date(value: &[u8]) -> Option<SystemTime> {
    parse_http_date(std::str::from_utf8(value).ok()?)
}

fn sole<'a>(fields: &'a Fields, name: &'a str) -> Option<&'a [u8]> {
    let mut all = fields.get_all(name);
    let value = all.next()?;
    all.next().is_none().then_some(value)
}

/// RFC 9110 §13.1.5: the part belongs to what the client has the rest of, or there is no such condition.
fn ranges_count(fields: &Fields, current: &Current<'_>) -> bool {
    if fields.get("if-range").is_none() {
        return true;
    }
    let Some(value) = sole(fields, "if-range") else { return false };
    if let Some(tag) = EntityTag::parse(value) {
        return current.tag.is_some_and(|current| current.is_same(&tag));
    }
    let (Some(date), Some(modified)) = (read_date(value), current.second()) else { return false };
    // Exactly the date, not one that is not before it: the file may be an older one that was put back.
    date == modified && current.now.is_none_or(|now| now >= modified + Duration::from_secs(1))
}
