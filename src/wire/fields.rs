//! Field lines: names and values, in the order they came.
//!
//! All of them lie in one block of bytes, and a line is four numbers into it: a head of a hundred fields
//! is two allocations, and none at all in memory that was used before.

use std::fmt;

use super::Fault;
use super::syntax::{find_control, is_token, members, trim};

/// The fields of a head or of a trailer section: names and values, order and duplicates kept.
///
/// Names are compared without regard to case. Values are bytes: those above 0x7F have no meaning that
/// HTTP knows of (RFC 9110 §5.5). Lookups go through all lines, of which there are never many.
///
/// ```
/// use evloop::wire::{Fault, Fields};
///
/// let mut fields = Fields::new();
/// fields.push("Cache-Control", "no-cache")?;
/// fields.push("cache-control", " private, max-age=5 ")?;
/// assert_eq!(fields.get("CACHE-CONTROL"), Some(&b"no-cache"[..]));
/// assert_eq!(fields.get_all("cache-control").last(), Some(&b"private, max-age=5"[..]));
/// assert!(fields.contains_token("cache-control", "Private"));
/// assert_eq!(fields.push("X", "a\r\nSet-Cookie: b"), Err(Fault::BadFieldValue));
/// # Ok::<(), Fault>(())
/// ```
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a line's name and value are in the block.
// Invariant: both ranges lie in it, and the name is ASCII.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) name: u32,
    pub(crate) name_end: u32,
    pub(crate) value: u32,
    pub(crate) value_end: u32,
}

impl Line {
    #[inline(always)]
    pub(crate) fn new(name: u32, name_len: usize, value: u32, value_len: usize) -> Self {
        Self { name, name_end: name + name_len as u32, value, value_end: value + value_len as u32 }
    }
}

impl Fields {
    /// No fields. Allocates nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), lines: Vec::new() }
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        let line = self.lines.iter().find(|line| self.name(line).eq_ignore_ascii_case(name))?;
        Some(self.value(line))
    }

    /// The values of all fields of this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines
            .iter()
            .filter(move |line| self.name(line).eq_ignore_ascii_case(name.as_bytes()))
            .map(|line| self.value(line))
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| {
            (std::str::from_utf8(self.name(line)).unwrap_or_default(), self.value(line))
        })
    }

    /// How many field lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether the token is a member of the list that all fields of this name make (RFC 9110 §5.6.1).
    /// The whole member has to be it, without regard to case.
    #[must_use]
    pub fn contains_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(members)
            .any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Removes all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
    }

    /// Removes all fields of this name.
    #[cfg(feature = "compress")]
    pub(crate) fn remove(&mut self, name: &str) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|line| !self.name(line).eq_ignore_ascii_case(name.as_bytes()));
        self.lines = lines;
    }

    /// Adds a field behind the others. Spaces and tabs around the value are left out.
    ///
    /// # Errors
    ///
    /// [`Fault::BadFieldName`] if the name is not a token, [`Fault::BadFieldValue`] if the value has a
    /// control byte: nothing that is pushed can begin a line of its own. [`Fault::HeadTooLong`] beyond
    /// 4 GiB.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Fault> {
        let value = trim(value.as_ref());
        if !is_token(name.as_bytes()) {
            return Err(Fault::BadFieldName);
        }
        if find_control(value).is_some() {
            return Err(Fault::BadFieldValue);
        }
        self.push_checked(name.as_bytes(), value)
    }

    /// Adds a field that is known to be well-formed.
    pub(crate) fn push_checked(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let offset = |n: usize| u32::try_from(n).map_err(|_| Fault::HeadTooLong);
        let start = self.bytes.len();
        let middle = start.saturating_add(name.len());
        let line = Line {
            name: offset(start)?,
            name_end: offset(middle)?,
            value: offset(middle)?,
            value_end: offset(middle.saturating_add(value.len()))?,
        };
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.lines.push(line);
        Ok(())
    }

    /// The block, to which whoever parses appends what the lines point into.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds a line whose bytes are in the block, or will be before anybody looks.
    #[inline]
    pub(crate) fn push_line(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// These bytes of the block.
    #[inline]
    pub(crate) fn slice(&self, from: u32, to: u32) -> &[u8] {
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }

    /// How much memory is held.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.lines.capacity() * size_of::<Line>()
    }

    fn name(&self, line: &Line) -> &[u8] {
        self.slice(line.name, line.name_end)
    }

    fn value(&self, line: &Line) -> &[u8] {
        self.slice(line.value, line.value_end)
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}
