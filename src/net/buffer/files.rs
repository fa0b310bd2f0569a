//! Parts of files, which stay where they are until they are needed.
//!
//! A file that has become shorter is an error where it is read, and never other bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{Buffer, SEGMENT};
use crate::net::segment::{Own, Segment};
use crate::{Error, ErrorKind, Result};

impl Buffer {
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
}

/// Reads at least one byte at a place in a file.
pub(super) fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
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
