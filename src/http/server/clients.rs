//! Who a client is: where its connection comes from, what proxies say of it, and whether it may come in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::connection::At;
use super::ending;
use super::options::ServerOptions;
use super::request::Request;
use super::service::Service;
use crate::EvLoop;
use crate::http::addresses::{IpKey, IpNetwork, IpRules, ip_of_place};
use crate::net::{Address, Place, Stream};
use crate::wire::Fields;
use crate::wire::forwarded::{ForwardedClient, ForwardedFields, client_of};
use crate::wire::proxy_protocol::{ProxyHeader, ProxyLimits};

/// Those whose `Forwarded` is believed.
#[derive(Clone, Debug)]
pub(super) struct Trusted {
    networks: Arc<[IpNetwork]>,
    fields: ForwardedFields,
}

/// Whether the other end may send a PROXY header.
pub(super) fn is_proxy(ev: &EvLoop, service: &Service, at: At) -> bool {
    let Some(proxies) = &service.options.proxies else { return false };
    let peer = peer_ip(ev, at);
    peer.is_some_and(|peer| proxies.iter().any(|network| network.contains(peer)))
}

/// The other end of a connection. Who comes by a Unix socket is on this machine, and counts as one who comes by its
/// loopback address; who is gone already is nobody, and not believed to be anybody.
fn peer_ip(ev: &EvLoop, at: At) -> Option<IpAddr> {
    let peer = at.stream.peer(ev);
    let ip = peer.and_then(|peer| ip_of_place(peer.place()));
    ip.or_else(|| at.stream.is_unix(ev).then_some(Ipv4Addr::LOCALHOST.into()))
}

/// Keeps what a PROXY header says. Says whether its client may come in.
pub(super) fn is_from(ev: &mut EvLoop, service: &Service, at: At, header: &ProxyHeader) -> bool {
    let source = header.source();
    if let Some(source) = source {
        at.stream.set_data(ev, Source(source));
    }
    // Of a connection of the proxy's own, to see whether we live, nothing more is known than its address.
    match source.map(|source| source.ip()) {
        Some(ip) => is_allowed(service, Some(ip)) && is_counted(service, at, ip),
        None => is_allowed(service, peer_ip(ev, at)),
    }
}

/// Looks at a connection that has just come. Says whether it may stay; if not it is closed.
pub(super) fn is_let_in(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> bool {
    if service.options.rules.is_none() || service.options.proxies.is_some() {
        return true;
    }
    let let_in = is_allowed(service, peer_ip(ev, at));
    if !let_in {
        ending::hang_up(ev, service, at);
    }
    let_in
}

fn is_allowed(service: &Service, ip: Option<IpAddr>) -> bool {
    let Some(rules) = &service.options.rules else { return true };
    ip.is_some_and(|ip| rules.is_allowed(ip))
}

/// Counts a connection as one of an address's. Says whether that may have it.
fn is_counted(service: &Service, at: At, ip: IpAddr) -> bool {
    let most = service.options.max_per_ip;
    if most == 0 {
        return true;
    }
    let mut state = service.state.borrow_mut();
    let Some(counted) = state.per_ip.count(IpKey::from(ip), most) else { return false };
    if let Some(conn) = state.conn(at) {
        conn.more().counted = Some(counted);
    }
    true
}

/// How many connections each address has.
#[derive(Clone, Default)]
pub(super) struct PerIp(Rc<RefCell<HashMap<IpKey, u32>>>);

/// A connection is one of an address's, until this is dropped: with it, or with the stream that it has become.
pub(super) struct Counted {
    all: PerIp,
    key: IpKey,
}

impl PerIp {
    fn count(&self, key: IpKey, most: u32) -> Option<Counted> {
        let mut all = self.0.borrow_mut();
        let count = all.entry(key).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Counted { all: self.clone(), key })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.all.0.borrow_mut();
        if let Some(count) = all.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}

/// Where a connection comes from: as a PROXY header has said, or as was known when it came. It stays with the stream,
/// whatever that becomes.
struct Source(SocketAddr);

/// Whether it may be asked of a request whose it is.
pub(super) fn are_asked_for(options: &ServerOptions, routes: &super::Routes) -> bool {
    routes.details || !routes.before.is_empty() || options.trusted.is_some()
}

/// Keeps where a connection comes from, for logs and rules about those too who have left when their requests are read:
/// their sockets do not know it any more.
pub(super) fn remember(ev: &mut EvLoop, stream: Stream, peer: Option<&Address>) {
    if let Some(Place::Socket(peer)) = peer.map(Address::place) {
        stream.set_data(ev, Source(*peer));
    }
}

/// Where a connection comes from: what a PROXY header has said, or else the other end of its socket.
pub(crate) fn source_of(ev: &EvLoop, stream: Stream) -> Option<Address> {
    let told = stream.data::<Source>(ev).map(|source| Address::from(source.0));
    told.or_else(|| stream.peer(ev))
}

/// Who has sent a request, past all proxies that are believed.
pub(super) fn client_of_request(
    ev: &EvLoop,
    service: &Service,
    at: At,
    source: Option<&Address>,
    fields: &Fields,
) -> ForwardedClient {
    let own = source.and_then(|source| ip_of_place(source.place()));
    let ip = own.or_else(|| peer_ip(ev, at));
    let mut client = match (&service.options.trusted, ip) {
        (Some(Trusted { networks, fields: kind }), Some(ip)) => {
            let is_trusted = |ip| networks.iter().any(|network| network.contains(ip));
            client_of(fields, ip, *kind, is_trusted)
        }
        _ => {
            let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let kind = ForwardedFields::default();
            client_of(fields, ip.unwrap_or(nobody), kind, |_| false)
        }
    };
    if client.hops == 0 {
        client.ip = own;
        client.port = source.and_then(Address::port);
    }
    client
}

impl Request {
    /// Who has sent it, past the proxies that are [believed](ServerOptions::trusted_proxies): its address, and what
    /// it speaks with them. Without such proxies it is the [peer](Self::peer).
    ///
    /// Who comes by a Unix socket is believed if 127.0.0.1 is, and has no address of its own.
    #[must_use]
    pub fn client(&self, ev: &EvLoop) -> ForwardedClient {
        let source = source_of(ev, self.at().stream);
        client_of_request(ev, self.service(), self.at(), source.as_ref(), self.fields())
    }

    /// Whether it has come by a Unix socket, to us.
    pub(crate) fn is_by_unix(&self, ev: &EvLoop) -> bool {
        self.at().stream.is_unix(ev)
    }

    /// What the client speaks: `https` with TLS, or where a proxy that is [believed](ServerOptions::trusted_proxies)
    /// says so; else `http`.
    #[must_use]
    pub fn scheme(&self, ev: &EvLoop) -> &'static str {
        #[cfg(feature = "tls")]
        let is_secure = self.tls(ev).is_some();
        #[cfg(not(feature = "tls"))]
        let is_secure = false;
        let says_so = || {
            self.service().options.trusted.is_some()
                && self.client(ev).proto.as_deref() == Some("https")
        };
        if is_secure || says_so() { "https" } else { "http" }
    }
}

