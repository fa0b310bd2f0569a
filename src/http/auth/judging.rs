//! From a request to a user, or to 401.

use super::{Basic, Bearer, Digest};
use crate::http::{Reply, Request};
use crate::wire::Status;
use crate::wire::auth::{AuthFault, Challenge, scheme};
use crate::{EvLoop, Result};

/// Why somebody is not let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing was said that is for us.
    Nothing,
    /// It is not right.
    Wrong,
    /// It was right, and is to be said anew.
    Stale,
    /// It is malformed.
    Malformed,
}

impl From<AuthFault> for Refusal {
    fn from(fault: AuthFault) -> Self {
        match fault {
            AuthFault::OtherScheme => Self::Nothing,
            _ => Self::Malformed,
        }
    }
}

/// A way of logging in.
pub(super) trait Way {
    /// Its scheme, as it is written in challenges.
    fn scheme(&self) -> &'static str;

    /// Who it is that has sent these credentials of the scheme.
    fn user(&self, ev: &EvLoop, request: &Request, value: &str) -> Result<String, Refusal>;

    /// What is asked for, after this refusal.
    fn challenges(&self, ev: &EvLoop, request: &Request, why: Refusal) -> Result<Vec<String>>;
}

/// Lets a request in, or answers it.
pub(super) fn judge(
    ways: &[&dyn Way],
    ev: &mut EvLoop,
    request: &mut Request,
    reply: Reply,
) -> Option<Reply> {
    let (way, outcome) = look(ways, ev, request);
    let refusal = match outcome {
        Ok(user) => {
            request.set_user(&user);
            return Some(reply);
        }
        Err(refusal) => refusal,
    };
    let mut challenges = Vec::new();
    for (n, each) in ways.iter().enumerate() {
        let why = if way == Some(n) { refusal } else { Refusal::Nothing };
        match each.challenges(ev, request, why) {
            Ok(mut values) => challenges.append(&mut values),
            Err(_) => {
                // No randomness is to be had: nobody is let in, and nobody is asked with what can be guessed. Whether
                // the client is still there, it knows best.
                let _ = reply.error(ev, Status::INTERNAL_SERVER_ERROR);
                return None;
            }
        }
    }
    // RFC 6750 §3.1. Others may try again.
    let is_bearer = way.and_then(|n| ways.get(n)).is_some_and(|way| way.scheme() == "Bearer");
    let status = match refusal {
        Refusal::Malformed if is_bearer => Status::BAD_REQUEST,
        _ => Status::UNAUTHORIZED,
    };
    let mut reply = reply;
    for value in challenges {
        reply = reply.header("WWW-Authenticate", value);
    }
    let _ = reply.error(ev, status);
    None
}

/// Which way was tried, and what has come of it.
fn look(
    ways: &[&dyn Way],
    ev: &EvLoop,
    request: &Request,
) -> (Option<usize>, Result<String, Refusal>) {
    // Of two, who knows which the others look at.
    let mut values = request.fields().get_all("authorization");
    let (Some(only), None) = (values.next(), values.next()) else {
        return (None, Err(Refusal::Nothing));
    };
    let Ok(value) = std::str::from_utf8(only) else { return (None, Err(Refusal::Malformed)) };
    let Some((name, _)) = scheme(value) else { return (None, Err(Refusal::Malformed)) };
    let of_name = |(_, way): &(usize, &&dyn Way)| way.scheme().eq_ignore_ascii_case(name);
    match ways.iter().enumerate().find(of_name) {
        Some((n, way)) => (Some(n), way.user(ev, request, value)),
        None => (None, Err(Refusal::Nothing)),
    }
}

/// One challenge, written.
pub(super) fn written(challenge: &Challenge) -> Result<Vec<String>> {
    Ok(vec![challenge.to_value()?])
}

/// Several ways of logging in, of which one is enough. A client is told of all of them, in the order in which they were
/// added.
///
/// ```
/// use evloop::http::Routes;
/// use evloop::http::auth::{AnyOf, Basic, Bearer};
///
/// let bearer = Bearer::new("api", |token| (token == "letmein").then(|| "robot".to_owned()));
/// let either = AnyOf::new().bearer(bearer).basic(Basic::users("api", [("Aladdin", "open sesame")]));
/// let routes = Routes::new().before(either.guard());
/// ```
#[derive(Clone, Default, Debug)]
#[must_use]
pub struct AnyOf {
    ways: Vec<Kind>,
}

#[derive(Clone, Debug)]
enum Kind {
    Basic(Basic),
    Bearer(Bearer),
    Digest(Digest),
}

impl Kind {
    fn way(&self) -> &dyn Way {
        match self {
            Self::Basic(basic) => basic,
            Self::Bearer(bearer) => bearer,
            Self::Digest(digest) => digest,
        }
    }
}

impl AnyOf {
    /// None yet: nobody is let in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn basic(mut self, basic: Basic) -> Self {
        self.ways.push(Kind::Basic(basic));
        self
    }

    /// Adds one.
    pub fn bearer(mut self, bearer: Bearer) -> Self {
        self.ways.push(Kind::Bearer(bearer));
        self
    }

    /// Adds one.
    pub fn digest(mut self, digest: Digest) -> Self {
        self.ways.push(Kind::Digest(digest));
        self
    }

    /// Lets a request in, and gives its reply back; or answers it. See [`Basic::check`].
    pub fn check(&self, ev: &mut EvLoop, request: &mut Request, reply: Reply) -> Option<Reply> {
        let ways: Vec<_> = self.ways.iter().map(Kind::way).collect();
        judge(&ways, ev, request, reply)
    }

    /// For [`Routes::before`](crate::http::Routes::before).
    pub fn guard(self) -> impl FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply> + 'static {
        move |ev, request, reply| self.check(ev, request, reply)
    }
}
