//! Who may ask, and how often: by address.
//!
//! [`IpNetwork`] is a range of addresses, [`IpRules`] a list of those that may and those that may not,
//! [`RequestRate`] counts what each asks for. [`Routes::ip_rules`] and [`Routes::limit_rate`] put the two before handlers.
//!
//! What is looked at is the address of the client: where a proxy is trusted, the one that it tells of.

// The address of a request is found in one place, `ip_of`.

mod network;
mod rate;
mod rules;

use std::net::IpAddr;

use super::{Reply, Request, Routes};
use crate::EvLoop;
use crate::net::Place;
use crate::wire::Status;

pub use network::{IpKey, IpNetwork};
pub use rate::RequestRate;
pub use rules::IpRules;

pub(super) fn ip_of_place(place: &Place) -> Option<IpAddr> {
    match place {
        Place::Socket(address) => Some(address.ip().to_canonical()),
        Place::Zoned { ip, .. } => Some((*ip).into()),
        _ => None,
    }
}

impl Routes {
    /// Answers 403 to those that the rules do not let in, before anything else that is added after this (mongoose's
    /// `mg_check_ip_acl`).
    ///
    /// It is the [client](super::Request::client) that counts, past the proxies that are believed; one that such a proxy
    /// hides is not let in, and neither is one that has gone meanwhile. Who comes over a Unix socket has no address, and is
    /// let in: who may connect there is for the [mode of its path](crate::net::ListenOptions) to say.
    ///
    /// ```
    /// use evloop::http::{IpRules, Routes};
    ///
    /// let inside = IpRules::deny_all().allow("10.0.0.0/8".parse()?).allow("::1".parse()?);
    /// let routes = Routes::new().ip_rules(inside).get("/", |ev, _, reply| reply.text(ev, "hello"));
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn ip_rules(self, rules: IpRules) -> Self {
        self.before(rules.guard())
    }

    /// Answers 429 with `Retry-After` to those who ask more often than this.
    ///
    /// It is the [client](super::Request::client) that counts, past the proxies that are believed; those that such a proxy hides
    /// count as one. Who comes over a Unix socket has no address, and is not counted. Each loop of a server with
    /// [several](super::ThreadOptions) counts for itself.
    ///
    /// ```
    /// use evloop::http::{RequestRate, Routes};
    ///
    /// // Ten at once, and five a second on the average.
    /// let routes = Routes::new().limit_rate(RequestRate::per_second(5, 10));
    /// ```
    pub fn limit_rate(self, rate: RequestRate) -> Self {
        self.before(rate.guard())
    }
}

impl IpRules {
    /// What [`Routes::ip_rules`] does, as a hook: for [some paths](Routes::before_at).
    ///
    /// ```
    /// use evloop::http::{IpRules, Routes};
    ///
    /// let inside = IpRules::deny_all().allow("10.0.0.0/8".parse()?);
    /// let routes = Routes::new().before_at("/admin/#", inside.guard());
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn guard(self) -> impl FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply> + 'static {
        move |ev, request, reply| {
            let client = request.client(ev);
            let is_let_in = match client.ip {
                Some(ip) => self.is_allowed(ip),
                None => client.hops == 0 && request.is_by_unix(ev),
            };
            if is_let_in {
                return Some(reply);
            }
            // Who is gone needs no answer.
            reply.error(ev, Status::FORBIDDEN).ok();
            None
        }
    }
}

impl RequestRate {
    /// What [`Routes::limit_rate`] does, as a hook: for [some paths](Routes::before_at), such as that of a log-in.
    pub fn guard(
        mut self,
    ) -> impl FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply> + 'static {
        move |ev, request, reply| {
            let client = request.client(ev);
            let hidden = if client.hops > 0 { Some(client.via) } else { None };
            let Some(ip) = client.ip.or(hidden) else { return Some(reply) };
            let Err(wait) = self.take(ip, ev.now()) else { return Some(reply) };
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let reply = reply.header("Retry-After", seconds.max(1).to_string());
            reply.error(ev, Status::TOO_MANY_REQUESTS).ok();
            None
        }
    }
}
