//! The chunked coding, taken apart (RFC 9112 §7.1).
//!
//! A body whose length nobody knows beforehand is sent in chunks: the size of each in hexadecimal on a
//! line of its own, the data, a line end. A chunk of size zero ends them, trailer fields may follow it,
//! and an empty line ends the message. The decoder is told the bytes as they arrive and says of each
//! run of them what it is; it keeps nothing but what it must remember of a line.
//!
//! It is strict, as desynchronised requests come from decoders that are not: a line ends in CRLF and
//! nothing else, a size is digits and nothing else, extensions obey their grammar.

// A byte at a time, so that the outcome cannot depend on how the bytes were cut. Only data, of which
// there is much, is passed over in runs.

use std::fmt;

use super::syntax::{TOKEN, is};
use super::trailers::Trailers;
use super::{ChunkLimits, Fault, Fields};

/// How many bytes of framing each byte of data is worth.
const FRAMING_PER_BYTE: u64 = 16;

/// The most digits of a size, leading zeros aside: more do not fit in 64 bits.
const DIGITS: u8 = 16;

/// What the first bytes of an input are, told by [`ChunkDecoder::next`] and
/// [`BodyDecoder::next`](super::BodyDecoder::next).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Piece {
    /// The input was empty, and the body is not complete.
    More,
    /// So many bytes are framing: drop them, and ask again.
    Skip(usize),
    /// So many bytes are of the body: take them, and ask again. Never zero.
    Data(usize),
    /// So many bytes are framing, and the body is complete: drop them. What follows is of the next message.
    End(usize),
}

/// Takes a chunked body apart, however it arrives.
///
/// Every call with bytes makes progress, so a caller keeps nothing back: whatever a call did not name is
/// given to the next one. The pieces depend on how the bytes are cut, their meaning does not: the data,
/// the place of the end, and the fault if there is one, are always the same.
///
/// ```
/// use evloop::wire::{ChunkDecoder, ChunkLimits, Piece};
///
/// let mut decoder = ChunkDecoder::new(ChunkLimits::default());
/// let mut input: &[u8] = b"5\r\nhello\r\n8;why=not\r\n, chunks\r\n0\r\nDigest: x\r\n\r\nGET /next";
/// let mut body = Vec::new();
/// loop {
///     match decoder.next(input)? {
///         Piece::Skip(n) => input = &input[n..],
///         Piece::Data(n) => {
///             body.extend_from_slice(&input[..n]);
///             input = &input[n..];
///         }
///         Piece::End(n) => {
///             input = &input[n..];
///             break;
///         }
///         Piece::More => panic!("here one would read more"),
///     }
/// }
/// assert_eq!(body, b"hello, chunks");
/// assert_eq!(input, b"GET /next");
/// assert_eq!(decoder.trailers().get("digest"), Some(&b"x"[..]));
/// # Ok::<(), evloop::wire::Fault>(())
/// ```
///
/// # Limits
///
/// Those of [`ChunkLimits`], checked as the bytes pass, and one more: framing, that is everything but data
/// and trailers, is at most 16 KiB and 16 times the data. Without it a body of tiny chunks in long dress
/// costs a server much and its sender nothing.
///
/// # Trailers
///
/// Fields after the last chunk are kept apart from the head's, for good: they come when everything has
/// been decided. Those that would decide something are checked and then dropped: framing, routing,
/// authentication, cookies, conditions, and what says how to read the content (RFC 9110 §6.5.1).
pub struct ChunkDecoder {
    state: State,
    /// The size being read; from the line's end on, how much of the data is still to come.
    left: u64,
    /// The digits of this size line, and those from the first that is not zero.
    digits: usize,
    significant: u8,
    /// The bytes of extensions, of the whole body.
    extensions: usize,
    /// How many more bytes of framing may come.
    // A chunk's data is credited when its size is known. Nobody gains by announcing more than comes:
    // framing only goes on once the data is there.
    allowance: u64,
    limits: ChunkLimits,
    trailers: Trailers,
}

/// What the next byte has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The first digit of a size.
    Size,
    /// A digit, or what ends them.
    Digits,
    /// White space after the size, which only an extension may have before it.
    AfterSize,
    /// White space after `;`, or an extension's name.
    BeforeName,
    Name,
    AfterName,
    /// White space after `=`, or a value.
    BeforeValue,
    Token,
    Quoted,
    Escaped,
    AfterQuoted,
    AfterValue,
    /// The LF of a size line.
    LineFeed,
    /// Data. Invariant: `left` is not zero.
    Data,
    /// The CR after data, and the LF.
    DataReturn,
    DataFeed,
    /// What comes after the last chunk.
    Trailers,
    Done,
    Failed(Fault),
}

