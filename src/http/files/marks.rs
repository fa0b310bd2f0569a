//! What a file is like now, and how a client can tell that it still is.

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat, fstat};
use rustix::io::Errno;

use super::Tags;
use crate::wire::EntityTag;

/// What is known of a file that is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attributes {
    pub(super) kind: FileType,
    pub(super) len: u64,
    inode: u64,
    seconds: i64,
    nanos: u32,
}

impl Attributes {
    pub(super) fn of(fd: impl AsFd) -> Result<Self, Errno> {
        Ok(Self::from_stat(&fstat(fd)?))
    }

    // How wide the fields are differs between systems.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn from_stat(stat: &Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            len: u64::try_from(stat.st_size).unwrap_or(0),
            inode: stat.st_ino as u64,
            seconds: stat.st_mtime as i64,
            nanos: stat.st_mtime_nsec as u32,
        }
    }

    /// When it was last changed; what is before 1970 is 1970.
    pub(super) fn modified(&self) -> SystemTime {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        let since = Duration::new(seconds, self.nanos.min(999_999_999));
        // What is beyond all bounds no date can say.
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }
}

/// The text of a file's entity tag.
pub(super) struct Mark {
    text: [u8; 64],
    len: usize,
    tags: Tags,
}

impl Mark {
    /// Of the time, the size and the number of a file, and of the coding in which it is.
    pub(super) fn new(of: &Attributes, coding: &str, tags: Tags) -> Self {
        let mut mark = Self { text: [0; 64], len: 0, tags };
        mark.hex(of.seconds as u64);
        mark.push(b'.');
        mark.hex(u64::from(of.nanos));
        mark.push(b'-');
        mark.hex(of.len);
        mark.push(b'-');
        mark.hex(of.inode);
        if !coding.is_empty() {
            mark.push(b'-');
            coding.bytes().for_each(|byte| mark.push(byte));
        }
        mark
    }

    pub(super) fn tag(&self) -> Option<EntityTag<'_>> {
        let text = std::str::from_utf8(self.text.get(..self.len)?).ok()?;
        match self.tags {
            Tags::Off => None,
            Tags::Weak => EntityTag::weak(text).ok(),
            Tags::Strong => EntityTag::strong(text).ok(),
        }
    }

    /// 16 + 8 + 16 + 16 digits, three signs and a coding of at most 4 letters fit.
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn hex(&mut self, number: u64) {
        let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let digit = (number >> (4 * digit) & 15) as u8;
            self.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
}