/// Who may come in, and who is believed.
impl ServerOptions {
    /// Has every connection begin with a PROXY header, version 1 or 2, and come from one of these networks: the
    /// proxies'. Others are closed without a word; who is a proxy and sends no header, or a wrong one, is
    /// answered with 400, or closed where TLS is spoken.
    ///
    /// What the header says is [`Request::peer`] from then on, and counts for
    /// [`max_per_ip`](Self::max_per_ip) and [`accept_from`](Self::accept_from); connections that the proxy makes for itself
    /// (`LOCAL`, `UNKNOWN`) have its own address. Who comes by a Unix socket is at 127.0.0.1.
    ///
    /// ```
    /// use evloop::http::ServerOptions;
    ///
    /// let behind_a_proxy = ServerOptions::new().proxy_protocol(["10.0.0.0/8".parse()?]);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn proxy_protocol(mut self, from: impl IntoIterator<Item = IpNetwork>) -> Self {
        self.proxies = Some(from.into_iter().collect());
        self
    }

    /// How long the PROXY header may take: 3 s.
    pub fn proxy_timeout(mut self, limit: Option<Duration>) -> Self {
        self.proxy_timeout = limit;
        self
    }

    /// How long the PROXY header may be, and how many extensions it may have: 4 KiB and 32. Longer ones are as wrong ones.
    pub fn proxy_limits(mut self, limits: ProxyLimits) -> Self {
        self.proxy_limits = limits;
        self
    }

    /// Believes what proxies in these networks say of their clients, in one of the two kinds of fields: see
    /// [`forwarded`](crate::wire::forwarded), and [`Request::client`]. Nobody is believed by default.
    ///
    /// Name the proxies, not the network that they are in: whoever is in a network that is believed, and comes by a proxy
    /// that only appends to the field, can say that it is anybody. And have the first proxy delete what clients send.
    pub fn trusted_proxies(
        mut self,
        networks: impl IntoIterator<Item = IpNetwork>,
        fields: ForwardedFields,
    ) -> Self {
        self.trusted = Some(Trusted { networks: networks.into_iter().collect(), fields });
        self
    }

    /// Closes connections from elsewhere at once, without a word (`MHD_OPTION_NOTIFY_CONNECTION`'s accept policy). To
    /// answer them with 403, see [`Routes::ip_rules`](super::Routes::ip_rules).
    pub fn accept_from(mut self, rules: IpRules) -> Self {
        self.rules = Some(Arc::new(rules));
        self
    }

    /// How many connections an address may have at a time, an IPv6 network of 64 bits counting as one: any number, which
    /// is also what 0 says (`MHD_OPTION_PER_IP_CONNECTION_LIMIT`). More are closed.
    ///
    /// With a [PROXY header](Self::proxy_protocol) it is the client's address that counts, on each thread by itself.
    pub fn max_per_ip(mut self, most: u32) -> Self {
        self.max_per_ip = most;
        self
    }
}
