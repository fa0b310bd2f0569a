//! Who a proxy says the client is: `Forwarded` (RFC 7239), and the `X-Forwarded-*` that were there before it.
//!
//! Each proxy on the way adds, at the right, who has connected to it. So the list is to be read from the right, for as
//! long as those who have added to it are known and trusted; the first address that is not one of theirs is the client's.
//! What stands left of it was written by the client, and can be anything.
//!
//! ```
//! use evloop::wire::Fields;
//! use evloop::wire::forwarded::{ForwardedFields, client_of};
//! use std::net::IpAddr;
//!
//! let mut fields = Fields::default();
//! fields.push("X-Forwarded-For", "6.6.6.6, 203.0.113.7, 10.0.0.2")?;
//! let trusted = |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10);
//!
//! let client = client_of(&fields, "10.0.0.1".parse()?, ForwardedFields::XForwarded, trusted);
//! assert_eq!(client.ip, Some("203.0.113.7".parse()?)); // 6.6.6.6 is the client's invention
//!
//! let client = client_of(&fields, "192.0.2.66".parse()?, ForwardedFields::XForwarded, trusted);
//! assert_eq!(client.ip, Some("192.0.2.66".parse()?)); // who is not trusted is believed nothing
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sharp edges
//!
//! * **One of both kinds must be chosen**, the one that the proxy writes. What the other says is passed through from
//!   clients by most proxies, who do not know it.
//! * **A proxy must add to the list, or replace it.** One that does neither lets clients say who they are.
//! * **A client can be hidden** ([`ForwardedClient::ip`] is `None`): that is not an address of one's own network, and
//!   should not be let in as one.

mod element;

use std::net::IpAddr;

use super::Fields;
use super::authority::is_authority;
use super::syntax::trim;

pub use element::{ForwardedElement, Node, elements_from_last};

/// Which fields are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ForwardedFields {
    /// `Forwarded`.
    Standard,
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, as most proxies write them. The default.
    #[default]
    XForwarded,
}

/// Who has sent a request, from [`client_of`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardedClient {
    /// The client's address; `None` if a proxy hides it, or says what is no address. One of IPv4 that is mapped into
    /// IPv6 is one of IPv4 here.
    pub ip: Option<IpAddr>,
    /// The client's port, if that was told.
    pub port: Option<u16>,
    /// Who has told of it: a proxy that is trusted, or the peer itself if that is the client.
    pub via: IpAddr,
    /// How many proxies have told of another.
    pub hops: usize,
    /// What the client speaks with its proxy, in lower case: `https`. Of the `X-` fields it is the last, which the
    /// nearest proxy has written or let through.
    pub proto: Option<String>,
    /// The host that the client has asked the proxy for, with its port; from where `proto` is.
    pub host: Option<String>,
}

/// Finds the client of a request: from the right of what proxies have added, through all that are `trusted`.
///
/// If `peer`, who has sent it to us, is not trusted, then it is the client, and its fields say nothing. If all are
/// trusted, the client is the first of them.
///
/// It takes time linear in the length of what it reads, whoever has written that.
pub fn client_of(
    fields: &Fields,
    peer: IpAddr,
    kind: ForwardedFields,
    mut trusted: impl FnMut(IpAddr) -> bool,
) -> ForwardedClient {
    let peer = peer.to_canonical();
    let mut client =
        ForwardedClient { ip: Some(peer), port: None, via: peer, hops: 0, proto: None, host: None };
    if !trusted(peer) {
        return client;
    }
    match kind {
        ForwardedFields::Standard => standard(fields, &mut client, trusted),
        ForwardedFields::XForwarded => {
            walk(
                last_first(fields, "x-forwarded-for").flat_map(from_last),
                &mut client,
                &mut trusted,
                |client, member| client.step(element::loose_node(member)),
            );
            let last = |name| last_first(fields, name).flat_map(from_last).next();
            client.proto = last("x-forwarded-proto").and_then(text).and_then(scheme);
            client.host = last("x-forwarded-host").and_then(text).and_then(authority);
        }
    }
    client
}

fn standard(
    fields: &Fields,
    client: &mut ForwardedClient,
    mut trusted: impl FnMut(IpAddr) -> bool,
) {
    let members = last_first(fields, "forwarded").flat_map(elements_from_last);
    walk(members, client, &mut trusted, |client, element| {
        let Some(element) = element else {
            (client.proto, client.host) = (None, None);
            client.step(None);
            return;
        };
        client.proto = element.proto.as_deref().and_then(scheme);
        client.host = element.host.as_deref().and_then(authority);
        client.step(element.node);
    });
}

/// Goes from one to the one it tells of.
fn walk<M>(
    members: impl Iterator<Item = M>,
    client: &mut ForwardedClient,
    trusted: &mut impl FnMut(IpAddr) -> bool,
    mut step: impl FnMut(&mut ForwardedClient, M),
) {
    for member in members {
        step(client, member);
        // Of the first nothing more is asked: whoever it was has told of no other.
        if !client.ip.is_some_and(&mut *trusted) {
            return;
        }
    }
}

impl ForwardedClient {
    /// The one that it was has told of this one.
    fn step(&mut self, node: Option<Node<'_>>) {
        if let Some(ip) = self.ip {
            self.via = ip;
        }
        self.hops += 1;
        (self.ip, self.port) = match node {
            Some(Node::Ip(ip, port)) => (Some(ip.to_canonical()), port),
            _ => (None, None),
        };
    }
}

/// The values of the fields of a name, the last one first.
fn last_first<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let mut values: Vec<&[u8]> = fields.get_all(name).collect();
    values.reverse();
    values.into_iter()
}

/// The members of a list without quotes, the last one first, without the empty ones.
fn from_last(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.rsplit(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A scheme of a URI (RFC 3986 §3.1), in lower case.
fn scheme(text: &str) -> Option<String> {
    let is_scheme = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then(|| text.to_ascii_lowercase())
}

fn authority(text: &str) -> Option<String> {
    (!text.is_empty() && is_authority(text.as_bytes())).then(|| text.to_owned())
}
