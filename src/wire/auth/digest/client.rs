//! What a client makes of a challenge.

use super::{
    AuthFault, Challenge, DigestAlgorithm, DigestCredentials, DigestUser, Qop, UserDigest, response,
};

/// A challenge of a server (RFC 7616 §3.3), and how to answer it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DigestChallenge {
    /// Where to log in.
    pub realm: String,
    /// What the proof is made for.
    pub nonce: String,
    /// What the server wants to have back.
    pub opaque: Option<String>,
    /// How the proof is made: MD5 if nothing is said.
    pub algorithm: DigestAlgorithm,
    /// What may be protected; nothing in what RFC 2069 had.
    pub qop: Vec<Qop>,
    /// The last proof was right, but its nonce is too old: try again, and ask nobody.
    pub stale: bool,
    /// The server takes names as hashes.
    pub userhash: bool,
}

impl DigestChallenge {
    /// Reads one of the challenges of a reply.
    ///
    /// # Errors
    ///
    /// [`OtherScheme`](AuthFault::OtherScheme); [`Malformed`](AuthFault::Malformed) without realm or nonce;
    /// [`Unknown`](AuthFault::Unknown) for another algorithm, or if nothing is offered that is known.
    pub fn from_challenge(challenge: &Challenge) -> Result<Self, AuthFault> {
        if !challenge.scheme().eq_ignore_ascii_case("digest") {
            return Err(AuthFault::OtherScheme);
        }
        let is_true = |name| challenge.get(name).is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let required = |name| challenge.get(name).map(str::to_owned).ok_or(AuthFault::Malformed);
        let algorithm = challenge.get("algorithm").unwrap_or("MD5");
        let offered = challenge.get("qop");
        let qop: Vec<_> = offered
            .unwrap_or_default()
            .split(',')
            .filter_map(|name| Qop::from_name(name.trim()))
            .collect();
        if offered.is_some() && qop.is_empty() {
            return Err(AuthFault::Unknown);
        }
        Ok(Self {
            realm: required("realm")?,
            nonce: required("nonce")?,
            opaque: challenge.get("opaque").map(str::to_owned),
            algorithm: DigestAlgorithm::from_name(algorithm).ok_or(AuthFault::Unknown)?,
            qop,
            stale: is_true("stale"),
            userhash: is_true("userhash"),
        })
    }

    /// The value of `Authorization` for a request.
    ///
    /// `target` is what stands in the request line; `count` how often this nonce was used, this time included;
    /// `cnonce` is something nobody can guess, the same for all requests of a session where the algorithm has one. The
    /// body is protected if there is one and the server offers that; else not, unless it offers nothing else.
    ///
    /// # Errors
    ///
    /// [`BadValue`](AuthFault::BadValue) for what cannot be sent.
    pub fn answer(
        &self,
        user: &str,
        password: &str,
        request: (&str, &str, Option<&[u8]>),
        cnonce: &str,
        count: u32,
    ) -> Result<String, AuthFault> {
        let (method, target, body) = request;
        let qop = match body {
            Some(_) if self.qop.contains(&Qop::AuthInt) => Some(Qop::AuthInt),
            _ if self.qop.contains(&Qop::Auth) => Some(Qop::Auth),
            _ => self.qop.first().copied(),
        };
        let name = if self.userhash {
            DigestUser::Hash(self.algorithm.hash(&[user.as_bytes(), self.realm.as_bytes()]))
        } else {
            DigestUser::Name(user.to_owned())
        };
        let mut credentials = DigestCredentials::new(name, self.algorithm, qop);
        credentials.realm.clone_from(&self.realm);
        credentials.nonce.clone_from(&self.nonce);
        credentials.opaque.clone_from(&self.opaque);
        credentials.uri = target.to_owned();
        credentials.cnonce = cnonce.to_owned();
        credentials.set_count(count);
        let password = UserDigest::new(self.algorithm, user, &self.realm, password);
        credentials.response = response(&credentials, &password, method, body.unwrap_or_default());
        credentials.to_value()
    }
}
