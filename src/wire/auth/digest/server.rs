//! The server's side: asking, and looking whether the answer is right.

use std::fmt;
use std::time::Duration;

use super::nonces::{Nonces, Use};
use super::{
    AuthFault, Challenge, DigestAlgorithm, DigestCredentials, DigestUser, Qop, UserDigest, response,
};

/// How a server asks for digests.
///
/// ```
/// use std::time::Duration;
/// use evloop::wire::auth::{DigestAlgorithm, DigestSettings};
///
/// let settings = DigestSettings {
///     algorithms: vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5],
///     lifetime: Duration::from_secs(60),
///     ..DigestSettings::new("the attic")
/// };
/// assert_eq!(settings.nonces, 4096);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestSettings {
    /// What people are shown, and what passwords are hashed with.
    pub realm: String,
    /// What is offered, what is wanted most first: SHA-256, then MD5, which is all that some clients know.
    pub algorithms: Vec<DigestAlgorithm>,
    /// Whether bodies may be protected too, where they are looked at; off.
    pub auth_int: bool,
    /// How long a nonce is good; 5 minutes. Clients go on with the next one, and ask nobody.
    pub lifetime: Duration,
    /// How many nonces that are in use are remembered; 4096, about 60 bytes each. Should there be more,
    /// the oldest end early.
    pub nonces: usize,
    /// What clients are to send back, to tell several servers apart; nothing.
    pub opaque: Option<String>,
    /// Whether names may come as hashes; off.
    pub userhash: bool,
    /// Whether a nonce is good only for the address that has asked for it; off. Clients behind some proxies have
    /// several.
    pub bind_address: bool,
    /// Whether it is good only for the path that was asked for; off. Clients then log in again for each path.
    pub bind_path: bool,
}

impl DigestSettings {
    /// The default ones.
    #[must_use]
    pub fn new(realm: impl Into<String>) -> Self {
        Self {
            realm: realm.into(),
            algorithms: vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5],
            auth_int: false,
            lifetime: Duration::from_secs(300),
            nonces: 4096,
            opaque: None,
            userhash: false,
            bind_address: false,
            bind_path: false,
        }
    }
}

/// What is asked for, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct DigestRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// What stands in the request line.
    pub target: &'a str,
    /// Where it comes from, in whatever form; looked at if nonces are [bound](DigestSettings::bind_address) to it.
    pub client: &'a [u8],
    /// The body, if it is there; without it `auth-int` is neither offered nor taken.
    pub body: Option<&'a [u8]>,
}

/// Why credentials are not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DigestRefusal {
    /// There is no such user, or the password is another.
    Wrong,
    /// They are right, but the nonce is too old, or of another server, address or path.
    Stale,
    /// They are right, but were used before: somebody may be repeating what they have heard.
    Replayed,
    /// They are for another realm, target or server, or made in a way that was not offered.
    Mismatch,
}

impl DigestRefusal {
    /// Whether the client is told that it may try again without asking anybody.
    #[must_use]
    pub fn is_stale(self) -> bool {
        matches!(self, Self::Stale | Self::Replayed)
    }
}

impl fmt::Display for DigestRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong => "the user or the password is wrong",
            Self::Stale => "the nonce is too old",
            Self::Replayed => "the credentials were used before",
            Self::Mismatch => "the credentials are for something else",
        })
    }
}

impl std::error::Error for DigestRefusal {}

/// Asks clients for digests, and checks what they answer (`MHD_digest_auth_check3`).
///
/// Time is passed in, as what has passed since some moment that is the same for all calls; randomness too. Memory is taken
/// for nonces with which somebody has logged in, and no others.
///
/// ```
/// use std::time::Duration;
/// use evloop::wire::auth::{
///     Challenge, DigestChallenge, DigestCredentials, DigestRequest, DigestServer, DigestSettings, DigestUsers,
/// };
///
/// let users = DigestUsers::new("attic").user("Mufasa", "Circle of Life");
/// // From the system's source of randomness, in earnest.
/// let mut server = DigestServer::new(DigestSettings::new("attic"), [7; 32])?;
/// let request = DigestRequest { method: "GET", target: "/", client: b"", body: None };
/// let now = Duration::from_secs(1);
///
/// let asked = server.challenges(now, [9; 16], &request, false);
/// let challenge = DigestChallenge::from_challenge(&Challenge::parse_all(&asked[0])?[0])?;
/// let answer = challenge.answer("Mufasa", "Circle of Life", ("GET", "/", None), "0a4f113b", 1)?;
///
/// let credentials = DigestCredentials::parse(&answer)?;
/// let found = users.find(&credentials.user, credentials.algorithm);
/// let digest = found.as_ref().map(|(_, digest)| digest);
/// assert_eq!(server.check(now, &request, &credentials, digest), Ok(()));
/// assert!(server.check(now, &request, &credentials, digest).is_err(), "it was used before");
/// # Ok::<(), evloop::wire::auth::AuthFault>(())
/// ```
pub struct DigestServer {
    settings: DigestSettings,
    nonces: Nonces,
    /// What is compared with where there is no such user, so that this takes as long.
    nobody: UserDigest,
}

