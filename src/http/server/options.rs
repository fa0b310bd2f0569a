//! What a server allows, and for how long it waits.

use std::sync::Arc;
use std::time::Duration;

use super::capacity::Capacity;
use super::clients::Trusted;
use super::service::Service;
use super::{Routes, Server};
use crate::http::addresses::{IpNetwork, IpRules};
use crate::net::{ListenAddresses, ListenOptions};
use crate::wire::proxy_protocol::ProxyLimits;
use crate::wire::{ChunkLimits, HeadLimits};
use crate::{EvLoop, Result};

/// With nothing between them, time-outs that are begun again would be all that a loop does.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

/// What is done when a handler panics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The panic ends with its request: 500 if nothing was sent, else the connection is cut. Everybody else
    /// is served on, and [`Routes::on_failure`] is told.
    #[default]
    Isolate,
    /// The same, and then it goes on to the caller of [`run`](EvLoop::run), as that of any callback.
    Propagate,
}

/// What the end of a client's sending side means while its request is being handled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum HalfClose {
    /// The client has said all that it wants to say, and waits for the reply.
    #[default]
    Allow,
    /// The client is gone: its request is aborted.
    Abort,
}

/// What is answered to who speaks HTTP without TLS where TLS is spoken.
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum PlainHttp {
    /// 400, with a word about it.
    #[default]
    Refuse,
    /// 308 to the same with `https`, on the same port. What was sent in the clear was sent in the clear: only for
    /// people who type addresses.
    Redirect,
}

/// Limits and time-outs of a server, each with its default; then [`listen`](Self::listen).
///
/// For time-outs, `None` is for ever; where 0 is no limit, it is said.
///
/// ```
/// use std::time::Duration;
/// use evloop::EvLoop;
/// use evloop::http::{Routes, ServerOptions};
///
/// let mut ev = EvLoop::new()?;
/// let routes = Routes::new().get("/", |ev, _, reply| reply.text(ev, "hello"));
/// let server = ServerOptions::new()
///     .max_connections(500)
///     .idle_timeout(Some(Duration::from_secs(15)))
///     .listen(&mut ev, "127.0.0.1:0", routes)?;
/// assert_eq!(server.addresses(&ev).len(), 1);
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `listen`"]
pub struct ServerOptions {
    pub(super) listening: ListenOptions,
    pub(super) head: HeadLimits,
    pub(super) chunks: ChunkLimits,
    pub(super) max_body: u64,
    pub(super) max_drain: u64,
    pub(super) read_ahead: usize,
    pub(super) pipelined_per_turn: u32,
    pub(super) max_requests: u32,
    pub(super) header_timeout: Option<Duration>,
    pub(super) body_timeout: Option<Duration>,
    pub(super) body_total: Option<Duration>,
    pub(super) min_body_rate: u64,
    pub(super) body_rate_grace: Duration,
    pub(super) handler_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    pub(super) min_write_rate: u64,
    pub(super) write_rate_grace: Duration,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) lifetime: Option<Duration>,
    pub(super) linger: (Duration, usize),
    pub(super) half_close: HalfClose,
    pub(super) panics: PanicPolicy,
    pub(super) write_limits: Option<(usize, usize)>,
    pub(super) date: bool,
    pub(super) server_name: Option<Box<str>>,
    pub(super) requires_length: bool,
    pub(super) capacity: Capacity,
    pub(super) proxies: Option<Arc<[IpNetwork]>>,
    pub(super) proxy_timeout: Option<Duration>,
    pub(super) proxy_limits: ProxyLimits,
    pub(super) trusted: Option<Trusted>,
    pub(super) rules: Option<Arc<IpRules>>,
    pub(super) max_per_ip: u32,
    pub(super) methods: Option<Box<[crate::wire::Method]>>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::net::TlsServer>,
    #[cfg(feature = "tls")]
    pub(super) plain_http: PlainHttp,
    #[cfg(feature = "tls")]
    pub(super) matches_server_name: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Self {
            listening: ListenOptions::new(),
            head: HeadLimits::default(),
            chunks: ChunkLimits::default(),
            max_body: 8 * 1024 * 1024,
            max_drain: 64 * 1024,
            read_ahead: 64 * 1024,
            pipelined_per_turn: 16,
            max_requests: 0,
            header_timeout: seconds(10),
            body_timeout: seconds(30),
            body_total: None,
            min_body_rate: 240,
            body_rate_grace: Duration::from_secs(10),
            handler_timeout: None,
            write_timeout: seconds(30),
            min_write_rate: 0,
            write_rate_grace: Duration::from_secs(10),
            idle_timeout: seconds(60),
            lifetime: None,
            linger: (Duration::from_secs(1), 256 * 1024),
            half_close: HalfClose::Allow,
            panics: PanicPolicy::Isolate,
            write_limits: None,
            date: true,
            server_name: None,
            requires_length: false,
            capacity: Capacity::default(),
            proxies: None,
            proxy_timeout: seconds(3),
            proxy_limits: ProxyLimits::default(),
            trusted: None,
            rules: None,
            max_per_ip: 0,
            methods: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            plain_http: PlainHttp::Refuse,
            #[cfg(feature = "tls")]
            matches_server_name: false,
        }
    }
}

