//! From one buffer to another, segment by segment.

use super::Buffer;
use super::adding::{EIGHTH, HALF, is_better_copied};
use crate::net::segment::Segment;

/// The most that is copied to cut a segment in two.
const CUT: usize = 16 * 1024;

impl Buffer {
    /// Moves everything from another buffer to the end of this one (`evbuffer_add_buffer`).
    ///
    /// As [`move_to`](Self::move_to) with all there is.
    pub fn append_buffer(&mut self, from: &mut Self) {
        from.move_to(usize::MAX, self);
    }

    /// Moves everything from another buffer to the front of this one (`evbuffer_prepend_buffer`).
    ///
    /// Segments are handed over as they are, but for small ones, which are copied.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let mut body = Buffer::from("body");
    /// let mut head = Buffer::from("head ");
    /// body.prepend_buffer(&mut head);
    /// assert_eq!(body.pullup(9).unwrap(), b"head body");
    /// assert!(head.is_empty());
    /// ```
    pub fn prepend_buffer(&mut self, from: &mut Self) {
        self.changed_in_front();
        from.changed_in_front();
        while from.segments.back().is_some_and(|segment| self.fits(segment.len())) {
            let Some(segment) = from.pop_back() else { break };
            let part = if self.is_empty() { EIGHTH } else { HALF };
            match segment {
                Segment::Own(own) if is_better_copied(own.len(), own.capacity(), part) => {
                    self.prepend(own.bytes());
                    from.keep(own);
                }
                segment => self.push_front(segment),
            }
        }
    }

    /// Moves the first `n` bytes, or all if there are fewer, to the end of another buffer
    /// (`evbuffer_remove_buffer`). Returns how many.
    ///
    /// Segments are handed over as they are; of one that has to be cut, at most 16 KiB are copied, and
    /// memory that is longer becomes shared by the two. Small ones are copied whole, as with
    /// [`append_owned`](Self::append_owned), and behind other bytes all that fill less than half of their memory.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let mut input = Buffer::from("first second");
    /// let mut message = Buffer::new();
    /// assert_eq!(input.move_to(6, &mut message), 6);
    /// assert_eq!(input.move_to(99, &mut message), 6);
    /// assert_eq!(message.pullup(12).unwrap(), b"first second");
    /// ```
    pub fn move_to(&mut self, n: usize, to: &mut Self) -> usize {
        self.move_some(n, to, EIGHTH)
    }

    /// `first`: the part of its memory that a segment has to fill where nothing is before it.
    pub(super) fn move_some(&mut self, n: usize, to: &mut Self, first: usize) -> usize {
        self.reserved = 0;
        to.reserved = 0;
        // More than can be counted stays.
        let n = n.min(self.len).min(usize::MAX - to.len);
        let mut left = n;
        while left > 0 {
            let Some(front) = self.segments.front_mut() else { break };
            if front.len() <= left {
                let Some(segment) = self.pop_front() else { break };
                left -= segment.len();
                let part = if to.is_empty() { first } else { HALF };
                match segment {
                    Segment::Own(own) if is_better_copied(own.len(), own.capacity(), part) => {
                        to.append_slice(own.bytes());
                        self.keep(own);
                    }
                    segment => to.push_back(segment),
                }
                continue;
            }
            match front {
                Segment::Own(own) if left <= CUT => {
                    to.append_slice(&own.bytes()[..left]);
                    self.drain(left);
                }
                segment => {
                    let head = segment.split(left);
                    self.uncount(left, head.owned_len());
                    self.scanned.drained(left);
                    to.push_back(head);
                }
            }
            left = 0;
        }
        n - left
    }
}
