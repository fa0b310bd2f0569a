//! What a buffer is a queue of: memory of its own, memory it shares, parts of files.

use std::fs::File;
use std::sync::Arc;

use bytes::{Buf, Bytes};

pub(super) enum Segment {
    Own(Own),
    /// `owned`: they were an [`Own`] once and still count as such.
    Shared {
        bytes: Bytes,
        owned: bool,
    },
    File {
        file: Arc<File>,
        offset: u64,
        len: usize,
    },
}

/// Memory with room before and behind what it holds.
// Invariant: start <= end <= data.len(). All of `data` is initialised, so it can be lent for reading
// into without unsafe code; what lies between its length and its capacity becomes so by and by, once.
#[derive(Default)]
pub(super) struct Own {
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl Segment {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Own(own) => own.len(),
            Self::Shared { bytes, .. } => bytes.len(),
            Self::File { len, .. } => *len,
        }
    }

    /// How much of it the buffer answers for.
    pub(super) fn owned_len(&self) -> usize {
        match self {
            Self::Own(own) => own.len(),
            Self::Shared { bytes, owned: true } => bytes.len(),
            Self::Shared { .. } | Self::File { .. } => 0,
        }
    }

    /// Its bytes, unless they are in a file.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Own(own) => Some(own.bytes()),
            Self::Shared { bytes, .. } => Some(bytes),
            Self::File { .. } => None,
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Forgets the first `n` bytes, of which there are as many.
    pub(super) fn advance(&mut self, n: usize) {
        match self {
            Self::Own(own) => own.start += n,
            Self::Shared { bytes, .. } => bytes.advance(n),
            Self::File { offset, len, .. } => {
                *offset += n as u64;
                *len -= n;
            }
        }
    }

    /// Cuts off the first `n` bytes, of which there are more. No byte is copied: memory of its own
    /// becomes shared.
    pub(super) fn split(&mut self, n: usize) -> Self {
        match self {
            Self::Own(own) => {
                let Own { data, start, end } = std::mem::take(own);
                let mut bytes = Bytes::from(data).slice(start..end);
                let head = Self::Shared { bytes: bytes.split_to(n), owned: true };
                *self = Self::Shared { bytes, owned: true };
                head
            }
            Self::Shared { bytes, owned } => {
                Self::Shared { bytes: bytes.split_to(n), owned: *owned }
            }
            Self::File { file, offset, len } => {
                let head = Self::File { file: Arc::clone(file), offset: *offset, len: n };
                *offset += n as u64;
                *len -= n;
                head
            }
        }
    }
}

impl Own {
    /// All of `data`.
    pub(super) fn full(data: Vec<u8>) -> Self {
        Self { start: 0, end: data.len(), data }
    }

    /// Nothing, with the room behind it.
    pub(super) fn empty(data: Vec<u8>) -> Self {
        Self { start: 0, end: 0, data }
    }

    /// Nothing, with the room before it.
    pub(super) fn empty_at_end(mut data: Vec<u8>) -> Self {
        data.resize(data.capacity(), 0);
        Self { start: data.len(), end: data.len(), data }
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(super) fn capacity(&self) -> usize {
        self.data.capacity()
    }

    pub(super) fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// How many bytes can follow.
    pub(super) fn room(&self) -> usize {
        self.data.capacity() - self.end
    }

    /// Copies as many bytes behind its own as there is room for, and says how many those are.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room());
        let (over, beyond) = bytes[..n].split_at(n.min(self.data.len() - self.end));
        self.data[self.end..self.end + over.len()].copy_from_slice(over);
        self.data.extend_from_slice(beyond);
        self.end += n;
        n
    }

    /// Copies several slices behind its own bytes, `len` bytes in all, if there is room for them.
    #[cfg(feature = "http-server")]
    #[inline]
    pub(super) fn fill_all<const N: usize>(&mut self, parts: [&[u8]; N], len: usize) -> bool {
        if self.room() < len {
            return false;
        }
        let mut room = self.spare(len);
        for part in parts {
            let Some((to, rest)) = room.split_at_mut_checked(part.len()) else { return false };
            to.copy_from_slice(part);
            room = rest;
        }
        self.end += len;
        true
    }

    /// Copies as many of the last bytes before its own as there is room for, and says how many.
    pub(super) fn fill_front(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.start);
        self.data[self.start - n..self.start].copy_from_slice(&bytes[bytes.len() - n..]);
        self.start -= n;
        n
    }

    /// The `n` bytes of room that follow, of which there are as many.
    pub(super) fn spare(&mut self, n: usize) -> &mut [u8] {
        if self.data.len() < self.end + n {
            self.data.resize(self.end + n, 0);
        }
        &mut self.data[self.end..self.end + n]
    }

    /// Takes in `n` bytes that were written to the room.
    pub(super) fn commit(&mut self, n: usize) {
        self.end += n;
    }
}
