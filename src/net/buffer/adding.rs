//! Bytes come in, at either end: copied, handed over or shared.
//!
//! Small pieces are copied, so that they share a segment; see `is_better_copied`.

use std::mem;

use super::{Buffer, SEGMENT};
use crate::net::Shared;
use crate::net::segment::{Own, Segment};

/// Fewer bytes than this are copied where a segment could have been handed over.
const SMALL: usize = 512;

/// What fills less than an eighth of its memory is copied...
pub(super) const EIGHTH: usize = 8;

/// ...and what is moved behind other bytes, whose memory may have room for it, where it fills less than half.
pub(super) const HALF: usize = 2;

impl Buffer {
    /// Copies bytes to the end (`evbuffer_add`), into the last segment's room first.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let mut output = Buffer::new();
    /// output.append("text");
    /// output.append([0, 1, 2]);
    /// output.append(vec![3; 100]); // copies; append_owned would not
    /// assert_eq!(output.len(), 107);
    /// ```
    pub fn append(&mut self, bytes: impl AsRef<[u8]>) {
        self.append_slice(bytes.as_ref());
    }

    pub(super) fn append_slice(&mut self, mut bytes: &[u8]) {
        self.reserved = 0;
        if self.segments.is_empty() && bytes.len() <= self.spare.capacity() && !bytes.is_empty() {
            // Into the memory that is at hand: the answer to one message.
            let mut own = Own::empty(mem::take(&mut self.spare));
            own.fill(bytes);
            self.count(bytes.len(), bytes.len());
            self.segments.push_back(Segment::Own(own));
            return;
        }
        while !bytes.is_empty() {
            let n = match self.segments.back_mut() {
                Some(Segment::Own(own)) => own.fill(bytes),
                _ => 0,
            };
            self.count(n, n);
            bytes = &bytes[n..];
            if !bytes.is_empty() {
                let mut own = Own::empty(self.fresh(self.fresh_len(bytes.len())));
                let n = own.fill(bytes);
                self.push_back(Segment::Own(own));
                self.is_handed = false;
                bytes = &bytes[n..];
            }
        }
    }

    /// Copies several slices to the end, `len` bytes in all: in one go, where there is room for them.
    #[cfg(feature = "http-server")]
    #[inline]
    pub(in crate::net) fn append_parts<const N: usize>(&mut self, parts: [&[u8]; N], len: usize) {
        self.reserved = 0;
        if let Some(Segment::Own(own)) = self.segments.back_mut() {
            if own.fill_all(parts, len) {
                return self.count(len, len);
            }
        } else if self.segments.is_empty() && len <= self.spare.capacity() && len > 0 {
            let mut own = Own::empty(mem::take(&mut self.spare));
            if own.fill_all(parts, len) {
                self.count(len, len);
                return self.segments.push_back(Segment::Own(own));
            }
        }
        parts.into_iter().for_each(|part| self.append_slice(part));
    }

    /// Hands over bytes, to the end, without copying more than a few: a `Vec<u8>`, a `Box<[u8]>`, a
    /// `String`.
    ///
    /// They count as [owned](Self::owned_len). So that many small pieces do not become as many segments,
    /// up to 512 bytes are copied, and so is what fills less than an eighth of its `Vec`, up to 64 KiB.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let body = vec![b'x'; 1_000_000];
    /// let address = body.as_ptr();
    /// let mut output = Buffer::new();
    /// output.append_owned(body);
    /// assert_eq!(output.pullup(1_000_000).unwrap().as_ptr(), address);
    /// ```
    pub fn append_owned(&mut self, bytes: impl Into<Vec<u8>>) {
        self.reserved = 0;
        let bytes = bytes.into();
        if is_better_copied(bytes.len(), bytes.capacity(), EIGHTH) {
            self.append_slice(&bytes);
        } else {
            self.push_back(Segment::Own(Own::full(bytes)));
        }
    }

    /// Appends bytes that others hold too, without copying (`evbuffer_add_reference`).
    ///
    /// They do not count as [owned](Self::owned_len). Each call makes a segment, so short pieces are
    /// cheaper [copied](Self::append).
    ///
    /// ```
    /// use evloop::net::{Buffer, Shared};
    /// use std::sync::Arc;
    ///
    /// let news = Shared::from(Arc::<[u8]>::from(&b"news"[..]));
    /// let mut everyone = [Buffer::new(), Buffer::new()];
    /// for output in &mut everyone {
    ///     output.append_shared(news.clone());
    ///     output.append_shared("\r\n");
    ///     assert_eq!((output.len(), output.owned_len()), (6, 0));
    /// }
    /// ```
    pub fn append_shared(&mut self, bytes: impl Into<Shared>) {
        self.reserved = 0;
        let bytes = bytes.into().0;
        if !bytes.is_empty() {
            self.push_back(Segment::Shared { bytes, owned: false });
        }
    }

    /// Copies bytes to the front (`evbuffer_prepend`), into the first segment's room if it has some, as
    /// it has where bytes were drained.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let mut frame = Buffer::from("payload");
    /// let header = (frame.len() as u16).to_be_bytes();
    /// frame.prepend(header);
    /// assert_eq!(frame.pullup(9).unwrap(), b"\x00\x07payload");
    /// ```
    pub fn prepend(&mut self, bytes: impl AsRef<[u8]>) {
        let mut bytes = bytes.as_ref();
        self.changed_in_front();
        while !bytes.is_empty() {
            let n = match self.segments.front_mut() {
                Some(Segment::Own(own)) => own.fill_front(bytes),
                _ => 0,
            };
            self.count(n, n);
            bytes = &bytes[..bytes.len() - n];
            if !bytes.is_empty() {
                let mut own = Own::empty_at_end(self.fresh(bytes.len()));
                let n = own.fill_front(bytes);
                self.push_front(Segment::Own(own));
                bytes = &bytes[..bytes.len() - n];
            }
        }
    }
}

/// Whether so few bytes, in so much memory, are copied rather than handed over: a segment for each would
/// cost more, and a peer could have much memory held by few bytes.
pub(super) fn is_better_copied(len: usize, capacity: usize, part: usize) -> bool {
    len <= SMALL || len <= SEGMENT && len < capacity / part
}
