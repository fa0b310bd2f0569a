//! A name for each request, by which it is found again in the logs of all who have had to do with it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;

use super::addresses::ip_of_place;
use super::{IpNetwork, Request, Routes};
use crate::wire::{Fields, is_token};
use crate::{Error, ErrorKind, EvLoop};

/// The longest id that is taken from others.
const LONGEST: usize = 128;

/// How requests get their ids: one that a trusted peer, a proxy, has given in `X-Request-Id`, else a new one.
///
/// A new one is 32 hexadecimal digits, which nobody can guess and which do not say how many there were.
///
/// ```
/// use evloop::http::{RequestIds, Routes};
///
/// let ids = RequestIds::new().trust("10.0.0.0/8".parse()?);
/// let routes = Routes::new()
///     .request_id(ids)
///     .get("/", |ev, request, reply| reply.text(ev, request.id().unwrap_or_default()));
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RequestIds {
    field: Box<str>,
    trusted: Vec<IpNetwork>,
    trusts_unix: bool,
    is_told: bool,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestIds {
    /// New ones for all, told in `X-Request-Id`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            field: "X-Request-Id".into(),
            trusted: Vec::new(),
            trusts_unix: false,
            is_told: true,
        }
    }

    /// Sets the name of the field that ids are read from, and told in. What cannot be one is an error of
    /// [`listen`](super::ServerOptions::listen).
    #[must_use]
    pub fn field(mut self, name: &str) -> Self {
        self.field = name.into();
        self
    }

    /// Takes ids from peers in a network. It is the peer that counts, which is the proxy, and not the client it tells of.
    ///
    /// An id is of 1 to 128 letters, digits, and `-._:+/=@`; what is not, and what is there twice, counts as
    /// none.
    #[must_use]
    pub fn trust(mut self, network: IpNetwork) -> Self {
        self.trusted.push(network);
        self
    }

    /// Takes ids from peers on Unix sockets.
    #[must_use]
    pub fn trust_unix(mut self) -> Self {
        self.trusts_unix = true;
        self
    }

    /// Does not tell clients.
    #[must_use]
    pub fn untold(mut self) -> Self {
        self.is_told = false;
        self
    }

    fn is_trusted(&self, ev: &EvLoop, request: &Request) -> bool {
        if self.trusted.is_empty() && !self.trusts_unix {
            return false;
        }
        match request.peer(ev).and_then(|peer| ip_of_place(peer.place())) {
            Some(ip) => self.trusts(ip),
            None => self.trusts_unix && request.is_by_unix(ev),
        }
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(ip))
    }

    fn given<'a>(&'a self, fields: &'a Fields) -> Option<&'a str> {
        let mut all = fields.get_all(&self.field);
        let id = all.next().filter(|_| all.next().is_none())?;
        let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:+/=@".contains(byte);
        let is_sane = (1..=LONGEST).contains(&id.len()) && id.iter().all(sane);
        if is_sane { std::str::from_utf8(id).ok() } else { None }
    }
}

/// Makes ids: a count, under two keys that nobody else has.
struct Maker {
    keys: [RandomState; 2],
    count: u64,
}

impl Maker {
    fn new() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], count: 0 }
    }

    fn next(&mut self) -> String {
        self.count = self.count.wrapping_add(1);
        let [high, low] = self.keys.each_ref().map(|key| key.hash_one(self.count));
        format!("{high:016x}{low:016x}")
    }
}

impl Routes {
    /// Gives each request an [id](Request::id), which is told to the client, and is in its
    /// [summary](super::Summary) and so in [logs](super::AccessLog).
    ///
    /// It is a [`before`](Self::before): those that were added earlier do not know the id.
    pub fn request_id(self, ids: RequestIds) -> Self {
        if !is_token(ids.field.as_bytes()) {
            let cause = format!("{:?} is no name of a field", ids.field);
            let wrong = Error::caused(ErrorKind::InvalidInput, "giving requests ids", cause.into());
            return self.refused(wrong);
        }
        let mut maker = Maker::new();
        self.before(move |ev, request, reply| {
            let given = if ids.is_trusted(ev, request) {
                ids.given(request.fields()).map(str::to_owned)
            } else {
                None
            };
            let id = given.unwrap_or_else(|| maker.next());
            request.set_id(&id);
            Some(if ids.is_told { reply.header(&ids.field, &id) } else { reply })
        })
    }
}
