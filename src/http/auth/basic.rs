//! Basic: a name and a password.

use std::fmt;
use std::rc::Rc;

use super::judging::{Refusal, Way, judge, written};
use crate::http::{Reply, Request};
use crate::wire::auth::{BasicCredentials, Challenge, same};
use crate::{EvLoop, Result};

type IsRight = dyn Fn(&str, &str) -> bool;

/// Asks for a name and a password (RFC 7617). See the [module](super).
#[derive(Clone)]
#[must_use]
pub struct Basic {
    realm: Rc<str>,
    is_right: Rc<IsRight>,
}

impl Basic {
    /// Has a closure look at names and passwords. It compares with [`same`], or, better, hashes slowly and compares
    /// then. The realm is what people are shown.
    pub fn new(realm: &str, is_right: impl Fn(&str, &str) -> bool + 'static) -> Self {
        Self { realm: realm.into(), is_right: Rc::new(is_right) }
    }

    /// For these users and their passwords. How long looking takes does not depend on which of them it is.
    pub fn users<N: Into<String>, P: Into<String>>(
        realm: &str,
        users: impl IntoIterator<Item = (N, P)>,
    ) -> Self {
        let users: Vec<(String, String)> =
            users.into_iter().map(|(name, password)| (name.into(), password.into())).collect();
        Self::new(realm, move |name, password| {
            let is_one = |(n, p): &(String, String)| same(n, name) & same(p, password);
            users.iter().fold(false, |found, user| found | is_one(user))
        })
    }

    /// Lets a request in: its user is known then, and its reply comes back. Else it is answered, with 401, and
    /// `None` comes.
    pub fn check(&self, ev: &mut EvLoop, request: &mut Request, reply: Reply) -> Option<Reply> {
        judge(&[self], ev, request, reply)
    }

    /// For [`Routes::before`](crate::http::Routes::before).
    pub fn guard(self) -> impl FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply> + 'static {
        move |ev, request, reply| self.check(ev, request, reply)
    }
}

impl Way for Basic {
    fn scheme(&self) -> &'static str {
        "Basic"
    }

    fn user(&self, _: &EvLoop, _: &Request, value: &str) -> Result<String, Refusal> {
        let BasicCredentials { user, password } = BasicCredentials::parse(value)?;
        if (self.is_right)(&user, &password) { Ok(user) } else { Err(Refusal::Wrong) }
    }

    fn challenges(&self, _: &EvLoop, _: &Request, _: Refusal) -> Result<Vec<String>> {
        written(&Challenge::basic(&self.realm))
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic").field("realm", &self.realm).finish_non_exhaustive()
    }
}
