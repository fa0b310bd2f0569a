//! The segments as they are seen from outside.

use std::collections::vec_deque;
use std::fmt;
use std::fs::File;
use std::sync::Arc;

use crate::net::segment::Segment;

/// A segment of a [`Buffer`](super::Buffer).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Chunk<'a> {
    /// Bytes in memory, at least one.
    Bytes(&'a [u8]),
    /// Bytes in a file.
    File(FileChunk<'a>),
}

/// A part of a file in a [`Buffer`](super::Buffer).
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

/// The segments of a [`Buffer`](super::Buffer), by [`Buffer::chunks`](super::Buffer::chunks).
#[derive(Clone)]
pub struct Chunks<'a>(pub(super) vec_deque::Iter<'a, Segment>);

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
