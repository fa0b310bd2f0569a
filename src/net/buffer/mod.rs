//! The byte queue of a connection, in segments: what arrives at one end leaves at the other without being
//! moved in between.

// Counts (`len`, `owned`, `files`) are kept with every change, before anything that may run foreign
// code: the last holder of shared bytes drops their owner, and that may panic. Lengths saturate at
// usize::MAX, which takes files that claim to be as long or the same bytes shared billions of times.

mod adding;
mod chunks;
mod draining;
mod files;
mod looking;
mod moving;
mod reserving;
mod traits;

pub use chunks::{Chunk, Chunks, FileChunk};

use std::collections::VecDeque;
use std::mem;

use super::search::Scanned;
use super::segment::{Own, Segment};

/// The smallest segment that is allocated.
const FIRST: usize = 512;

/// The largest segment that copied bytes are put in, and the largest that is kept when it is drained.
const SEGMENT: usize = 64 * 1024;

/// A queue of bytes in segments (`evbuffer`).
///
/// Bytes are added at either end: copied ([`append`](Self::append)), handed over
/// ([`append_owned`](Self::append_owned)), shared ([`append_shared`](Self::append_shared)), or left in
/// a file until they are needed ([`append_file`](Self::append_file)). They are looked at where they are,
/// moved to other buffers as they are, and [drained](Self::drain) from the front.
///
/// ```
/// use evloop::net::Buffer;
/// use std::io::Read;
///
/// let mut buffer = Buffer::new();
/// buffer.append("world");
/// buffer.prepend("hello, ");
/// buffer.append_owned(vec![b'!'; 3]);
/// assert_eq!(buffer.len(), 15);
/// buffer.drain(7);
/// let mut text = String::new();
/// buffer.read_to_string(&mut text)?;
/// assert_eq!(text, "world!!!");
/// assert!(buffer.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Four traits of `std` are implemented too. [`io::Write`] and [`fmt::Write`] append, and never fail.
/// [`io::Read`] and [`io::BufRead`] take from the front; for them the buffer ends where it is empty
/// *now*. Where both `Write`s are in scope, `write!` cannot know which one is meant.
///
/// # What it costs
///
/// Adding and draining are linear in the bytes copied and the segments passed, thus O(1) amortised per
/// byte, in pieces of any size. A buffer has no limit of its own: whoever fills it compares
/// [`len`](Self::len) or [`owned_len`](Self::owned_len) with one. Segments for copied bytes are of 512
/// bytes to 64 KiB, the larger the more is copied in a row. One that has been drained is kept, so filling and
/// draining in turns allocates nothing; [`shrink`](Self::shrink) gives it back.
///
/// # Files
///
/// The bytes of a file are not in memory. [`search`](Self::search), [`find_line`](Self::find_line) and
/// its kin, [`copy_out`](Self::copy_out), [`pullup`](Self::pullup) and [`peek`](Self::peek) see what is
/// before the first file; [`chunks`](Self::chunks) tells files apart; draining and moving treat them
/// like the rest. [`io::Read`] and [`io::BufRead`] read the file itself, at the place the segment names
/// (`pread`), and [`load`](Self::load) brings its bytes into memory.
///
/// # Sharp edges
///
/// * Reading a file blocks as long as the file system takes.
/// * A file that has become shorter than its segment is found out when it is read: that is
///   [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof), never other bytes in its place.
/// * One byte of a shared owner or of a large handed-over `Vec` keeps all of it alive.
///
/// [`io::Write`]: std::io::Write
/// [`fmt::Write`]: std::fmt::Write
/// [`io::Read`]: std::io::Read
/// [`io::BufRead`]: std::io::BufRead
#[derive(Default)]
pub struct Buffer {
    // Invariant: none of them is empty.
    segments: VecDeque<Segment>,
    len: usize,
    owned: usize,
    /// How many of the segments are files.
    files: usize,
    /// Whether the last segment was put there as it is, rather than made for what was copied. Out of date where that one
    /// was taken away since, which makes the next segment larger or smaller and nothing else.
    is_handed: bool,
    /// Memory without contents: the largest segment that was drained, what was reserved last, or none.
    spare: Vec<u8>,
    /// How much `reserve` has lent, which is never more than 1 MiB; any change ends it.
    reserved: u32,
    pub(super) scanned: Scanned,
}