impl ChunkDecoder {
    /// How much of the chunk that has begun is still to come.
    #[must_use]
    pub fn announced(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// A decoder for one body. Allocates nothing until trailers come.
    #[must_use]
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            state: State::Size,
            left: 0,
            digits: 0,
            significant: 0,
            extensions: 0,
            allowance: limits.framing,
            limits,
            trailers: Trailers::default(),
        }
    }

    /// What the first bytes of `input` are. The next call gets the bytes after those.
    ///
    /// [`End(0)`](Piece::End) is all it says once the body is complete.
    ///
    /// # Errors
    ///
    /// What is wrong with the body. No byte after that has a meaning; every further call says the same.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, Fault> {
        let piece = match self.state {
            State::Failed(fault) => return Err(fault),
            State::Done => return Ok(Piece::End(0)),
            _ if input.is_empty() => return Ok(Piece::More),
            State::Data => return Ok(Piece::Data(self.data(input.len()))),
            State::Trailers => self.after_chunks(input),
            _ => self.framing(input),
        };
        if let Err(fault) = piece {
            self.state = State::Failed(fault);
        }
        piece
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The fields that came after the last chunk, without those that may not; empty until the end.
    #[must_use]
    pub fn trailers(&self) -> &Fields {
        self.trailers.fields()
    }

    /// Takes the fields that came after the last chunk; none are left.
    #[must_use]
    pub fn take_trailers(&mut self) -> Fields {
        self.trailers.take()
    }

    /// How many of so many bytes are data.
    fn data(&mut self, available: usize) -> usize {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let taken = available.min(left);
        self.left -= taken as u64; // `taken` is at most `left`
        if self.left == 0 {
            self.state = State::DataReturn;
        }
        taken
    }

    fn framing(&mut self, input: &[u8]) -> Result<Piece, Fault> {
        for (at, byte) in input.iter().enumerate() {
            self.state = self.step(*byte)?;
            self.allowance = self.allowance.checked_sub(1).ok_or(Fault::TooMuchFraming)?;
            if matches!(self.state, State::Data | State::Trailers) {
                return Ok(Piece::Skip(at + 1));
            }
        }
        Ok(Piece::Skip(input.len()))
    }

    fn after_chunks(&mut self, input: &[u8]) -> Result<Piece, Fault> {
        let Some(end) = self.trailers.read(input, &self.limits)? else {
            return Ok(Piece::Skip(input.len()));
        };
        self.state = State::Done;
        Ok(Piece::End(end))
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, Fault> {
        match self.state {
            State::Size => {
                self.left = 0;
                self.digits = 0;
                self.significant = 0;
                let digit = hexadecimal(byte).ok_or(Fault::BadChunkSize)?;
                self.digit(digit)
            }
            State::Digits => {
                if let Some(digit) = hexadecimal(byte) {
                    return self.digit(digit);
                }
                let credit = self.left.saturating_mul(FRAMING_PER_BYTE);
                self.allowance = self.allowance.saturating_add(credit);
                match byte {
                    b'\r' => Ok(State::LineFeed),
                    b'\n' => Err(Fault::BadLineEnd),
                    b';' => self.extension(State::BeforeName),
                    b' ' | b'\t' => self.extension(State::AfterSize),
                    _ => Err(Fault::BadChunkSize),
                }
            }
            State::LineFeed => match byte {
                b'\n' if self.left == 0 => Ok(State::Trailers),
                b'\n' => Ok(State::Data),
                _ => Err(Fault::BadLineEnd),
            },
            State::DataReturn if byte == b'\r' => Ok(State::DataFeed),
            State::DataFeed if byte == b'\n' => Ok(State::Size),
            State::DataReturn | State::DataFeed => Err(Fault::BadChunkEnd),
            _ => self.extension_byte(byte),
        }
    }

    fn digit(&mut self, digit: u8) -> Result<State, Fault> {
        self.digits += 1;
        if self.digits > self.limits.line {
            return Err(Fault::ChunkLineTooLong);
        }
        if self.significant > 0 || digit != 0 {
            if self.significant == DIGITS {
                return Err(Fault::BadChunkSize);
            }
            self.significant += 1;
            self.left = self.left << 4 | u64::from(digit);
        }
        Ok(State::Digits)
    }

    /// One byte of `*( BWS ";" BWS name [ BWS "=" BWS value ] )`, or of the line's end (RFC 9112 §7.1.1).
    fn extension_byte(&mut self, byte: u8) -> Result<State, Fault> {
        let space = matches!(byte, b' ' | b'\t');
        let next = match (self.state, byte) {
            // An LF is never part of an extension, quoted or not: who takes it for one disagrees with
            // who takes it for the line's end on where the next chunk begins.
            (_, b'\n') => return Err(Fault::BadLineEnd),
            (_, 0..=8 | 11 | 12 | 14..=31 | 127) => return Err(Fault::ControlByte),

            (State::Name | State::Token | State::AfterQuoted, b'\r') => {
                return Ok(State::LineFeed);
            }

            (State::AfterSize, _) if space => State::AfterSize,
            (State::AfterSize, b';') => State::BeforeName,
            (State::AfterSize, _) => return Err(Fault::BadChunkSize),
            (_, b'\r') => return Err(Fault::BadExtension),

            (State::BeforeName, _) if space => State::BeforeName,
            (State::BeforeName | State::Name, _) if is(byte, TOKEN) => State::Name,
            (State::Name | State::AfterName, b'=') => State::BeforeValue,
            (State::Name | State::AfterName, b';') => State::BeforeName,
            (State::Name | State::AfterName, _) if space => State::AfterName,

            (State::BeforeValue, _) if space => State::BeforeValue,
            (State::BeforeValue, b'"') => State::Quoted,
            (State::BeforeValue | State::Token, _) if is(byte, TOKEN) => State::Token,
            (State::Quoted, b'"') => State::AfterQuoted,
            (State::Quoted, b'\\') => State::Escaped,
            (State::Quoted | State::Escaped, _) => State::Quoted,
            (State::Token | State::AfterQuoted | State::AfterValue, b';') => State::BeforeName,
            (State::Token | State::AfterQuoted | State::AfterValue, _) if space => {
                State::AfterValue
            }
            _ => return Err(Fault::BadExtension),
        };
        self.extension(next)
    }

    /// Counts a byte of an extension.
    fn extension(&mut self, next: State) -> Result<State, Fault> {
        self.extensions += 1;
        if self.extensions > self.limits.extensions {
            return Err(Fault::ExtensionsTooLong);
        }
        Ok(next)
    }
}

impl fmt::Debug for ChunkDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkDecoder")
            .field("state", &self.state)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

fn hexadecimal(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
