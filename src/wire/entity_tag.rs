//! Entity tags: names for what a resource looks like at a time (RFC 9110 §8.8.3).

use std::fmt;

use super::fault::Fault;
use super::syntax::{VALUE, is, trim};

/// An entity tag, `"xyzzy"` or `W/"xyzzy"`: what a client has is still right as long as the tag is the same.
///
/// A *strong* tag changes with every byte, a *weak* one only when the meaning does. Two comparisons follow from
/// that (RFC 9110 §8.8.3.2): [`is_same`](Self::is_same), for parts of something, and
/// [`is_like`](Self::is_like), for the whole.
///
/// ```
/// use evloop::wire::{EntityTag, Fault};
///
/// let ours = EntityTag::strong("v1")?;
/// assert_eq!(ours.to_string(), "\"v1\"");
/// let theirs = EntityTag::parse(b"W/\"v1\"").ok_or(Fault::BadParameter)?;
/// assert!(ours.is_like(&theirs) && !ours.is_same(&theirs));
/// # Ok::<(), Fault>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EntityTag<'a> {
    opaque: &'a [u8],
    weak: bool,
}

impl<'a> EntityTag<'a> {
    /// A strong one, of what stands between the quotes.
    ///
    /// # Errors
    ///
    /// [`Fault::BadParameter`] if there is a quote, a space or a control byte in it.
    pub fn strong(opaque: &'a str) -> Result<Self, Fault> {
        Self::of(opaque.as_bytes(), false)
    }

    /// A weak one.
    ///
    /// # Errors
    ///
    /// Those of [`strong`](Self::strong).
    pub fn weak(opaque: &'a str) -> Result<Self, Fault> {
        Self::of(opaque.as_bytes(), true)
    }

    fn of(opaque: &'a [u8], weak: bool) -> Result<Self, Fault> {
        if opaque.iter().all(|&byte| is_inside(byte)) {
            Ok(Self { opaque, weak })
        } else {
            Err(Fault::BadParameter)
        }
    }

    /// Reads one, with nothing but white space around it. `None` if it is none.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::first(trim(text))?;
        rest.is_empty().then_some(tag)
    }

    /// The one at the beginning, and what follows it.
    fn first(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let end = inside.iter().position(|&byte| !is_inside(byte))?;
        let (opaque, rest) = inside.split_at_checked(end)?;
        Some((Self { opaque, weak }, rest.strip_prefix(b"\"")?))
    }

    /// Whether it is a weak one.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// What stands between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &'a [u8] {
        self.opaque
    }

    /// The strong comparison: both are strong, and the same.
    #[must_use]
    pub fn is_same(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// The weak comparison: the same, however strong.
    #[must_use]
    pub fn is_like(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// Appends it as it stands in a field.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.weak { b"W/\"" } else { b"\"" });
        out.extend_from_slice(self.opaque);
        out.push(b'"');
    }
}

impl fmt::Display for EntityTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = if self.weak { "W/" } else { "" };
        write!(f, "{weak}\"{}\"", String::from_utf8_lossy(self.opaque))
    }
}

/// What may stand between the quotes. A backslash is one of them, and takes nothing literally.
fn is_inside(byte: u8) -> bool {
    is(byte, VALUE) && byte != b' ' && byte != b'"'
}

/// Reads a list of entity tags, as `If-Match` and `If-None-Match` have it. What is malformed ends it.
///
/// `*`, which is any that there is, is no tag: it is the whole value, or nothing.
///
/// ```
/// use evloop::wire::entity_tags;
///
/// let tags: Vec<_> = entity_tags(br#""a", W/"b,c",, "d"#).map(|tag| tag.to_string()).collect();
/// assert_eq!(tags, ["\"a\"", "W/\"b,c\""]);
/// ```
pub fn entity_tags(list: &[u8]) -> EntityTags<'_> {
    EntityTags { rest: list }
}

/// The tags of a list, from [`entity_tags`].
// Invariant: at the beginning of a member, or at its comma.
#[derive(Clone, Debug)]
pub struct EntityTags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for EntityTags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = std::mem::take(&mut self.rest);
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (tag, after) = EntityTag::first(rest)?;
        let after = trim(after);
        if !matches!(after, [] | [b',', ..]) {
            return None;
        }
        self.rest = after;
        Some(tag)
    }
}
