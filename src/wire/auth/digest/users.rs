//! Passwords that are not kept as such.

use std::collections::HashMap;
use std::fmt;

use super::{DigestAlgorithm, DigestUser};

/// The hash of a user's name, realm and password: what a server keeps instead of the password (`HA1`, as in the files
/// of Apache's `htdigest`).
///
/// Who has it can log in with it, in that realm: it is as secret as the password.
#[derive(Clone, PartialEq, Eq)]
pub struct UserDigest {
    algorithm: DigestAlgorithm,
    hex: String,
}

impl UserDigest {
    /// Of a password.
    ///
    /// ```
    /// use evloop::wire::auth::{DigestAlgorithm, UserDigest};
    ///
    /// let digest = UserDigest::new(DigestAlgorithm::Md5, "Mufasa", "http-auth@example.org", "Circle of Life");
    /// assert_eq!(digest.hex(), "3d78807defe7de2157e2b0b6573a855f");
    /// ```
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm, user: &str, realm: &str, password: &str) -> Self {
        let algorithm = algorithm.without_session();
        let hex = algorithm.hash(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()]);
        Self { algorithm, hex }
    }

    /// One that was made before. `None` if it is not of as many hexadecimal digits as the algorithm makes.
    #[must_use]
    pub fn from_hex(algorithm: DigestAlgorithm, hex: &str) -> Option<Self> {
        let algorithm = algorithm.without_session();
        let right = hex.len() == algorithm.digits() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        right.then(|| Self { algorithm, hex: hex.to_ascii_lowercase() })
    }

    /// The algorithm, of those without a session.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Its hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

/// Without the digits.
impl fmt::Debug for UserDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserDigest").field(&self.algorithm).finish()
    }
}

/// The users of a realm, and the hashes of their passwords.
#[derive(Clone, Debug)]
pub struct DigestUsers {
    realm: String,
    digests: HashMap<(String, DigestAlgorithm), UserDigest>,
    /// From a hash of a name to the name.
    names: HashMap<String, String>,
}

/// The algorithms with which passwords are hashed.
const FAMILIES: [DigestAlgorithm; 3] =
    [DigestAlgorithm::Md5, DigestAlgorithm::Sha256, DigestAlgorithm::Sha512_256];

impl DigestUsers {
    /// None yet.
    #[must_use]
    pub fn new(realm: impl Into<String>) -> Self {
        Self { realm: realm.into(), digests: HashMap::new(), names: HashMap::new() }
    }

    /// Adds a user, for all algorithms. The password is not kept.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        for algorithm in FAMILIES {
            let digest = UserDigest::new(algorithm, name, &self.realm, password);
            self.insert(name, digest);
        }
        self
    }

    /// Adds a user whose password was hashed before, for that algorithm. The realm must be the same.
    #[must_use]
    pub fn hashed(mut self, name: &str, digest: UserDigest) -> Self {
        self.insert(name, digest);
        self
    }

    fn insert(&mut self, name: &str, digest: UserDigest) {
        let algorithm = digest.algorithm;
        let hash = algorithm.hash(&[name.as_bytes(), self.realm.as_bytes()]);
        self.names.insert(hash, name.to_owned());
        self.digests.insert((name.to_owned(), algorithm), digest);
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The name and the hash for whoever this is.
    #[must_use]
    pub fn find(
        &self,
        user: &DigestUser,
        algorithm: DigestAlgorithm,
    ) -> Option<(String, UserDigest)> {
        let name = match user {
            DigestUser::Name(name) => name,
            DigestUser::Hash(hash) => self.names.get(hash)?,
        };
        let digest = self.digests.get(&(name.clone(), algorithm.without_session()))?;
        Some((name.clone(), digest.clone()))
    }
}
