//! Which bytes after a head are its body (RFC 9112 §6).
//!
//! The head says how the body ends: there is none, after so many bytes, with the last chunk, or, for
//! replies only, with the connection. A [`BodyDecoder`] knows which, and tells of each run of bytes
//! whether it is data.

use super::{ChunkDecoder, ChunkLimits, Fault, Fields, Framing, Piece, ResponseFraming};

/// Tells the bytes of a body from framing and from what comes after it.
///
/// Used as [`ChunkDecoder`] is, whatever the framing. Small: what a chunked body needs is elsewhere.
///
/// ```
/// use evloop::wire::{BodyDecoder, Piece};
///
/// let mut body = BodyDecoder::length(5);
/// assert_eq!(body.next(b"hel"), Ok(Piece::Data(3)));
/// assert_eq!(body.next(b""), Ok(Piece::More));
/// assert_eq!(body.next(b"loGET /next"), Ok(Piece::Data(2)));
/// assert_eq!(body.next(b"GET /next"), Ok(Piece::End(0)));
/// assert!(body.is_done());
/// ```
#[derive(Debug)]
pub struct BodyDecoder(Kind);

#[derive(Debug)]
enum Kind {
    /// So many bytes are to come.
    Length(u64),
    Chunked(Box<ChunkDecoder>),
    /// All that comes, until nothing more comes.
    UntilEnd,
    /// The end of the input came where it may not.
    Cut,
}

impl BodyDecoder {
    /// For a head that says so.
    #[must_use]
    pub fn from_framing(framing: Framing, limits: ChunkLimits) -> Self {
        match framing {
            Framing::None => Self::none(),
            Framing::Length(length) => Self::length(length),
            Framing::Chunked => Self::chunked(limits),
        }
    }

    /// For a response's head that says so, to the request that was made.
    #[must_use]
    pub fn from_response(framing: ResponseFraming, limits: ChunkLimits) -> Self {
        match framing {
            ResponseFraming::None => Self::none(),
            ResponseFraming::Length(length) => Self::length(length),
            ResponseFraming::Chunked => Self::chunked(limits),
            ResponseFraming::UntilEnd => Self::until_end(),
        }
    }

    /// No body. Complete at once.
    #[must_use]
    pub fn none() -> Self {
        Self::length(0)
    }

    /// So many bytes.
    #[must_use]
    pub fn length(length: u64) -> Self {
        Self(Kind::Length(length))
    }

    /// In chunks.
    #[must_use]
    pub fn chunked(limits: ChunkLimits) -> Self {
        Self(Kind::Chunked(Box::new(ChunkDecoder::new(limits))))
    }

    /// All that comes until the connection ends; for replies only (RFC 9112 §6.3, the last two rules).
    ///
    /// # Sharp edges
    ///
    /// Such a body cannot be told from one that was cut short. With TLS, whoever calls
    /// [`end_of_input`](Self::end_of_input) can know: an end without `close_notify` is not one.
    #[must_use]
    pub fn until_end() -> Self {
        Self(Kind::UntilEnd)
    }

    /// What the first bytes of `input` are. The next call gets the bytes after those.
    ///
    /// [`End(0)`](Piece::End) is all it says once the body is complete: also for an empty input, so that
    /// nobody waits for a byte that will not come.
    ///
    /// # Errors
    ///
    /// As [`ChunkDecoder::next`]; [`Fault::Incomplete`] once [`end_of_input`](Self::end_of_input) said so.
    #[inline]
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, Fault> {
        match &mut self.0 {
            Kind::Length(0) => Ok(Piece::End(0)),
            Kind::Chunked(decoder) => decoder.next(input),
            Kind::Cut => Err(Fault::Incomplete),
            _ if input.is_empty() => Ok(Piece::More),
            Kind::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64; // `taken` is at most `left`
                Ok(Piece::Data(taken))
            }
            Kind::UntilEnd => Ok(Piece::Data(input.len())),
        }
    }

    /// Nothing more will come.
    ///
    /// # Errors
    ///
    /// [`Fault::Incomplete`] if something should have. A fault that was there before stays.
    ///
    /// ```
    /// use evloop::wire::{BodyDecoder, Fault};
    ///
    /// assert_eq!(BodyDecoder::length(5).end_of_input(), Err(Fault::Incomplete));
    /// assert_eq!(BodyDecoder::until_end().end_of_input(), Ok(()));
    /// ```
    pub fn end_of_input(&mut self) -> Result<(), Fault> {
        match &mut self.0 {
            Kind::Length(0) => return Ok(()),
            Kind::UntilEnd => {
                self.0 = Kind::Length(0);
                return Ok(());
            }
            Kind::Chunked(decoder) => {
                // With no input it says what it is: complete, failed, or waiting.
                if let Piece::End(_) = decoder.next(&[])? {
                    return Ok(());
                }
            }
            Kind::Length(_) | Kind::Cut => {}
        }
        self.0 = Kind::Cut;
        Err(Fault::Incomplete)
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Kind::Length(left) => *left == 0,
            Kind::Chunked(decoder) => decoder.is_done(),
            Kind::UntilEnd | Kind::Cut => false,
        }
    }

    /// How many bytes of data are certain to come: for a body in chunks, the rest of this one.
    #[must_use]
    pub fn announced(&self) -> u64 {
        match &self.0 {
            Kind::Length(left) => *left,
            Kind::Chunked(decoder) => decoder.announced(),
            Kind::UntilEnd | Kind::Cut => 0,
        }
    }

    /// How many bytes of data are still to come, where that is known: zero for a complete body, `None`
    /// for one in chunks or until the end.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match &self.0 {
            Kind::Length(left) => Some(*left),
            Kind::Chunked(decoder) if decoder.is_done() => Some(0),
            _ => None,
        }
    }

    /// The fields that came after the last chunk; none for other bodies.
    #[must_use]
    pub fn trailers(&self) -> Option<&Fields> {
        match &self.0 {
            Kind::Chunked(decoder) => Some(decoder.trailers()),
            _ => None,
        }
    }

    /// Takes the fields that came after the last chunk; no fields for other bodies.
    #[must_use]
    pub fn take_trailers(&mut self) -> Fields {
        match &mut self.0 {
            Kind::Chunked(decoder) => decoder.take_trailers(),
            _ => Fields::default(),
        }
    }
}
