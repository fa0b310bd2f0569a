//! The byte queue of a connection, in segments: what arrives at one end leaves at the other without being
//! moved in between.

// Counts (`len`, `owned`, `files`) are kept with every change, before anything that may run foreign
// code: the last holder of shared bytes drops their owner, and that may panic. Lengths saturate at
// usize::MAX, which takes files that claim to be as long or the same bytes shared billions of times.

use std::collections::VecDeque;
use std::collections::vec_deque;
use std::fs::File;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::{fmt, mem};

use super::Shared;
use super::search::Scanned;
use super::segment::{Own, Segment};
use crate::{Error, ErrorKind, Result};

/// The smallest segment that is allocated.
const FIRST: usize = 512;

/// The largest segment that copied bytes are put in, and the largest that is kept when it is drained.
const SEGMENT: usize = 64 * 1024;

/// The most that can be reserved in one go.
const RESERVE: usize = 1024 * 1024;

/// Fewer bytes than this are copied where a segment could have been handed over.
const SMALL: usize = 512;

/// The most that is copied to cut a segment in two.
const CUT: usize = 16 * 1024;

/// How much of a file [`BufRead`] takes at a time.
const LOAD: usize = 16 * 1024;

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
/// bytes to 64 KiB, the larger the more there is. One that has been drained is kept, so filling and
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
///   [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), never other bytes in its place.
/// * One byte of a shared owner or of a large handed-over `Vec` keeps all of it alive.
#[derive(Default)]
pub struct Buffer {
    // Invariant: none of them is empty.
    segments: VecDeque<Segment>,
    len: usize,
    owned: usize,
    /// How many of the segments are files.
    files: usize,
    /// Memory without contents: the largest segment that was drained, what was reserved last, or none.
    spare: Vec<u8>,
    /// How much `reserve` has lent; any change ends it.
    reserved: usize,
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

