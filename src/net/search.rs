//! Finding bytes and lines in a buffer, across the borders of its segments, looking at each byte once.

use std::ops::RangeBounds;
use std::{error, fmt};

use super::Buffer;
use super::shared::{bounds, start};

/// What ends a line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Eol {
    /// A line feed; a carriage return before it is part of the line (`EVBUFFER_EOL_LF`).
    #[default]
    Lf,
    /// A carriage return and a line feed; either alone is part of the line
    /// (`EVBUFFER_EOL_CRLF_STRICT`).
    CrLf,
    /// A line feed, with or without a carriage return before it (`EVBUFFER_EOL_CRLF`).
    Any,
    /// A zero byte (`EVBUFFER_EOL_NUL`).
    Nul,
    /// A byte of your choice. For more than one see [`Buffer::search`].
    Byte(u8),
}

/// Where the first line of a buffer ends, told by [`Buffer::find_line`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Line {
    /// How many bytes the line has, without what ends it.
    pub len: usize,
    /// How many bytes end it: one or two.
    pub end: usize,
}

/// A line has more bytes than it may; told as soon as it is known, whether or not it has ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LineTooLong {
    /// How many it may have, without what ends it.
    pub max: usize,
}

impl fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line has more than {} bytes", self.max)
    }
}

impl error::Error for LineTooLong {}

impl From<LineTooLong> for std::io::Error {
    fn from(error: LineTooLong) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// What a search for lines knows of the bytes it has been over.
// Invariant: no line that ends as `eol` says has the first byte of its end before `from`.
#[derive(Default)]
pub(super) struct Scanned {
    eol: Eol,
    from: usize,
}

impl Scanned {
    pub(super) fn drained(&mut self, n: usize) {
        self.from = self.from.saturating_sub(n);
    }

    pub(super) fn forget(&mut self) {
        self.from = 0;
    }
}

impl Buffer {
    /// Finds a byte string, wherever the segments' borders are (`evbuffer_search_range`), and
    /// returns where it begins.
    ///
    /// All of it must lie in the range, of which what is outside the buffer is left out. The first
    /// segment that is a file ends the search. Linear in the bytes looked at, whatever they are; patterns
    /// of up to 64 bytes allocate nothing.
    ///
    /// To wait for a delimiter, remember where to look next, so that nothing is looked at twice:
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let delimiter = b"--boundary";
    /// let mut input = Buffer::new();
    /// let mut from = 0;
    /// for part in ["text--bou", "nd", "ary--"] {
    ///     input.append(part);
    ///     if let Some(at) = input.search(delimiter, from..) {
    ///         assert_eq!(at, 4);
    ///     }
    ///     from = (input.len() + 1).saturating_sub(delimiter.len());
    /// }
    /// assert_eq!(input.search(delimiter, ..), Some(4));
    /// assert_eq!(input.search(delimiter, ..13), None);
    /// assert_eq!(input.search(delimiter, 5..), None);
    /// assert_eq!(input.search("", 5..), Some(5));
    /// ```
    #[must_use]
    pub fn search(
        &self,
        pattern: impl AsRef<[u8]>,
        range: impl RangeBounds<usize>,
    ) -> Option<usize> {
        let pattern = pattern.as_ref();
        if let [byte] = pattern {
            return self.search_byte(*byte, range);
        }
        let (from, to) = bounds(&range, self.len());
        let Some(first) = pattern.first() else {
            // Where a byte could be, or right behind the last.
            return (start(&range) == from && from <= self.memory_len()).then_some(from);
        };
        if to - from < pattern.len() {
            return None;
        }

        // Knuth, Morris and Pratt: what has matched is a number, so borders do not matter.
        let mut short = [0; 64];
        let mut long = Vec::new();
        let fallback: &mut [usize] = match short.get_mut(..pattern.len()) {
            Some(short) => short,
            None => {
                long.resize(pattern.len(), 0);
                &mut long
            }
        };
        fill_fallback(fallback, pattern);

        let mut matched = 0;
        for (offset, bytes) in self.memory(from, to) {
            let mut at = 0;
            while at < bytes.len() {
                if matched == 0 {
                    match position(&bytes[at..], *first) {
                        Some(skipped) => at += skipped,
                        None => break,
                    }
                }
                while matched > 0 && bytes[at] != pattern[matched] {
                    matched = fallback[matched - 1];
                }
                if bytes[at] == pattern[matched] {
                    matched += 1;
                }
                at += 1;
                if matched == pattern.len() {
                    return Some(offset + at - matched);
                }
            }
        }
        None
    }

    /// Finds a byte. As [`search`](Self::search) for a string of one.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let input = Buffer::from("key: value: more");
    /// assert_eq!(input.search_byte(b':', ..), Some(3));
    /// assert_eq!(input.search_byte(b':', 4..), Some(10));
    /// assert_eq!(input.search_byte(b':', 4..10), None);
    /// ```
    #[must_use]
    pub fn search_byte(&self, byte: u8, range: impl RangeBounds<usize>) -> Option<usize> {
        let (from, to) = bounds(&range, self.len());
        self.memory(from, to).find_map(|(offset, bytes)| Some(offset + position(bytes, byte)?))
    }

