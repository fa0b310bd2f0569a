//! What was deflated (RFC 1951) is unpacked: what content codings and compressed messages have in common.
//!
//! It goes from block to block, and so knows when it is between two, which is the only place where an input may end. And
//! it counts them: a block of ten bits that stands for nothing has tables of thousands of entries made, so that a
//! megabyte of such blocks would take seconds.

use std::fmt;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_IGNORE_ADLER32, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// How far back what comes may refer, and the most that comes out of one step.
pub(super) const WINDOW: usize = 32 * 1024;

/// So many blocks with a code of their own may there be, and one more for each [`BLOCK`] bytes. What packs its best has
/// them a hundred times as large.
const BLOCKS: u64 = 64;
const BLOCK: u64 = 32;

const FLAGS: u32 =
    TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_IGNORE_ADLER32 | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;

pub(super) struct Inflate {
    core: Box<DecompressorOxide>,
    /// What came out last, round and round.
    window: Box<[u8]>,
    /// Where in it goes what comes next, and how much before that is of the last step.
    at: usize,
    made: usize,
    place: Place,
    /// Bytes that went in, blocks that were begun, and how many more of those are allowed, since that was last asked for.
    taken: u64,
    coded: u64,
    stored: u64,
    more: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Before the first block, or behind the last.
    Start,
    Between,
    Inside,
}

/// What a step has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// There may be more without further input.
    More,
    /// All of the input was taken.
    NeedsInput,
    /// The last block has ended. What follows begins anew, with the window as it is.
    End,
    /// So much was right, and nothing behind it. Not to be called again.
    Broken,
    /// There are too many blocks. Not to be called again.
    Framing,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self {
            core: Box::default(),
            window: vec![0; WINDOW].into_boxed_slice(),
            at: 0,
            made: 0,
            place: Place::Start,
            taken: 0,
            coded: 0,
            stored: 0,
            more: 0,
        }
    }

    /// Goes on, a block at most. Says how much of the input it has taken.
    pub(super) fn step(&mut self, input: &[u8]) -> (usize, Step) {
        self.made = 0;
        if self.place != Place::Inside {
            let Some(is_coded) = self.is_coded(input) else { return (0, Step::NeedsInput) };
            self.place = Place::Inside;
            self.coded += u64::from(is_coded);
            self.stored += u64::from(!is_coded);
            if self.coded > BLOCKS + self.taken / BLOCK + self.more {
                return (0, Step::Framing);
            }
        }
        let (status, used, made) =
            decompress(&mut self.core, input, &mut self.window, self.at, FLAGS);
        self.taken += used as u64;
        self.at = (self.at + made) % WINDOW;
        self.made = made;
        let step = match status {
            TINFLStatus::NeedsMoreInput => Step::NeedsInput,
            TINFLStatus::HasMoreOutput => Step::More,
            TINFLStatus::BlockBoundary => {
                self.place = Place::Between;
                Step::More
            }
            TINFLStatus::Done => {
                self.core.init();
                self.place = Place::Start;
                Step::End
            }
            _ => Step::Broken,
        };
        (used, step)
    }

    /// What has come out of the last step: it ends where the window does, or before.
    pub(super) fn made(&self) -> &[u8] {
        let end = if self.at == 0 { WINDOW } else { self.at };
        self.window.get(end.saturating_sub(self.made)..end).unwrap_or_default()
    }

    /// Blocks that are stored as they are: what a flush leaves behind.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// So many blocks are allowed beside those that their length allows.
    pub(super) fn allow(&mut self, more: u64) {
        self.more = more;
    }

    /// Forgets what came.
    pub(super) fn forget(&mut self) {
        self.window.fill(0);
    }

    /// Whether the block that begins here has a code, and is not stored as it is; `None` if that has not come.
    fn is_coded(&self, input: &[u8]) -> Option<bool> {
        // Whether it is the last is the first bit, and how it is packed the next two.
        let (bits, len) = match self.place {
            Place::Between => self
                .core
                .block_boundary_state()
                .map_or((0, 0), |state| (u16::from(state.bit_buf), state.num_bits)),
            _ => (0, 0),
        };
        let bits = match input.first() {
            _ if len >= 3 => bits,
            Some(&next) => bits | u16::from(next) << len,
            None => return None,
        };
        Some(bits & 0b110 != 0)
    }
}

