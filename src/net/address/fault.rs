//! Why a text is no address, and where in it.

use std::borrow::Cow;
use std::{error, fmt};

use crate::{Error, ErrorKind};

/// Why a text is no address, and where in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) why: Why,
    /// In bytes.
    pub(super) at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    Empty,
    Scheme,
    Slash,
    NoPort,
    PortEmpty,
    PortDigits,
    PortRange,
    Brackets,
    Unclosed,
    AfterBracket,
    NotIpv6,
    NotIpv4,
    Zone,
    ZoneLength,
    NonAscii,
    Character(char),
    Hyphen,
    LabelEmpty,
    LabelLength,
    NameLength,
    PathEmpty,
    PathLength,
    PathNul,
    PathRelative,
}

impl Why {
    fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Empty => "there is nothing",
            Self::Scheme => "the scheme is none of tcp, udp, http and https",
            Self::Slash => "a path needs `unix:` before it, and has no place behind a host",
            Self::NoPort => "the port is missing",
            Self::PortEmpty => "the port is empty",
            Self::PortDigits => "the port is not a number",
            Self::PortRange => "the port is greater than 65535",
            Self::Brackets => {
                "an IPv6 address goes into brackets, and only there are several colons"
            }
            Self::Unclosed => "the bracket is not closed",
            Self::AfterBracket => "a port, with a colon, is all that may follow the bracket",
            Self::NotIpv6 => "what is in brackets is not an IPv6 address",
            Self::NotIpv4 => "the name ends in a number and is not an IPv4 address",
            Self::Zone => "the zone is not the name or the number of an interface",
            Self::ZoneLength => "the zone is longer than 15 bytes",
            Self::NonAscii => "a name with other than ASCII letters must be in its xn-- form",
            Self::Character(c) => return format!("{c:?} is not part of a host's name").into(),
            Self::Hyphen => "the name begins with a hyphen",
            Self::LabelEmpty => "a part of the name is empty",
            Self::LabelLength => "a part of the name is longer than 63 bytes",
            Self::NameLength => "the name is longer than 253 bytes",
            Self::PathEmpty => "the path of the Unix socket is empty",
            Self::PathLength => "the path of the Unix socket is longer than 107 bytes",
            Self::PathNul => "the path of the Unix socket has a NUL in it",
            Self::PathRelative => "two slashes after `unix:` must be followed by a third",
        })
    }

    pub(super) fn at(self, at: usize) -> Fault {
        Fault { why: self, at }
    }
}

impl Fault {
    #[cold]
    pub(super) fn into_error(self) -> Error {
        Error::caused(ErrorKind::InvalidInput, "reading an address", Box::new(self))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}", self.why.text(), self.at)
    }
}

impl error::Error for Fault {}
