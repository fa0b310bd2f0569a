//! What is wrong with a cookie that is to be set.

use std::{error, fmt};

use crate::error::{Error, ErrorKind};

/// Why a cookie cannot be set: no client would keep it, or not as the one that it was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CookieFault {
    /// The name is no token: empty, or with a space, `=`, `;` … in it.
    BadName,
    /// The value has a byte that may be in none: white space, `"`, `,`, `;`, `\`, a control, or what is not ASCII.
    BadValue,
    /// The path does not begin with a slash, or has `;` or a control byte in it.
    BadPath,
    /// The domain is none.
    BadDomain,
    /// It needs [`secure`](super::SetCookie::secure), since its name begins with `__Secure-` or `__Host-`, it is
    /// [`SameSite::None`](super::SameSite::None), or it is partitioned.
    NotSecure,
    /// Its name begins with `__Host-`, and it has a domain, or a path that is not `/`.
    NotOfHost,
    /// Name and value have more than 4096 bytes, or path or domain more than 1024.
    TooLong,
}

impl fmt::Display for CookieFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadName => "the cookie's name is malformed",
            Self::BadValue => "the cookie's value has a byte that it cannot have",
            Self::BadPath => "the cookie's path is malformed",
            Self::BadDomain => "the cookie's domain is malformed",
            Self::NotSecure => "the cookie must be secure",
            Self::NotOfHost => "the cookie is for one host, and its path is the root",
            Self::TooLong => "the cookie is too long",
        })
    }
}

impl error::Error for CookieFault {}

/// An error of the kind [`InvalidInput`](ErrorKind::InvalidInput), with the fault as its source.
impl From<CookieFault> for Error {
    fn from(fault: CookieFault) -> Self {
        Self::caused(ErrorKind::InvalidInput, "setting a cookie", Box::new(fault))
    }
}
