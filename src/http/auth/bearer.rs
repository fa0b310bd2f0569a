//! Bearer: whoever has the token.

use std::fmt;
use std::rc::Rc;

use super::judging::{Refusal, Way, judge, written};
use crate::http::{Reply, Request};
use crate::wire::auth::{Challenge, bearer_token};
use crate::{EvLoop, Result};

type Owner = dyn Fn(&str) -> Option<String>;

/// Asks for a token (RFC 6750). See the [module](super).
///
/// Tokens are taken from `Authorization` only, not from queries or bodies, where they end up in logs.
#[derive(Clone)]
#[must_use]
pub struct Bearer {
    realm: Rc<str>,
    owner: Rc<Owner>,
}

impl Bearer {
    /// Has a closure look at tokens, which says whose one is, or `None` if it is nobody's. It compares with
    /// [`same`](super::same), or looks the token's hash up.
    pub fn new(realm: &str, owner: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self { realm: realm.into(), owner: Rc::new(owner) }
    }

    /// Lets a request in: its user is known then, and its reply comes back. Else it is answered, and `None`
    /// comes: with 401, and with 400 if what was sent is no token (RFC 6750 §3.1).
    pub fn check(&self, ev: &mut EvLoop, request: &mut Request, reply: Reply) -> Option<Reply> {
        judge(&[self], ev, request, reply)
    }

    /// For [`Routes::before`](crate::http::Routes::before).
    pub fn guard(self) -> impl FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply> + 'static {
        move |ev, request, reply| self.check(ev, request, reply)
    }
}

impl Way for Bearer {
    fn scheme(&self) -> &'static str {
        "Bearer"
    }

    fn user(&self, _: &EvLoop, _: &Request, value: &str) -> Result<String, Refusal> {
        (self.owner)(bearer_token(value)?).ok_or(Refusal::Wrong)
    }

    fn challenges(&self, _: &EvLoop, _: &Request, why: Refusal) -> Result<Vec<String>> {
        let challenge = Challenge::bearer(&self.realm);
        written(&match why {
            // Who has said nothing is told nothing of what would be wrong with it.
            Refusal::Nothing => challenge,
            Refusal::Malformed => challenge.parameter("error", "invalid_request"),
            Refusal::Wrong | Refusal::Stale => challenge.parameter("error", "invalid_token"),
        })
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("realm", &self.realm).finish_non_exhaustive()
    }
}
