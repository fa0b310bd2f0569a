//! Digest (RFC 7616): who knows a password proves it without sending it.

mod client;
mod credentials;
mod nonces;
mod server;
mod users;

pub use client::DigestChallenge;
pub use credentials::{DigestCredentials, DigestUser};
pub use server::{DigestRefusal, DigestRequest, DigestServer, DigestSettings};
pub use users::{DigestUsers, UserDigest};

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use super::{AuthFault, Challenge};

/// How digests are made. Those that end in `Sess` bind the password's hash to one session (RFC 7616 §3.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DigestAlgorithm {
    /// `MD5`, for clients that know nothing else.
    Md5,
    /// `MD5-sess`.
    Md5Sess,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Sess,
    /// `SHA-512-256`, which is SHA-512/256 of FIPS 180-4 and not a part of SHA-512.
    Sha512_256,
    /// `SHA-512-256-sess`.
    Sha512_256Sess,
}

/// What is protected besides the method and the target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Qop {
    /// Nothing (`auth`).
    Auth,
    /// The body (`auth-int`).
    AuthInt,
}

impl DigestAlgorithm {
    const ALL: [Self; 6] = [
        Self::Md5,
        Self::Md5Sess,
        Self::Sha256,
        Self::Sha256Sess,
        Self::Sha512_256,
        Self::Sha512_256Sess,
    ];

    /// Its name in challenges and credentials.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha512_256Sess => "SHA-512-256-sess",
        }
    }

    /// The one of this name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name().eq_ignore_ascii_case(name))
    }

    /// The same without `-sess`: passwords are hashed alike.
    #[must_use]
    pub fn without_session(self) -> Self {
        match self {
            Self::Md5 | Self::Md5Sess => Self::Md5,
            Self::Sha256 | Self::Sha256Sess => Self::Sha256,
            Self::Sha512_256 | Self::Sha512_256Sess => Self::Sha512_256,
        }
    }

    /// Whether it is one of those that end in `-sess`.
    #[must_use]
    pub fn has_session(self) -> bool {
        self != self.without_session()
    }

    /// The hash of these with colons between them, in lower-case hexadecimal digits.
    fn hash(self, parts: &[&[u8]]) -> String {
        match self.without_session() {
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha512_256 => of::<Sha512_256>(parts),
            _ => of::<Md5>(parts),
        }
    }

    /// How many digits a hash has.
    fn digits(self) -> usize {
        if self.without_session() == Self::Md5 { 32 } else { 64 }
    }
}

impl Qop {
    /// Its name in challenges and credentials.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt].into_iter().find(|each| each.name().eq_ignore_ascii_case(name))
    }
}

fn of<D: Digest>(parts: &[&[u8]]) -> String {
    let mut hasher = D::new();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect()
}

fn digit(nibble: u8) -> Option<char> {
    char::from_digit(u32::from(nibble), 16)
}

/// What a client that knows the password answers (RFC 7616 §3.4.1). Without a body `auth-int` protects an empty one.
fn response(
    credentials: &DigestCredentials,
    password: &UserDigest,
    method: &str,
    body: &[u8],
) -> String {
    let DigestCredentials { algorithm, nonce, cnonce, uri, .. } = credentials;
    let (nonce, cnonce) = (nonce.as_bytes(), cnonce.as_bytes());
    let a1 = if algorithm.has_session() {
        algorithm.hash(&[password.hex().as_bytes(), nonce, cnonce])
    } else {
        password.hex().to_owned()
    };
    let a2 = match credentials.qop {
        Some(Qop::AuthInt) => {
            let body = algorithm.hash(&[body]);
            algorithm.hash(&[method.as_bytes(), uri.as_bytes(), body.as_bytes()])
        }
        _ => algorithm.hash(&[method.as_bytes(), uri.as_bytes()]),
    };
    match credentials.qop {
        Some(qop) => {
            let count = credentials.count_as_written().as_bytes();
            let parts = [a1.as_bytes(), nonce, count, cnonce, qop.name().as_bytes(), a2.as_bytes()];
            algorithm.hash(&parts)
        }
        // RFC 2069, which clients still meet.
        None => algorithm.hash(&[a1.as_bytes(), nonce, a2.as_bytes()]),
    }
}