    /// Finds the end of the first line (`evbuffer_search_eol`): `None` if that is not there yet.
    ///
    /// What has been looked at is remembered until the rule changes or something is prepended: asking
    /// again after each byte that arrives is linear in the bytes. The first segment that is a file ends
    /// the search.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`] if the line has, or is going to have, more than `max` bytes without its end. The
    /// buffer is as before.
    ///
    /// ```
    /// use evloop::net::{Buffer, Eol, Line, LineTooLong};
    ///
    /// let mut input = Buffer::from("12345\r");
    /// assert_eq!(input.find_line(Eol::CrLf, 5), Ok(None)); // its end may have begun
    /// assert_eq!(input.find_line(Eol::CrLf, 4), Err(LineTooLong { max: 4 }));
    /// input.append("\n");
    /// assert_eq!(input.find_line(Eol::CrLf, 5), Ok(Some(Line { len: 5, end: 2 })));
    /// assert_eq!(input.find_line(Eol::Lf, 9), Ok(Some(Line { len: 6, end: 1 })));
    /// ```
    pub fn find_line(&mut self, eol: Eol, max: usize) -> Result<Option<Line>, LineTooLong> {
        let from = if self.scanned.eol == eol { self.scanned.from } else { 0 };
        // How many bytes there are at most up to the end of a line that may be.
        let limit = max.saturating_add(if matches!(eol, Eol::CrLf | Eol::Any) { 2 } else { 1 });
        let found = match eol {
            Eol::Lf | Eol::Any => self.search_byte(b'\n', from..limit),
            Eol::CrLf => self.search(b"\r\n", from..limit),
            Eol::Nul => self.search_byte(0, from..limit),
            Eol::Byte(byte) => self.search_byte(byte, from..limit),
        };
        if let Some(at) = found {
            self.scanned = Scanned { eol, from: at };
            let line = match eol {
                Eol::CrLf => Line { len: at, end: 2 },
                Eol::Any if at > 0 && self.byte_at(at - 1) == Some(b'\r') => {
                    Line { len: at - 1, end: 2 }
                }
                _ => Line { len: at, end: 1 },
            };
            return if line.len > max { Err(LineTooLong { max }) } else { Ok(Some(line)) };
        }
        let seen = self.memory_len().min(limit);
        let over = if eol == Eol::CrLf { seen.saturating_sub(1) } else { seen };
        self.scanned = Scanned { eol, from: from.max(over) };
        // The last byte that counts may be the first half of an end.
        let hopeful = seen <= max || seen < limit && self.byte_at(max) == Some(b'\r');
        if hopeful { Ok(None) } else { Err(LineTooLong { max }) }
    }

    /// Takes the first line (`evbuffer_readln`), without what ends it: `None` if it is not complete yet.
    ///
    /// As [`find_line`](Self::find_line). A last line without an end is what is left in the buffer when
    /// the stream has ended.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`], and the buffer is as before.
    ///
    /// ```
    /// use evloop::net::{Buffer, Eol, LineTooLong};
    ///
    /// let mut input = Buffer::from("one\r\ntwo\nthree");
    /// assert_eq!(input.take_line(Eol::Any, 80)?.unwrap(), b"one");
    /// assert_eq!(input.take_line(Eol::Any, 80)?.unwrap(), b"two");
    /// assert_eq!(input.take_line(Eol::Any, 80)?, None);
    /// assert_eq!(input.take_line(Eol::Any, 4), Err(LineTooLong { max: 4 }));
    /// # Ok::<(), LineTooLong>(())
    /// ```
    pub fn take_line(&mut self, eol: Eol, max: usize) -> Result<Option<Vec<u8>>, LineTooLong> {
        let Some(line) = self.find_line(eol, max)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(line.len);
        self.take_found(line, &mut bytes);
        Ok(Some(bytes))
    }

    /// Takes the first line as [`take_line`](Self::take_line) does, into memory that is there: the line
    /// is appended to `into`. Returns its length.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`], and the buffer and `into` are as before.
    ///
    /// ```
    /// use evloop::net::{Buffer, Eol};
    ///
    /// let mut input = Buffer::from("one\0two\0");
    /// let mut line = Vec::new();
    /// while input.take_line_into(Eol::Nul, 80, &mut line)?.is_some() {
    ///     line.push(b'.');
    /// }
    /// assert_eq!(line, b"one.two.");
    /// # Ok::<(), evloop::net::LineTooLong>(())
    /// ```
    pub fn take_line_into(
        &mut self,
        eol: Eol,
        max: usize,
        into: &mut Vec<u8>,
    ) -> Result<Option<usize>, LineTooLong> {
        let Some(line) = self.find_line(eol, max)? else { return Ok(None) };
        self.take_found(line, into);
        Ok(Some(line.len))
    }

    fn take_found(&mut self, line: Line, into: &mut Vec<u8>) {
        for (_, bytes) in self.memory(0, line.len) {
            into.extend_from_slice(bytes);
        }
        self.drain(line.len + line.end);
    }
}

/// For each length of a match, the longest shorter one that ends in the same bytes.
fn fill_fallback(fallback: &mut [usize], pattern: &[u8]) {
    let mut matched = 0;
    for at in 1..pattern.len() {
        while matched > 0 && pattern[at] != pattern[matched] {
            matched = fallback[matched - 1];
        }
        if pattern[at] == pattern[matched] {
            matched += 1;
        }
        fallback[at] = matched;
    }
}

/// Where the byte is first.
// By blocks without a branch inside, which the compiler turns into vector instructions.
fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    const BLOCK: usize = 32;
    let blocks = bytes.chunks_exact(BLOCK);
    let clean = blocks
        .take_while(|block| !block.iter().fold(false, |found, b| found | (*b == byte)))
        .count();
    let from = clean * BLOCK;
    Some(from + bytes[from..].iter().position(|b| *b == byte)?)
}