/// For one message behind the other.
#[cfg(feature = "websocket")]
impl Inflate {
    /// Whether it is before the first block, or behind the last.
    pub(super) fn is_at_start(&self) -> bool {
        self.place == Place::Start
    }

    /// Whether it is in the middle of a block.
    pub(super) fn is_inside(&self) -> bool {
        self.place == Place::Inside
    }

    /// Counts from here on. What comes may refer to what came.
    pub(super) fn count_anew(&mut self) {
        (self.taken, self.coded, self.stored, self.more) = (0, 0, 0, 0);
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    /// All that comes out, and how it has ended.
    fn all(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<u8>, Step, Place) {
        let mut inflate = Inflate::new();
        let (mut out, mut last) = (Vec::new(), Step::NeedsInput);
        for mut piece in pieces {
            loop {
                let (used, step) = inflate.step(piece);
                out.extend_from_slice(inflate.made());
                piece = &piece[used..];
                match step {
                    Step::Broken | Step::Framing => return (out, step, inflate.place),
                    Step::NeedsInput => break,
                    Step::More | Step::End => last = step,
                }
            }
            assert!(piece.is_empty());
        }
        (out, last, inflate.place)
    }

    fn packed(data: &[u8], flushes: usize) -> Vec<u8> {
        let mut compress = Compress::new(Compression::new(6), false);
        let mut out = Vec::with_capacity(data.len() * 2 + 1000);
        for piece in data.chunks(data.len() / (flushes + 1) + 1) {
            compress.compress_vec(piece, &mut out, FlushCompress::Sync).unwrap();
        }
        compress.compress_vec(&[], &mut out, FlushCompress::Finish).unwrap();
        out
    }

    #[test]
    fn what_comes_out_is_the_same_however_the_input_is_cut() {
        let text: Vec<u8> = (0..90_000_u32).map(|n| (n / 7 % 61 + n % 5) as u8).collect();
        for data in [&b"x"[..], &[7; 300_000], &text] {
            for flushes in [0, 3, 20] {
                let packed = packed(data, flushes);
                let expected = (data.to_vec(), Step::End, Place::Start);
                assert!(all(&mut std::iter::once(&packed[..])) == expected);
                for size in [1, 2, 3, 7, 100] {
                    assert!(all(&mut packed.chunks(size)) == expected, "{size}");
                }
                for at in (0..packed.len()).step_by(packed.len().div_ceil(300)) {
                    let (left, right) = packed.split_at(at);
                    assert!(all(&mut [left, right].into_iter()) == expected, "{at}");
                }
            }
        }
    }

    #[test]
    fn blocks_are_counted_the_same_however_the_input_is_cut() {
        // Coded blocks of ten bits that stand for nothing, four in five bytes.
        let empty = b"\x02\x08\x20\x80\x00".repeat(1000);
        let whole = all(&mut std::iter::once(&empty[..]));
        assert_eq!(whole, (vec![], Step::Framing, Place::Inside));
        assert_eq!(all(&mut empty.chunks(1)), whole);
        assert_eq!(all(&mut std::iter::once(&empty[..70])).2, Place::Between);
        // And such as say that they are the last.
        let last = b"\x03\x00".repeat(1000);
        assert_eq!(all(&mut last.chunks(3)).1, Step::Framing);
        // What is stored costs nothing.
        let stored = b"\x00\x00\x00\xff\xff".repeat(10_000);
        assert_eq!(all(&mut stored.chunks(9)), (vec![], Step::More, Place::Between));
    }
}
