//! What is wrong with credentials or a challenge.

use std::{error, fmt};

use crate::error::{Error, ErrorKind};

/// Why credentials or a challenge cannot be read, or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthFault {
    /// It is of another scheme.
    OtherScheme,
    /// It is not what RFC 9110 §11 or that of the scheme allows, or lacks something.
    Malformed,
    /// What is encoded there is not UTF-8, or has a control byte in it.
    BadText,
    /// What is to be written cannot be: a control byte, a colon in the name of a user, a realm that is too long.
    BadValue,
    /// A digest with an algorithm or a quality of protection that nobody here knows.
    Unknown,
}

impl fmt::Display for AuthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherScheme => "the credentials are of another scheme",
            Self::Malformed => "the credentials are malformed",
            Self::BadText => "the credentials are no text",
            Self::BadValue => "a part of the credentials cannot be written",
            Self::Unknown => "the algorithm of the digest is not known",
        })
    }
}

impl error::Error for AuthFault {}

/// An error of the kind [`Protocol`](ErrorKind::Protocol), with the fault as its source; of
/// [`InvalidInput`](ErrorKind::InvalidInput) for what cannot be written.
impl From<AuthFault> for Error {
    fn from(fault: AuthFault) -> Self {
        let kind = match fault {
            AuthFault::BadValue => ErrorKind::InvalidInput,
            _ => ErrorKind::Protocol,
        };
        Self::caused(kind, "logging in", Box::new(fault))
    }
}
