//! What it does as others of `std` do: reading, writing, collecting, and telling of itself.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Read, Write};

use super::Buffer;
use super::files::read_at;
use crate::net::Shared;
use crate::net::segment::Segment;

/// How much of a file [`BufRead`] takes at a time.
const LOAD: usize = 16 * 1024;

/// Tells the lengths, not the bytes: they may be secret, and they may be many.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len)
            .field("owned_len", &self.owned)
            .field("segments", &self.segments.len())
            .finish_non_exhaustive()
    }
}

/// Takes bytes from the front (`evbuffer_remove`). Zero says that the buffer is empty now.
///
/// # Errors
///
/// Only where a file's bytes are next: what reading it says, or
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if it has become too short. The buffer is as before.
impl Read for Buffer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reserved = 0;
        if into.is_empty() {
            return Ok(0);
        }
        if let Some(Segment::File { file, offset, len }) = self.segments.front() {
            let wanted = into.len().min(*len);
            let n = read_at(file, &mut into[..wanted], *offset)?;
            return Ok(self.drain(n));
        }
        let n = self.copy_out(0, into);
        Ok(self.drain(n))
    }
}

/// Lends the first segment's bytes; those of a file are [loaded](Buffer::load) first, 16 KiB at a time.
///
/// An unfinished line is taken like the end of a stream: to wait for the rest use
/// [`take_line`](Buffer::take_line).
impl BufRead for Buffer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reserved = 0;
        if self.segments.front().is_some_and(Segment::is_file) {
            self.load(LOAD)?;
        }
        Ok(self.front())
    }

    fn consume(&mut self, n: usize) {
        self.drain(n);
    }
}

/// Appends, and never fails.
impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append_slice(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().for_each(|bytes| self.append_slice(bytes));
        Ok(slices.iter().map(|bytes| bytes.len()).fold(0, usize::saturating_add))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends text (`evbuffer_add_printf`), and never fails.
///
/// ```
/// use evloop::net::Buffer;
/// use std::fmt::Write;
///
/// let mut output = Buffer::new();
/// write!(output, "Content-Length: {}\r\n", 42).unwrap();
/// assert_eq!(output.len(), 20);
/// ```
impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.append_slice(text.as_bytes());
        Ok(())
    }
}

/// Without copying more than a few, as [`Buffer::append_owned`].
impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        let mut buffer = Self::new();
        buffer.append_owned(bytes);
        buffer
    }
}

/// Without copying more than a few, as [`Buffer::append_owned`].
impl From<String> for Buffer {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

/// Without copying, as [`Buffer::append_shared`].
impl From<Shared> for Buffer {
    fn from(bytes: Shared) -> Self {
        let mut buffer = Self::new();
        buffer.append_shared(bytes);
        buffer
    }
}

/// Copies the bytes.
impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Self::new();
        buffer.append_slice(bytes);
        buffer
    }
}

/// Copies the text.
impl From<&str> for Buffer {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl Extend<u8> for Buffer {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        bytes.into_iter().for_each(|byte| self.append_slice(&[byte]));
    }
}

impl<'a> Extend<&'a u8> for Buffer {
    fn extend<I: IntoIterator<Item = &'a u8>>(&mut self, bytes: I) {
        self.extend(bytes.into_iter().copied());
    }
}

impl FromIterator<u8> for Buffer {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut buffer = Self::new();
        buffer.extend(bytes);
        buffer
    }
}
