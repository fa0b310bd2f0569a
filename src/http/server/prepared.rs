//! Replies whose heads others have put together: files.

use std::fs::File;
use std::sync::Arc;

use super::response::{Body, Outline, Response};
use crate::Result;
use crate::net::Buffer;

/// Parts of one file with something before each, as `multipart/byteranges` has it.
pub(in crate::http) struct Parts {
    file: Arc<File>,
    /// What is before it, where it begins, and how long it is.
    parts: Vec<(Vec<u8>, u64, u64)>,
    end: Vec<u8>,
    len: u64,
}

impl Parts {
    pub(in crate::http) fn new(
        file: impl Into<Arc<File>>,
        parts: Vec<(Vec<u8>, u64, u64)>,
        end: Vec<u8>,
    ) -> Self {
        let lens = parts.iter().map(|(before, _, len)| len.saturating_add(before.len() as u64));
        let len = lens.fold(end.len() as u64, u64::saturating_add);
        Self { file: file.into(), parts, end, len }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// All of it, behind what is there.
    pub(super) fn append_to(&self, output: &mut Buffer) -> Result<()> {
        for (before, offset, len) in &self.parts {
            output.append(before);
            output.append_file(Arc::clone(&self.file), *offset, *len)?;
        }
        output.append(&self.end);
        Ok(())
    }
}

impl Response {
    /// Part of a file.
    pub(in crate::http) fn prepared_file(
        outline: Outline,
        file: impl Into<Arc<File>>,
        offset: u64,
        len: u64,
    ) -> Self {
        Self { outline, body: Body::File(file.into(), offset, len), trailers: None }
    }

    /// Several parts of a file.
    pub(in crate::http) fn prepared_parts(outline: Outline, parts: Parts) -> Self {
        Self { outline, body: Body::Parts(Arc::new(parts)), trailers: None }
    }

    /// A text.
    pub(in crate::http) fn prepared_text(outline: Outline, text: String) -> Self {
        Self { outline, body: Body::Owned(text.into_bytes()), trailers: None }
    }

    /// No body.
    pub(in crate::http) fn prepared(outline: Outline) -> Self {
        Self { outline, body: Body::Empty, trailers: None }
    }
}
