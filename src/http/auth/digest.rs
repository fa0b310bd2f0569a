//! Digest: whoever knows the password, and does not send it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};

use super::judging::{Refusal, Way, judge};
use crate::http::{Reply, Request};
use crate::wire::auth::{
    DigestAlgorithm, DigestCredentials, DigestRequest, DigestServer, DigestSettings, DigestUser,
    DigestUsers, UserDigest,
};
use crate::{Error, ErrorKind, EvLoop, Result};

/// Asks for the proof that a password is known (RFC 7616). See the [module](super), and for what can be set
/// [`DigestSettings`].
///
/// Where bodies are protected too (`auth-int`), that is offered and taken where the body is there: in handlers of
/// routes that gather it, and for requests without one. What has a body in front of a guard is protected without it.
#[derive(Clone)]
#[must_use]
pub struct Digest {
    inner: Rc<Inner>,
}

type Find = dyn Fn(&DigestUser, DigestAlgorithm) -> Option<(String, UserDigest)>;

struct Inner {
    find: Box<Find>,
    server: RefCell<DigestServer>,
    /// The first moment at which it was asked.
    since: Cell<Option<Instant>>,
}

impl Digest {
    /// For these users. Their realm must be that of the settings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if realm or opaque value cannot be sent, there is no algorithm, or the users are
    /// of another realm; [`ErrorKind::Io`] if the system has no randomness to give.
    pub fn new(settings: DigestSettings, users: DigestUsers) -> Result<Self> {
        if users.realm() != settings.realm {
            let cause = "the users are of another realm";
            return Err(Error::caused(ErrorKind::InvalidInput, SETTING_UP, cause.into()));
        }
        Self::looking_up(settings, move |user, algorithm| users.find(user, algorithm))
    }

    /// Has a closure look users up: their names, which it finds by a hash as well if those are
    /// [taken](DigestSettings::userhash), and the hashes of their passwords.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn looking_up(
        settings: DigestSettings,
        find: impl Fn(&DigestUser, DigestAlgorithm) -> Option<(String, UserDigest)> + 'static,
    ) -> Result<Self> {
        let server = RefCell::new(DigestServer::new(settings, random()?)?);
        let inner = Inner { find: Box::new(find), server, since: Cell::new(None) };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Lets a request in: its user is known then, and its reply comes back. Else it is answered, with 401, and
    /// `None` comes.
    ///
    /// With 500 if the system has no randomness for a nonce: never is one used that could be guessed.
    pub fn check(&self, ev: &mut EvLoop, request: &mut Request, reply: Reply) -> Option<Reply> {
        judge(&[self], ev, request, reply)
    }

    /// For [`Routes::before`](crate::http::Routes::before).
    pub fn guard(self) -> impl FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply> + 'static {
        move |ev, request, reply| self.check(ev, request, reply)
    }

    /// The time of the machine in `wire`, which only wants it to go on.
    fn now(&self, ev: &EvLoop) -> Duration {
        let now = ev.now();
        let since = self.inner.since.get().unwrap_or(now);
        self.inner.since.set(Some(since));
        now.saturating_duration_since(since)
    }
}

const SETTING_UP: &str = "setting up a log-in";

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // Early after boot there is none: that is an error rather than a loop that stands still.
        match getrandom(rest, GetRandomFlags::NONBLOCK) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::os(ErrorKind::Io, SETTING_UP, errno.into())),
        }
    }
    Ok(bytes)
}

/// The body, if it is known to be there: in hooks, and where it is streamed, it is not.
fn body(request: &Request) -> Option<&[u8]> {
    let body = request.body();
    let is_there = match request.content_length() {
        Some(length) => body.len() as u64 == length,
        None => !body.is_empty(),
    };
    is_there.then_some(body)
}

/// What is asked for, for the machine.
fn with_request<R>(
    ev: &EvLoop,
    request: &Request,
    look: impl FnOnce(&DigestRequest<'_>) -> R,
) -> R {
    // Without the port, which is another one for each connection. Who has no address, as on a Unix socket, is nobody
    // in particular.
    let client = request.client(ev).ip.map(|ip| ip.to_string());
    look(&DigestRequest {
        method: request.method().as_str(),
        target: request.target(),
        client: client.as_deref().unwrap_or_default().as_bytes(),
        body: body(request),
    })
}

impl Way for Digest {
    fn scheme(&self) -> &'static str {
        "Digest"
    }

    fn user(&self, ev: &EvLoop, request: &Request, value: &str) -> Result<String, Refusal> {
        let credentials = DigestCredentials::parse(value)?;
        // Of the user's closure, with nothing borrowed.
        let found = (self.inner.find)(&credentials.user, credentials.algorithm);
        let digest = found.as_ref().map(|(_, digest)| digest);
        let now = self.now(ev);
        let checked = with_request(ev, request, |of| {
            self.inner.server.borrow_mut().check(now, of, &credentials, digest)
        });
        match (checked, found) {
            (Ok(()), Some((name, _))) => Ok(name),
            (Err(refusal), _) if refusal.is_stale() => Err(Refusal::Stale),
            _ => Err(Refusal::Wrong),
        }
    }

    fn challenges(&self, ev: &EvLoop, request: &Request, why: Refusal) -> Result<Vec<String>> {
        let (now, random) = (self.now(ev), random()?);
        let is_stale = why == Refusal::Stale;
        Ok(with_request(ev, request, |of| {
            self.inner.server.borrow().challenges(now, random, of, is_stale)
        }))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").field("server", &self.inner.server).finish_non_exhaustive()
    }
}
