use std::{error, fmt};

use crate::error::{Error, ErrorKind};

/// Why something is not a header of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyFault {
    /// It does not begin as one of either version does.
    NoHeader,
    /// A line of version 1 that is none, or has a control byte in it.
    BadLine,
    /// A line of version 1 that has no end within 107 bytes.
    LineTooLong,
    /// An address or a port in a line of version 1 that is none.
    BadAddress,
    /// A version that is not 2, behind the signature of that.
    BadVersion,
    /// A command that is neither `LOCAL` nor `PROXY`.
    BadCommand,
    /// A family of addresses that there is not.
    BadFamily,
    /// What is proxied are datagrams, and this is a connection.
    Datagrams,
    /// The length leaves no room for the addresses.
    TooShort,
    /// The length is beyond [what is taken](super::ProxyLimits::length).
    TooLong,
    /// What stands behind the addresses cannot be divided into type, length and value, or a value has a length it must
    /// not have, or there are more of them [than are taken](super::ProxyLimits::tlvs).
    BadTlv,
    /// The checksum is not that of the header: bytes were lost or changed on the way.
    BadChecksum,
    /// The input ended in the middle.
    Incomplete,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "there is no header of the PROXY protocol",
            Self::BadLine => "the line of the PROXY protocol is malformed",
            Self::LineTooLong => "the line of the PROXY protocol is too long",
            Self::BadAddress => "an address of the PROXY protocol is malformed",
            Self::BadVersion => "the version of the PROXY protocol is not known",
            Self::BadCommand => "the command of the PROXY protocol is not known",
            Self::BadFamily => "the address family of the PROXY protocol is not known",
            Self::Datagrams => "the PROXY protocol tells of datagrams, on a connection",
            Self::TooShort => "the header of the PROXY protocol has no room for its addresses",
            Self::TooLong => "the header of the PROXY protocol is too long",
            Self::BadTlv => "an extension of the PROXY protocol is malformed",
            Self::BadChecksum => "the checksum of the PROXY protocol is wrong",
            Self::Incomplete => "the header of the PROXY protocol is incomplete",
        })
    }
}

impl error::Error for ProxyFault {}

/// An error of the kind [`Protocol`](ErrorKind::Protocol), with the fault as its source.
impl From<ProxyFault> for Error {
    fn from(fault: ProxyFault) -> Self {
        Self::caused(
            ErrorKind::Protocol,
            "reading or writing a header of the PROXY protocol",
            Box::new(fault),
        )
    }
}