    fn append_slice(&mut self, mut bytes: &[u8]) {
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
                let mut own = Own::empty(self.fresh(bytes.len()));
                let n = own.fill(bytes);
                self.push_back(Segment::Own(own));
                bytes = &bytes[n..];
            }
        }
    }

    /// Copies several slices to the end, `len` bytes in all: in one go, where there is room for them.
    #[cfg(feature = "http-server")]
    #[inline]
    pub(super) fn append_parts<const N: usize>(&mut self, parts: [&[u8]; N], len: usize) {
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
        if is_better_copied(bytes.len(), bytes.capacity()) {
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

    /// Appends a part of a file (`evbuffer_add_file`), which is not read before it is needed.
    ///
    /// The file's own position is neither used nor moved, so one opened file serves many buffers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if no file can have such a part, or it does not fit into the count of
    /// bytes. Whether this one has it is found out when it is read.
    ///
    /// ```
    /// use evloop::net::Buffer;
    /// use std::fs::File;
    /// use std::io::Read;
    /// use std::sync::Arc;
    ///
    /// let file = Arc::new(File::open("Cargo.toml")?);
    /// let mut output = Buffer::from("it begins: ");
    /// output.append_file(file, 0, 9)?;
    /// let mut text = String::new();
    /// output.read_to_string(&mut text)?;
    /// assert_eq!(text, "it begins: [package]");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn append_file(&mut self, file: Arc<File>, offset: u64, len: u64) -> Result<()> {
        const DOING: &str = "appending a part of a file";
        self.reserved = 0;
        let valid = offset.checked_add(len).is_some_and(|end| i64::try_from(end).is_ok());
        let len = usize::try_from(len).ok().filter(|len| valid && self.fits(*len));
        let Some(len) = len else { return Err(Error::new(ErrorKind::InvalidInput, DOING)) };
        if len > 0 {
            self.push_back(Segment::File { file, offset, len });
        }
        Ok(())
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
            match segment {
                Segment::Own(own) if is_better_copied(own.len(), own.capacity()) => {
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
    /// [`append_owned`](Self::append_owned).
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
                match segment {
                    Segment::Own(own) if is_better_copied(own.len(), own.capacity()) => {
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
        self.reserved = n;
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
        let reserved = mem::take(&mut self.reserved);
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
        if !self.is_empty() && is_better_copied(n, data.capacity()) {
            self.append_slice(&data[..n]);
            self.keep(Own::empty(data));
        } else {
            let mut own = Own::empty(data);
            own.commit(n);
            self.push_back(Segment::Own(own));
        }
        n
    }

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

    /// Reads what of the first `n` bytes is in files into memory, where it counts as
    /// [owned](Self::owned_len). Returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// What reading the file says, or [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if it has become
    /// too short. What was read until then is in memory, and no byte is lost.
    ///
    /// ```
    /// use evloop::net::Buffer;
    /// use std::{fs::File, sync::Arc};
    ///
    /// let mut output = Buffer::new();
    /// output.append_file(Arc::new(File::open("Cargo.toml")?), 0, 9)?;
    /// assert_eq!(output.pullup(9), None);
    /// assert_eq!(output.load(9)?, 9);
    /// assert_eq!(output.pullup(9).unwrap(), b"[package]");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn load(&mut self, n: usize) -> io::Result<usize> {
        self.reserved = 0;
        let mut loaded: usize = 0;
        let mut before = 0;
        let mut index = 0;
        while self.files > 0 && before < n {
            let Some(segment) = self.segments.get(index) else { break };
            let Segment::File { file, offset, len } = segment else {
                before += segment.len();
                index += 1;
                continue;
            };
            let (file, offset) = (Arc::clone(file), *offset);
            let piece = (*len).min(n - before).min(SEGMENT);
            let mut data = self.fresh(piece);
            let piece = piece.min(data.capacity());
            if data.len() < piece {
                data.resize(piece, 0);
            }
            let mut own = Own::empty(data);
            let read = read_at(&file, own.spare(piece), offset);
            let got = match read {
                Ok(got) => got,
                Err(error) => {
                    self.keep(own);
                    return Err(error);
                }
            };
            own.commit(got);
            let whole = match self.segments.get_mut(index) {
                Some(segment) if segment.len() > got => {
                    segment.advance(got);
                    false
                }
                _ => true,
            };
            if whole {
                if let Some(segment) = self.segments.get_mut(index) {
                    *segment = Segment::Own(own);
                    self.files -= 1;
                }
            } else {
                self.segments.insert(index, Segment::Own(own));
            }
            self.owned = self.owned.saturating_add(got);
            before += got;
            loaded += got;
            index += 1;
        }
        Ok(loaded)
    }

    /// The bytes from `from` to `to` that are before the first file, slice by slice, each with its offset.
    /// None of them is empty.
    pub(super) fn memory(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, &[u8])> {
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
    fn front(&self) -> &[u8] {
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
    pub(super) fn sole(&self) -> Option<&[u8]> {
        if self.segments.len() == 1 { self.segments.front()?.bytes() } else { None }
    }

    /// Whether all of it is in memory.
    pub(super) fn is_plain(&self) -> bool {
        self.files == 0
    }

    /// How much memory it keeps for what will come.
    pub(super) fn spare_len(&self) -> usize {
        self.spare.capacity()
    }

    /// How much memory of its own it holds, used or not.
    pub(super) fn capacity(&self) -> usize {
        let own = self.segments.iter().map(|segment| match segment {
            Segment::Own(own) => own.capacity(),
            Segment::Shared { .. } | Segment::File { .. } => 0,
        });
        self.spare.capacity() + own.sum::<usize>()
    }

    fn tail_room(&self) -> usize {
        match self.segments.back() {
            Some(Segment::Own(own)) => own.room(),
            _ => 0,
        }
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
        Vec::with_capacity(n.max(self.len).clamp(FIRST, SEGMENT).next_power_of_two())
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

/// Whether so few bytes, in so much memory, are copied rather than handed over: a segment for each would
/// cost more, and a peer could have much memory held by few bytes.
fn is_better_copied(len: usize, capacity: usize) -> bool {
    len <= SMALL || len <= SEGMENT && len < capacity / 8
}

/// Reads at least one byte at a place in a file.
fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(into, offset) {
            Ok(0) => {
                let text = "a file has become shorter than the part that was appended";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A segment of a [`Buffer`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Chunk<'a> {
    /// Bytes in memory, at least one.
    Bytes(&'a [u8]),
    /// Bytes in a file.
    File(FileChunk<'a>),
}

/// A part of a file in a [`Buffer`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct FileChunk<'a> {
    /// The file.
    pub file: &'a Arc<File>,
    /// Where in the file it begins.
    pub offset: u64,
    /// How many bytes it has, at least one.
    pub len: usize,
}

/// The segments of a [`Buffer`], by [`Buffer::chunks`].
#[derive(Clone)]
pub struct Chunks<'a>(vec_deque::Iter<'a, Segment>);

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        Some(match self.0.next()? {
            Segment::Own(own) => Chunk::Bytes(own.bytes()),
            Segment::Shared { bytes, .. } => Chunk::Bytes(bytes),
            Segment::File { file, offset, len } => {
                Chunk::File(FileChunk { file, offset: *offset, len: *len })
            }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Chunks<'_> {}

impl fmt::Debug for Chunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_struct("Bytes").field("len", &bytes.len()).finish(),
            Self::File(part) => part.fmt(f),
        }
    }
}

impl fmt::Debug for FileChunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, len, .. } = self;
        f.debug_struct("File").field("offset", offset).field("len", len).finish()
    }
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

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
