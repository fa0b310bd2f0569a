//! Content codings, gzip and deflate (RFC 9110 §8.4, RFC 1950–1952). Feature `compress`.
//!
//! [`Encoder`] packs what it is given, piece by piece; [`Decoder`] unpacks, and lets nobody fill memory with it: what comes
//! out is bounded, in all and by what came in. Neither knows a socket.
//!
//! ```
//! use evloop::wire::coding::{Coding, Decoder, DecodeLimits, Encoder};
//!
//! let mut packed = Vec::new();
//! let mut encoder = Encoder::new(Coding::Gzip, 6);
//! encoder.update(b"hello, ", &mut packed);
//! encoder.update(b"hello", &mut packed);
//! encoder.finish(&mut packed);
//!
//! let mut decoder = Decoder::new(Coding::Gzip, DecodeLimits::default());
//! let (mut rest, mut text) = (&packed[..], Vec::new());
//! loop {
//!     let step = decoder.decode(rest, &mut text)?;
//!     rest = &rest[step.used..];
//!     if !step.more {
//!         break;
//!     }
//! }
//! decoder.finish()?;
//! assert_eq!(text, b"hello, hello");
//! # Ok::<(), evloop::wire::coding::CodingFault>(())
//! ```
//!
//! # Sharp edges
//!
//! * **An encoder is 300 KiB of memory**, whatever it packs, and a decoder 45 KiB. Keep one, and
//!   [`finish`](Encoder::finish) makes it fit for the next.
//! * **`deflate` is the zlib format**, with a header and a checksum (RFC 9110 §8.4.1.2). Some send it without: the decoder
//!   takes both, and the encoder makes what is right.
//! * **Text of a user and a secret of the server's in one packed reply** tell the length of what they have in common
//!   to whoever sees how many bytes pass, over TLS as well (BREACH). Do not pack such pages.

mod check;
mod decoder;
mod encoder;
mod gzip;

use std::{error, fmt};

use super::Fault;
use crate::{Error, ErrorKind};

pub use decoder::{DecodeLimits, Decoded, Decoder};
pub use encoder::Encoder;

/// A content coding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Coding {
    /// `gzip` (RFC 1952).
    Gzip,
    /// `deflate`: the zlib format (RFC 1950).
    Deflate,
}

impl Coding {
    /// All of them, the better first.
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Deflate];

    /// Its name in fields.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The coding of that name, in any case; `x-gzip` is `gzip` (RFC 9110 §8.4.1.3).
    ///
    /// ```
    /// use evloop::wire::coding::Coding;
    ///
    /// assert_eq!(Coding::named(b"GZIP"), Some(Coding::Gzip));
    /// assert_eq!(Coding::named(b"br"), None);
    /// ```
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.as_str().as_bytes()))
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with what is to be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodingFault {
    /// It does not begin as the coding has it, or asks for what nobody here has (a dictionary).
    BadHeader,
    /// The compressed data makes no sense.
    BadData,
    /// What came out is not what went in, by its checksum or its length.
    BadChecksum,
    /// Something stands behind the end.
    TrailingData,
    /// It ended in the middle.
    Incomplete,
    /// More came out than [`DecodeLimits::size`].
    TooLarge,
    /// More came out of what went in than [`DecodeLimits::ratio`] allows.
    TooDense,
    /// It has more members, or longer headers, than anybody needs.
    TooMuchFraming,
}

impl fmt::Display for CodingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadHeader => "the header of the packed data is malformed",
            Self::BadData => "the packed data is malformed",
            Self::BadChecksum => "the packed data has another checksum than it says",
            Self::TrailingData => "there is something behind the packed data",
            Self::Incomplete => "the packed data is incomplete",
            Self::TooLarge => "the packed data is too large",
            Self::TooDense => "the packed data expands beyond all bounds",
            Self::TooMuchFraming => "the packed data is mostly framing",
        })
    }
}

impl error::Error for CodingFault {}

/// An error of the kind [`Protocol`](ErrorKind::Protocol), with the fault as its source.
impl From<CodingFault> for Error {
    fn from(fault: CodingFault) -> Self {
        Self::caused(ErrorKind::Protocol, "unpacking a body", Box::new(fault))
    }
}

/// What it is as a fault of a message.
impl From<CodingFault> for Fault {
    fn from(fault: CodingFault) -> Self {
        match fault {
            CodingFault::TooLarge => Self::BodyTooLarge,
            CodingFault::TooDense => Self::BodyTooDense,
            CodingFault::Incomplete
            | CodingFault::BadHeader
            | CodingFault::BadData
            | CodingFault::BadChecksum
            | CodingFault::TrailingData
            | CodingFault::TooMuchFraming => Self::BadContentCoding,
        }
    }
}
