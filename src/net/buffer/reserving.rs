//! Room that is lent, to be written to by who reads from elsewhere.
//!
//! What was lent is behind the last byte of the last segment, or is the spare memory; `commit` finds out which
//! by the same question as `reserve`. Any change in between ends the loan.

use std::mem;

use super::adding::{HALF, is_better_copied};
use super::{Buffer, FIRST};
use crate::net::segment::{Own, Segment};

/// The most that can be reserved in one go.
const RESERVE: usize = 1024 * 1024;

impl Buffer {
    /// Lends room for `n` bytes behind the last, to be written to and then [committed](Self::commit)
    /// (`evbuffer_reserve_space`). For at most 1 MiB: the slice is as long as that allows.
    ///
    /// What stands in it is of no meaning: zeros, or bytes that were there before. It is zeroed when it
    /// is allocated, not each time.
    ///
    /// ```
    /// use evloop::net::Buffer;
    /// use std::io::Read;
    ///
    /// let mut source = &b"what the socket has"[..];
    /// let mut input = Buffer::new();
    /// let n = source.read(input.reserve(4096))?;
    /// assert_eq!(input.commit(n), 19);
    /// assert_eq!(input.len(), 19);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn reserve(&mut self, n: usize) -> &mut [u8] {
        let n = n.min(RESERVE);
        self.reserved = u32::try_from(n).unwrap_or(0);
        if self.tail_room() >= n {
            return match self.segments.back_mut() {
                Some(Segment::Own(own)) => own.spare(n),
                _ => &mut [],
            };
        }
        if self.spare.capacity() < n {
            self.spare = Vec::with_capacity(n.next_power_of_two().max(FIRST));
        }
        if self.spare.len() < n {
            self.spare.resize(n, 0);
        }
        &mut self.spare[..n]
    }

    /// Appends the first `n` bytes of what was [reserved](Self::reserve) (`evbuffer_commit_space`).
    /// Returns how many.
    ///
    /// Never more than were reserved, and none if the buffer was changed since, or this was called
    /// already.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let mut input = Buffer::new();
    /// input.reserve(3).copy_from_slice(b"abc");
    /// assert_eq!(input.commit(1000), 3);
    /// assert_eq!(input.commit(1000), 0);
    /// ```
    pub fn commit(&mut self, n: usize) -> usize {
        let reserved = mem::take(&mut self.reserved) as usize;
        let n = n.min(reserved);
        if n == 0 {
            return 0;
        }
        if self.segments.is_empty() {
            // All that came at once, as most of what comes.
            let mut own = Own::empty(mem::take(&mut self.spare));
            own.commit(n);
            self.count(n, n);
            self.segments.push_back(Segment::Own(own));
            return n;
        }
        if self.tail_room() >= reserved {
            if let Some(Segment::Own(own)) = self.segments.back_mut() {
                own.commit(n);
                self.count(n, n);
            }
            return n;
        }
        let data = mem::take(&mut self.spare);
        if !self.is_empty() && is_better_copied(n, data.capacity(), HALF) {
            self.append_slice(&data[..n]);
            self.keep(Own::empty(data));
        } else {
            let mut own = Own::empty(data);
            own.commit(n);
            self.push_back(Segment::Own(own));
        }
        n
    }

    fn tail_room(&self) -> usize {
        match self.segments.back() {
            Some(Segment::Own(own)) => own.room(),
            _ => 0,
        }
    }
}