impl DigestServer {
    /// With a secret that nobody knows: 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`BadValue`](AuthFault::BadValue) if there is no algorithm, or the realm or the opaque value cannot be sent.
    pub fn new(settings: DigestSettings, secret: [u8; 32]) -> Result<Self, AuthFault> {
        let nonces = Nonces::new(secret, settings.nonces, settings.lifetime);
        let nobody = UserDigest::new(DigestAlgorithm::Sha512_256, "", &settings.realm, "");
        let server = Self { settings, nonces, nobody };
        if server.settings.algorithms.is_empty() {
            return Err(AuthFault::BadValue);
        }
        for algorithm in &server.settings.algorithms {
            server.challenge(*algorithm, "", false, false).to_value()?;
        }
        Ok(server)
    }

    /// How it asks.
    #[must_use]
    pub fn settings(&self) -> &DigestSettings {
        &self.settings
    }

    /// How many nonces are in use.
    #[must_use]
    pub fn nonces_in_use(&self) -> usize {
        self.nonces.len()
    }

    /// The values of `WWW-Authenticate`, one for each algorithm, for a reply of 401. `random` is new for each call.
    #[must_use]
    pub fn challenges(
        &self,
        now: Duration,
        random: [u8; 16],
        request: &DigestRequest<'_>,
        stale: bool,
    ) -> Vec<String> {
        let nonce = self.nonces.make(now, random, &self.bound(request));
        let protects_body = self.settings.auth_int && request.body.is_some();
        let algorithms = self.settings.algorithms.iter();
        // All that is in them was looked at before.
        let value = |algorithm: &DigestAlgorithm| {
            self.challenge(*algorithm, &nonce, protects_body, stale).to_value().ok()
        };
        algorithms.filter_map(value).collect()
    }

    fn challenge(
        &self,
        algorithm: DigestAlgorithm,
        nonce: &str,
        protects_body: bool,
        stale: bool,
    ) -> Challenge {
        let qop = if protects_body { "auth, auth-int" } else { "auth" };
        let mut challenge = Challenge::new("Digest")
            .parameter("realm", &self.settings.realm)
            .parameter("qop", qop)
            .plain_parameter("algorithm", algorithm.name())
            .parameter("nonce", nonce);
        if let Some(opaque) = &self.settings.opaque {
            challenge = challenge.parameter("opaque", opaque);
        }
        challenge = challenge.plain_parameter("charset", "UTF-8");
        if self.settings.userhash {
            challenge = challenge.plain_parameter("userhash", "true");
        }
        if stale {
            challenge = challenge.plain_parameter("stale", "true");
        }
        challenge
    }

    /// Whether credentials are right, given the hash for their user and algorithm; `None` if there is no such user.
    /// If they are, they are right this once.
    ///
    /// # Errors
    ///
    /// See [`DigestRefusal`].
    pub fn check(
        &mut self,
        now: Duration,
        request: &DigestRequest<'_>,
        credentials: &DigestCredentials,
        digest: Option<&UserDigest>,
    ) -> Result<(), DigestRefusal> {
        let settings = &self.settings;
        let qop_is_right = match (credentials.qop, request.body) {
            (Some(Qop::Auth), _) => true,
            (Some(Qop::AuthInt), Some(_)) => settings.auth_int,
            _ => false,
        };
        if !qop_is_right
            || !settings.algorithms.contains(&credentials.algorithm)
            || credentials.realm != settings.realm
            || credentials.opaque != settings.opaque
            || matches!(credentials.user, DigestUser::Hash(_)) && !settings.userhash
            || credentials.uri != request.target && credentials.uri != origin_form(request.target)
        {
            return Err(DigestRefusal::Mismatch);
        }
        let usable = digest.filter(|of| of.algorithm() == credentials.algorithm.without_session());
        let expected = response(
            credentials,
            usable.unwrap_or(&self.nobody),
            request.method,
            request.body.unwrap_or_default(),
        );
        let given = credentials.response.to_ascii_lowercase();
        if !super::super::same(expected, given) || usable.is_none() {
            return Err(DigestRefusal::Wrong);
        }
        // Only who knows the password learns whether a nonce is good, and has one remembered.
        let path = credentials.uri.split('?').next().unwrap_or_default();
        let bound = bound(&self.settings, request.client, path);
        match self.nonces.take(now, &credentials.nonce, &bound, credentials.count) {
            Use::Fresh => Ok(()),
            Use::Stale => Err(DigestRefusal::Stale),
            Use::Replayed => Err(DigestRefusal::Replayed),
        }
    }

    fn bound<'a>(&'a self, request: &DigestRequest<'a>) -> Vec<&'a [u8]> {
        let path = origin_form(request.target).split('?').next().unwrap_or_default();
        bound(&self.settings, request.client, path)
    }
}

impl fmt::Debug for DigestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestServer")
            .field("settings", &self.settings)
            .field("nonces_in_use", &self.nonces.len())
            .finish_non_exhaustive()
    }
}

/// What nonces are good for.
fn bound<'a>(settings: &'a DigestSettings, client: &'a [u8], path: &'a str) -> Vec<&'a [u8]> {
    let client = if settings.bind_address { client } else { b"" };
    let path = if settings.bind_path { origin_form(path) } else { "" };
    vec![settings.realm.as_bytes(), client, path.as_bytes()]
}

/// `/path?query` of a target that has a scheme and a host in front of it.
fn origin_form(target: &str) -> &str {
    let Some((_, rest)) = target.split_once("://") else { return target };
    if target.starts_with('/') {
        return target;
    }
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}
