//! Bytes are looked at where they are, before the first file.

use std::io::IoSlice;
use std::mem;

use super::{Buffer, Chunks, FIRST};
use crate::net::segment::{Own, Segment};

impl Buffer {
    /// The bytes in up to as many slices as are given, together of at most `limit` bytes, for a vectored
    /// write (`evbuffer_peek`). Returns how many slices were filled.
    ///
    /// It ends at the first file, so if it is zero and the buffer not empty, the
    /// [first chunk](Self::chunks) is a file. Drain what was written.
    ///
    /// ```
    /// use evloop::net::{Buffer, Shared};
    /// use std::io::{IoSlice, Write};
    ///
    /// let mut output = Buffer::from("head, ");
    /// output.append_shared("body");
    /// let mut socket = Vec::new();
    ///
    /// let mut slices = [IoSlice::new(&[]); 16];
    /// let filled = output.peek(65536, &mut slices);
    /// assert_eq!(filled, 2);
    /// let written = socket.write_vectored(&slices[..filled])?;
    /// output.drain(written);
    /// assert_eq!(socket, b"head, body");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek<'a>(&'a self, limit: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let mut left = limit;
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(self.segments.iter().map_while(Segment::bytes))
        {
            if left == 0 {
                break;
            }
            let bytes = &bytes[..bytes.len().min(left)];
            *slice = IoSlice::new(bytes);
            left -= bytes.len();
            filled += 1;
        }
        filled
    }

    /// All segments, from the first to the last: bytes, and parts of files.
    ///
    /// ```
    /// use evloop::net::{Buffer, Chunk};
    /// use std::{fs::File, sync::Arc};
    ///
    /// let mut output = Buffer::from("head");
    /// output.append_file(Arc::new(File::open("Cargo.toml")?), 10, 20)?;
    /// let mut chunks = output.chunks();
    /// assert!(matches!(chunks.next(), Some(Chunk::Bytes(b"head"))));
    /// let Some(Chunk::File(part)) = chunks.next() else { panic!() };
    /// assert_eq!((part.offset, part.len), (10, 20)); // for sendfile
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks(self.segments.iter())
    }

    /// Makes the first `n` bytes contiguous (`evbuffer_pullup`): `None` if there are fewer, or a file is
    /// among them.
    ///
    /// Free if they are already, a copy of `n` bytes at most otherwise; asking for one more each time is
    /// O(1) amortised.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let mut input = Buffer::from("len=");
    /// input.append_shared("5;hello");
    /// assert_eq!(input.pullup(6).unwrap(), b"len=5;");
    /// assert_eq!(input.pullup(12), None);
    /// assert_eq!(input.len(), 11);
    /// ```
    pub fn pullup(&mut self, n: usize) -> Option<&[u8]> {
        if n > self.front().len() {
            if n > self.memory_len() {
                return None;
            }
            self.gather(n);
        }
        self.front().get(..n)
    }

    /// Copies the bytes from `offset` on, as many as there are and `into` has room for
    /// (`evbuffer_copyout_from`). Returns how many. It ends at the first file.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let input = Buffer::from("one two");
    /// let mut word = [0; 8];
    /// assert_eq!(input.copy_out(4, &mut word), 3);
    /// assert_eq!(&word[..3], b"two");
    /// assert_eq!(input.len(), 7);
    /// ```
    pub fn copy_out(&self, offset: usize, into: &mut [u8]) -> usize {
        let mut copied = 0;
        for (_, bytes) in self.memory(offset, offset.saturating_add(into.len())) {
            into[copied..copied + bytes.len()].copy_from_slice(bytes);
            copied += bytes.len();
        }
        copied
    }

    /// The byte at `offset`, if there is one and it is before the first file.
    ///
    /// ```
    /// use evloop::net::Buffer;
    ///
    /// let input = Buffer::from("abc");
    /// assert_eq!((input.byte_at(2), input.byte_at(3)), (Some(b'c'), None));
    /// ```
    #[must_use]
    pub fn byte_at(&self, offset: usize) -> Option<u8> {
        self.memory(offset, offset.saturating_add(1)).next().map(|(_, bytes)| bytes[0])
    }

    /// The bytes from `from` to `to` that are before the first file, slice by slice, each with its offset.
    /// None of them is empty.
    pub(in crate::net) fn memory(
        &self,
        from: usize,
        to: usize,
    ) -> impl Iterator<Item = (usize, &[u8])> {
        let (first, mut start) =
            if from < to { self.locate(from) } else { (self.segments.len(), self.len) };
        self.segments.range(first..).map_while(Segment::bytes).map_while(move |bytes| {
            let offset = start;
            start += bytes.len();
            let skipped = from.saturating_sub(offset).min(bytes.len());
            let end = to.saturating_sub(offset).min(bytes.len());
            (skipped < end).then(|| (offset + skipped, &bytes[skipped..end]))
        })
    }

    /// The segment with the byte at `offset`, and where the segment begins. Past the end if there is no
    /// such byte, or if it is not before the first file.
    // From the nearer end: who waits for the end of a long line asks for its last bytes.
    fn locate(&self, offset: usize) -> (usize, usize) {
        let none = (self.segments.len(), self.len);
        if offset >= self.len {
            return none;
        }
        if self.files == 0 && offset > self.len / 2 {
            let mut start = self.len;
            for (index, segment) in self.segments.iter().enumerate().rev() {
                start = start.saturating_sub(segment.len());
                if start <= offset {
                    return (index, start);
                }
            }
            return none;
        }
        let mut start: usize = 0;
        for (index, segment) in self.segments.iter().enumerate() {
            let end = start.saturating_add(segment.len());
            if segment.is_file() {
                return none;
            }
            if offset < end {
                return (index, start);
            }
            start = end;
        }
        none
    }

    /// The first segment's bytes, if it has them in memory.
    pub(super) fn front(&self) -> &[u8] {
        self.segments.front().and_then(Segment::bytes).unwrap_or_default()
    }

    /// Makes the first `n` bytes one segment. There are as many, in memory, and in more than one.
    fn gather(&mut self, n: usize) {
        let scanned = mem::take(&mut self.scanned);
        let room = match self.segments.front() {
            Some(Segment::Own(own)) => own.len() + own.room(),
            _ => 0,
        };
        let mut own = match self.segments.front() {
            Some(Segment::Own(_)) if room >= n => match self.pop_front() {
                Some(Segment::Own(own)) => own,
                _ => Own::default(),
            },
            // Twice what is needed, so that asking for more is not a copy each time.
            _ => Own::empty(Vec::with_capacity(n.max(FIRST).saturating_mul(2))),
        };
        while own.len() < n {
            let front = self.front();
            let taken = own.fill(&front[..front.len().min(n - own.len())]);
            if taken == 0 {
                break;
            }
            self.drain(taken);
        }
        self.push_front(Segment::Own(own));
        self.scanned = scanned;
    }

    /// All its bytes, if they are one segment in memory.
    pub(in crate::net) fn sole(&self) -> Option<&[u8]> {
        if self.segments.len() == 1 { self.segments.front()?.bytes() } else { None }
    }
}
