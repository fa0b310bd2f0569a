//! Packing.

use std::fmt;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::Coding;
use super::check::{Adler, Check};

/// Packs a body, piece by piece.
///
/// What comes out is appended to a `Vec`. Much of it only comes with the [flush](Self::flush) or the
/// [end](Self::finish), after which it is ready for the next body.
///
/// ```
/// use evloop::wire::coding::{Coding, Encoder};
///
/// let mut encoder = Encoder::new(Coding::Gzip, 6);
/// let mut out = Vec::new();
/// encoder.update(&[b'x'; 1000], &mut out);
/// encoder.flush(&mut out); // all of the 1000 can be read at the other end now
/// let flushed = out.len();
/// encoder.finish(&mut out);
/// assert!(flushed < 40 && out.len() < 60);
/// ```
pub struct Encoder {
    coding: Coding,
    compress: Compress,
    check: Check,
    has_begun: bool,
}

impl Encoder {
    /// One that works fast (level 1), long (9), or anything between; other levels are the nearest of these. 6 is what is
    /// usual.
    #[must_use]
    pub fn new(coding: Coding, level: u32) -> Self {
        // Headers and checksums are written here, for both codings.
        let compress = Compress::new(Compression::new(level.clamp(1, 9)), false);
        Self { coding, compress, check: check_of(coding), has_begun: false }
    }

    /// What it makes.
    #[must_use]
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// Takes more of the body.
    pub fn update(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        self.begin(out);
        self.check.update(input);
        while !input.is_empty() {
            out.reserve((input.len() / 2).max(1024));
            let (used, _) = self.step(input, out, FlushCompress::None);
            input = input.get(used..).unwrap_or_default();
        }
    }

    /// Has all that was taken come out, so that the other end can read it. Costs a few bytes.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        loop {
            out.reserve(1024);
            self.step(&[], out, FlushCompress::Sync);
            // It has stopped for want of something to say, not for want of room.
            if out.len() < out.capacity() {
                return;
            }
        }
    }

    /// That was all of the body.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        loop {
            out.reserve(1024);
            let before = out.len();
            let (_, is_end) = self.step(&[], out, FlushCompress::Finish);
            if is_end || out.len() == before {
                break;
            }
        }
        out.extend_from_slice(self.check.trailer().bytes());
        self.compress.reset();
        self.check = check_of(self.coding);
        self.has_begun = false;
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        out.extend_from_slice(match self.coding {
            // No name, no time, no system.
            Coding::Gzip => &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255],
            // A window of 32 KiB, no dictionary.
            Coding::Deflate => &[0x78, 0x9C],
        });
    }

    /// How much was used, and whether that was the end.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> (usize, bool) {
        let before = self.compress.total_in();
        // The only error is a call in the wrong order, of which there is none.
        let status = self.compress.compress_vec(input, out, flush);
        let used = usize::try_from(self.compress.total_in() - before).unwrap_or(input.len());
        match status {
            Ok(status) => (used, status == Status::StreamEnd),
            Err(_) => (input.len(), true),
        }
    }
}

fn check_of(coding: Coding) -> Check {
    match coding {
        Coding::Gzip => Check::Crc(Crc::new()),
        Coding::Deflate => Check::Adler(Adler::new()),
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("coding", &self.coding).finish_non_exhaustive()
    }
}