impl ServerOptions {
    /// Those of [`EvLoop::http_server`].
    pub fn new() -> Self {
        Self::default()
    }

    /// How to listen: backlog, `SO_REUSEPORT`, connections per address and so on. Replaces what
    /// [`max_connections`](Self::max_connections) has said.
    pub fn listening(mut self, options: ListenOptions) -> Self {
        self.listening = options;
        self
    }

    /// How many connections there may be at a time; more wait in the system's queue until one is closed.
    /// 10 000, and no more than the process may have descriptors, less 64 (`MHD_OPTION_CONNECTION_LIMIT`).
    pub fn max_connections(mut self, most: usize) -> Self {
        self.listening = self.listening.max_connections(most);
        self
    }

    /// How much of a request's head is accepted: 8 KiB of target (414), 64 KiB in all and 100 fields (431),
    /// 4 empty lines before it (400).
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.head = limits;
        self
    }

    /// How much framing is accepted in a chunked body: 256 bytes for the line of a size, 16 KiB of extensions,
    /// 16 KiB and 16 bytes for each of data in all (400), 16 KiB or 100 fields of trailers (431).
    pub fn chunk_limits(mut self, limits: ChunkLimits) -> Self {
        self.chunks = limits;
        self
    }

    /// How large a body is that is gathered for its handler, in bytes: 8 MiB, else 413
    /// (`evhttp_set_max_body_size`). Those that are [streamed](Routes::streaming) have none but
    /// [`RequestBody::set_limit`](super::RequestBody::set_limit).
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// How much of a body that nobody wants is read so that the connection can be kept, in bytes: 64 KiB. Where
    /// there is more, the connection is closed after the reply.
    pub fn max_drain(mut self, bytes: u64) -> Self {
        self.max_drain = bytes;
        self
    }

    /// How much is kept of what has come and is not wanted yet, in bytes: 64 KiB of what is behind a request that is
    /// being handled, and as much of a [streamed](Routes::streaming) body that its taker has left. With so much nothing more
    /// is read; it may be exceeded by what is read at a time, which is up to 64 KiB.
    pub fn read_ahead(mut self, bytes: usize) -> Self {
        self.read_ahead = bytes.max(1);
        self
    }

    /// How many requests of one connection are answered before others have their turn: 16.
    pub fn pipelined_per_turn(mut self, most: u32) -> Self {
        self.pipelined_per_turn = most.max(1);
        self
    }

    /// After how many requests a connection is closed: never, which is also what 0 says.
    pub fn max_requests(mut self, most: u32) -> Self {
        self.max_requests = most;
        self
    }

    /// How long a client may take for a whole head, from when the connection was opened or from the first
    /// byte of a later request on it: 10 s, however many bytes come meanwhile. Then 408, or nothing if nothing
    /// has come. At least a millisecond.
    pub fn header_timeout(mut self, limit: Option<Duration>) -> Self {
        self.header_timeout = limit.map(|limit| limit.max(SHORTEST));
        self
    }

    /// How long nothing of a body may come: 30 s, then 408.
    pub fn body_timeout(mut self, limit: Option<Duration>) -> Self {
        self.body_timeout = limit;
        self
    }

    /// How long a whole body may take: as long as it likes.
    pub fn body_total_timeout(mut self, limit: Option<Duration>) -> Self {
        self.body_total = limit;
        self
    }

    /// How fast a body must come on average, in bytes per second: 240, judged from the tenth second on. Then 408. 0 is
    /// as slowly as it likes.
    /// While the handler does not want more, no time passes.
    pub fn min_body_rate(mut self, bytes_per_second: u64, grace: Duration) -> Self {
        self.min_body_rate = bytes_per_second;
        self.body_rate_grace = grace;
        self
    }

    /// How long a handler may take to begin its reply: as long as it likes. Then 503, and the request is completed;
    /// [`on_disconnect`](super::Reply::on_disconnect) is about clients, and not called.
    pub fn handler_timeout(mut self, limit: Option<Duration>) -> Self {
        self.handler_timeout = limit;
        self
    }

    /// How long a client may take nothing of what waits for it: 30 s, then the connection is cut. Who reads slowly takes
    /// something, also while the system holds more than it asks for: see
    /// [`Stream::set_write_timeout`](crate::net::Stream::set_write_timeout).
    pub fn write_timeout(mut self, limit: Option<Duration>) -> Self {
        self.write_timeout = limit;
        self
    }

    /// How much may wait for a client that does not read, in bytes: 256 KiB, where writing reports
    /// [`Full`](crate::net::Written::Full) and no further request is looked at, and 1 MiB, where more is refused. A whole reply
    /// is taken whatever its length, and so is the end of one that comes in pieces. What is kept of requests until
    /// [somebody is told](Routes::on_completed) that their replies have left counts with the replies for the first. See
    /// [`Stream::set_write_limits`](crate::net::Stream::set_write_limits).
    pub fn write_limits(mut self, soft: usize, hard: usize) -> Self {
        self.write_limits = Some((soft, hard));
        self
    }

    /// How long a connection is kept on which nothing happens between requests: 60 s
    /// (`MHD_OPTION_CONNECTION_TIMEOUT`). At least a millisecond.
    pub fn idle_timeout(mut self, limit: Option<Duration>) -> Self {
        self.idle_timeout = limit.map(|limit| limit.max(SHORTEST));
        self
    }

    /// How old a connection may become: as old as it likes. The first reply after that closes it.
    pub fn connection_lifetime(mut self, limit: Option<Duration>) -> Self {
        self.lifetime = limit;
        self
    }

    /// For how long, and how many bytes, the rest of a request is read and thrown away behind a last reply, such as 413, to a
    /// client that is still sending: 1 s and 256 KiB. Without that, or beyond it, the system answers what still comes with a
    /// reset, on which clients may forget a reply that they have not read. Zero of either is not at all.
    pub fn linger(mut self, time: Duration, bytes: usize) -> Self {
        self.linger = (time, bytes);
        self
    }

    /// What it means that a client ends its side while it is served: [`HalfClose::Allow`].
    pub fn half_close(mut self, policy: HalfClose) -> Self {
        self.half_close = policy;
        self
    }

    /// What becomes of a handler's panic: [`PanicPolicy::Isolate`].
    pub fn on_panic(mut self, policy: PanicPolicy) -> Self {
        self.panics = policy;
        self
    }

    /// Whether replies have a `Date`, as RFC 9110 §6.6.1 asks of whoever has a clock: yes.
    pub fn date(mut self, on: bool) -> Self {
        self.date = on;
        self
    }

    /// What replies have as `Server`: no such field. A name with bytes that cannot be in a field is left out.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        let name: String = name.into();
        let fine = crate::wire::is_field_value(name.as_bytes()) && !name.is_empty();
        self.server_name = fine.then(|| name.into_boxed_str());
        self
    }

    /// Whether a POST, PUT or PATCH without `Content-Length` or `Transfer-Encoding` is refused with 411: no,
    /// it has an empty body.
    pub fn require_length(mut self, on: bool) -> Self {
        self.requires_length = on;
        self
    }

    /// The methods that are known; others are answered with 501. All that RFC 9110 and WebDAV name, and
    /// those that routes name, unless it is said here (`evhttp_set_allowed_methods`).
    pub fn methods(mut self, methods: impl IntoIterator<Item = crate::wire::Method>) -> Self {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// Serves HTTPS: everybody has to speak TLS (`MHD_USE_TLS`). Feature `tls`.
    ///
    /// Where the [`TlsServer`](crate::net::TlsServer) names no protocols for ALPN, `http/1.1` is offered.
    /// [`reload`](crate::net::TlsServer::reload) a clone of it, and new connections have the new certificate, while
    /// those that are there go on. What a connection has agreed on, certificates of clients too, is
    /// [`Request::tls`](super::Request::tls). A handshake has [its own
    /// time-out](crate::net::TlsServer::handshake_timeout); that of the [head](Self::header_timeout) begins with its end.
    ///
    /// Who serves HTTP as well starts a second server, with the same routes made again.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: crate::net::TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What is answered to who speaks HTTP without TLS nevertheless: [`PlainHttp::Refuse`].
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn plain_http(mut self, answer: PlainHttp) -> Self {
        self.plain_http = answer;
        self
    }

    /// Whether a request has to be for the [host](Routes::host) whose name the handshake was about (SNI), or is
    /// answered with 421 (RFC 9110 §7.4): no. Where no hosts are named, the names themselves have to be
    /// the same. Turn it on where hosts differ in whom they let in by certificate. A client that names no server
    /// in its handshake may ask for addresses, and where hosts are named for what is none of theirs.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn match_server_name(mut self, on: bool) -> Self {
        self.matches_server_name = on;
        self
    }

    /// Serves on an address, or on several.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for routes that cannot be; those of
    /// [`ListenOptions::listen`].
    pub fn listen(
        &self,
        ev: &mut EvLoop,
        addresses: impl ListenAddresses,
        routes: Routes,
    ) -> Result<Server> {
        let service = Service::start(ev, self.clone(), routes)?;
        let accepting = std::rc::Rc::clone(&service);
        let listening = self.listen_options().listen(ev, addresses, move |ev, accepted| {
            super::connection::accept(ev, &accepting, accepted);
        });
        service.listens(ev, listening)
    }

    /// Serves the connections of a socket that listens already.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen) and [`ListenOptions::adopt`].
    pub fn adopt(
        &self,
        ev: &mut EvLoop,
        socket: impl Into<std::os::fd::OwnedFd>,
        routes: Routes,
    ) -> Result<Server> {
        let service = Service::start(ev, self.clone(), routes)?;
        let accepting = std::rc::Rc::clone(&service);
        let listening = self.listen_options().adopt(ev, socket, move |ev, accepted| {
            super::connection::accept(ev, &accepting, accepted);
        });
        service.listens(ev, listening)
    }

    /// Serves the connections of several sockets that listen already, such as those that systemd [passes to a
    /// process](crate::net::listen_fds_from_environment).
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen) and [`ListenOptions::adopt_all`].
    pub fn adopt_all(
        &self,
        ev: &mut EvLoop,
        sockets: impl IntoIterator<Item = std::os::fd::OwnedFd>,
        routes: Routes,
    ) -> Result<Server> {
        let service = Service::start(ev, self.clone(), routes)?;
        let accepting = std::rc::Rc::clone(&service);
        let listening = self.listen_options().adopt_all(ev, sockets, move |ev, accepted| {
            super::connection::accept(ev, &accepting, accepted);
        });
        service.listens(ev, listening)
    }

    /// How to listen, with what is said here.
    pub(super) fn listen_options(&self) -> ListenOptions {
        let options = self.listening.clone();
        // Those whom a proxy speaks for are known later.
        if self.max_per_ip == 0 || self.proxies.is_some() {
            options
        } else {
            options.max_per_ip(self.max_per_ip)
        }
    }

    /// A server that listens nowhere: it has the connections that are [given](Server::serve) to it
    /// (`MHD_USE_NO_LISTEN_SOCKET`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for routes that cannot be.
    pub fn unbound(&self, ev: &mut EvLoop, routes: Routes) -> Result<Server> {
        Ok(Service::start(ev, self.clone(), routes)?.key)
    }
}
