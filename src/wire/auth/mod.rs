//! Log-ins (RFC 9110 §11): Basic (RFC 7617), Bearer (RFC 6750), Digest (RFC 7616). Feature `auth`.
//!
//! What a server asks with, what a client answers, and whether that is right. Time and randomness are passed in.
//!
//! ```
//! use evloop::wire::auth::{BasicCredentials, Challenge, bearer_token, same};
//!
//! let challenge = Challenge::basic("the attic").to_value()?;
//! assert_eq!(challenge, r#"Basic realm="the attic", charset="UTF-8""#);
//!
//! let credentials = BasicCredentials::parse("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")?;
//! assert_eq!(credentials.user, "Aladdin");
//! assert!(same(&credentials.password, "open sesame"));
//!
//! assert_eq!(bearer_token("Bearer mF_9.B5f-4.1JqM")?, "mF_9.B5f-4.1JqM");
//! # Ok::<(), evloop::wire::auth::AuthFault>(())
//! ```
//!
//! # Sharp edges
//!
//! * **Basic and Bearer send the secret itself**: over TLS only. Digest does not, but who can change what is under
//!   way can ask for Basic instead.
//! * **Compare secrets with [`same`]**: `==` takes longer the more of them is right.

mod basic;
mod bearer;
mod challenge;
mod digest;
mod fault;
mod grammar;

pub use basic::BasicCredentials;
pub use bearer::bearer_token;
pub use challenge::Challenge;
pub use digest::{
    DigestAlgorithm, DigestChallenge, DigestCredentials, DigestRefusal, DigestRequest,
    DigestServer, DigestSettings, DigestUser, DigestUsers, Qop, UserDigest,
};
pub use fault::AuthFault;

use sha2::{Digest as _, Sha256};

/// Whether two secrets are the same, in a time that depends on their lengths alone.
///
/// ```
/// use evloop::wire::auth::same;
///
/// assert!(same("open sesame", "open sesame"));
/// assert!(!same("open sesame", "open"));
/// ```
#[must_use]
pub fn same(a: impl AsRef<[u8]>, b: impl AsRef<[u8]>) -> bool {
    // Of hashes nobody can guess how much of them is right, and they are equally long.
    let (a, b) = (Sha256::digest(a.as_ref()), Sha256::digest(b.as_ref()));
    let different = a.iter().zip(b.iter()).fold(0, |different, (a, b)| different | (a ^ b));
    std::hint::black_box(different) == 0
}

/// The scheme of a value of `Authorization`, and what stands behind it. The scheme is to be compared in any case.
///
/// ```
/// use evloop::wire::auth::scheme;
///
/// assert_eq!(scheme("Basic  YTpi"), Some(("Basic", "YTpi")));
/// assert_eq!(scheme("=x"), None);
/// ```
#[must_use]
pub fn scheme(value: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = grammar::token(value.trim_matches([' ', '\t']))?;
    (rest.is_empty() || rest.starts_with(' ')).then(|| (scheme, rest.trim_start_matches(' ')))
}

/// What stands behind this scheme.
fn behind<'a>(value: &'a str, wanted: &str) -> Result<&'a str, AuthFault> {
    match scheme(value) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(wanted) => Ok(rest),
        Some(_) => Err(AuthFault::OtherScheme),
        None => Err(AuthFault::Malformed),
    }
}
