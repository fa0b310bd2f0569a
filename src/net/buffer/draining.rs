//! Bytes are forgotten, from the front; and memory is kept for the next, or given back.

use std::mem;

use super::adding::HALF;
use super::{Buffer, FIRST};
use crate::net::segment::Segment;

/// Bytes that are held in more than so many times as much memory are moved to less...
const WASTE: usize = 4;

/// ...if they are fewer than this: what is read comes in memory for 64 KiB, and more of it fills that.
const FEW: usize = 64 * 1024;

impl Buffer {
    /// Forgets the first `n` bytes, or all if there are fewer (`evbuffer_drain`). Returns how many.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let mut buffer = Buffer::from("one two");
    /// assert_eq!(buffer.drain(4), 4);
    /// assert_eq!(buffer.drain(1000), 3);
    /// ```
    #[inline]
    pub fn drain(&mut self, n: usize) -> usize {
        self.reserved = 0;
        if n >= self.len && self.segments.len() == 1 && self.files == 0 {
            // All of what came at once, as most of what comes.
            self.drain_only()
        } else {
            self.drain_some(n)
        }
    }

    fn drain_some(&mut self, n: usize) -> usize {
        let n = n.min(self.len);
        let mut left = n;
        while left > 0 {
            let Some(front) = self.segments.front_mut() else { break };
            let len = front.len();
            if len > left {
                let owned = if front.owned_len() > 0 { left } else { 0 };
                front.advance(left);
                self.uncount(left, owned);
                self.scanned.drained(left);
                left = 0;
            } else {
                left -= len;
                if let Some(Segment::Own(own)) = self.pop_front() {
                    self.keep(own);
                }
            }
        }
        n - left
    }

    fn drain_only(&mut self) -> usize {
        if let Some(Segment::Own(own)) = self.segments.pop_front() {
            self.keep(own);
        }
        self.owned = 0;
        self.scanned.forget();
        mem::take(&mut self.len)
    }

    /// Forgets everything. Keeps a drained segment for what comes next.
    pub fn clear(&mut self) {
        // Not drain: that ends at what can be counted.
        while let Some(segment) = self.pop_front() {
            if let Segment::Own(own) = segment {
                self.keep(own);
            }
        }
        self.reserved = 0;
    }

    /// Whether its bytes are few, and in much more memory than they need.
    pub(in crate::net) fn is_wasteful(&self) -> bool {
        self.len < FEW && self.capacity() > self.most_kept()
    }

    /// How much memory bytes as few as these are left in.
    fn most_kept(&self) -> usize {
        WASTE * self.len.max(FIRST)
    }

    /// Its bytes in another one that takes about twice as much memory as they are long. What is left is empty.
    pub(in crate::net) fn lessened(&mut self) -> Self {
        let mut less = Self::new();
        self.move_some(usize::MAX, &mut less, HALF);
        less
    }

    /// Leaves it, until something happens to it, with little more memory than its bytes need.
    pub(crate) fn lessen(&mut self) {
        if self.is_wasteful() {
            *self = self.lessened();
        }
    }

    /// How much memory it has when it is [left](Self::lessen).
    #[cfg(feature = "http-server")]
    pub(crate) fn kept(&self) -> usize {
        match self.len {
            0 => 0,
            FEW.. => self.capacity(),
            _ => self.capacity().min(self.most_kept()),
        }
    }

    /// Gives back the memory that holds no bytes: all there is when the buffer is empty.
    ///
    /// Meant for connections that fall idle; the next bytes allocate again.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let mut input = Buffer::from("a request");
    /// input.drain(9);
    /// input.shrink();
    /// ```
    pub fn shrink(&mut self) {
        self.reserved = 0;
        self.spare = Vec::new();
        self.segments.shrink_to_fit();
    }
}