impl Buffer {
    /// An empty buffer (`evbuffer_new`). Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes there are (`evbuffer_get_length`), those in files included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// How many bytes the buffer itself holds: copied into it, or handed over to it. Those that are
    /// shared or in a file are not counted.
    ///
    /// This is what a limit on output should count. What a program has in memory anyway costs nothing
    /// more in a thousand buffers.
    ///
    /// ```
    /// use evloop::net::{Buffer, Shared};
    ///
    /// let mut output = Buffer::from("head");
    /// output.append_shared(Shared::from_static(b"the same body for everyone"));
    /// assert_eq!((output.owned_len(), output.len()), (4, 30));
    /// ```
    #[must_use]
    pub fn owned_len(&self) -> usize {
        self.owned
    }

    /// How many bytes there are before the first file: those that can be looked at.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        if self.files == 0 {
            return self.len;
        }
        self.segments.iter().map_while(Segment::bytes).map(<[u8]>::len).sum()
    }

    /// Whether all of it is in memory.
    pub(super) fn is_plain(&self) -> bool {
        self.files == 0
    }

    /// How much memory it keeps for what will come.
    pub(super) fn spare_len(&self) -> usize {
        self.spare.capacity()
    }

    /// How many of its segments are parts of files.
    pub(super) fn files(&self) -> usize {
        self.files
    }

    /// How much memory of its own it holds, used or not. Takes as long as there are segments.
    pub(crate) fn capacity(&self) -> usize {
        let own = self.segments.iter().map(|segment| match segment {
            Segment::Own(own) => own.capacity(),
            shared => shared.owned_len(),
        });
        own.fold(self.spare.capacity(), usize::saturating_add)
    }

    /// Whether as many more bytes can be counted.
    fn fits(&self, n: usize) -> bool {
        self.len.checked_add(n).is_some()
    }

    /// Memory for a new segment that is to take `n` bytes or the first of them. It may have old contents.
    fn fresh(&mut self, n: usize) -> Vec<u8> {
        if self.spare.capacity() > 0 {
            return mem::take(&mut self.spare);
        }
        Vec::with_capacity(n.clamp(FIRST, SEGMENT).next_power_of_two())
    }

    /// For how many bytes a new last segment is to be, of which `n` are there: the more has just been copied, the more
    /// will be. What is shared, handed over or in files says nothing of that.
    fn fresh_len(&self, n: usize) -> usize {
        match self.segments.back() {
            Some(Segment::Own(own)) if !self.is_handed => n.max(own.len().saturating_mul(2)),
            _ => n,
        }
    }

    /// Keeps a drained segment's memory if it is the best there is.
    fn keep(&mut self, own: Own) {
        let data = own.into_data();
        if data.capacity() <= SEGMENT && data.capacity() > self.spare.capacity() {
            self.spare = data;
        }
    }

    fn changed_in_front(&mut self) {
        self.reserved = 0;
        self.scanned.forget();
    }

    fn count(&mut self, len: usize, owned: usize) {
        self.len = self.len.saturating_add(len);
        self.owned = self.owned.saturating_add(owned);
    }

    fn uncount(&mut self, len: usize, owned: usize) {
        self.len = self.len.saturating_sub(len);
        self.owned = self.owned.saturating_sub(owned);
    }

    fn push_back(&mut self, segment: Segment) {
        self.count_segment(&segment);
        self.segments.push_back(segment);
        self.is_handed = true;
    }

    fn push_front(&mut self, segment: Segment) {
        self.count_segment(&segment);
        self.segments.push_front(segment);
    }

    fn count_segment(&mut self, segment: &Segment) {
        self.count(segment.len(), segment.owned_len());
        self.files += usize::from(segment.is_file());
    }

    fn pop_front(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        self.uncount(segment.len(), segment.owned_len());
        self.files -= usize::from(segment.is_file());
        self.scanned.drained(segment.len());
        Some(segment)
    }

    fn pop_back(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_back()?;
        self.uncount(segment.len(), segment.owned_len());
        self.files -= usize::from(segment.is_file());
        Some(segment)
    }
}
