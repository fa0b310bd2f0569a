//! WebSockets that are opened from here.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::WebSocket;
use super::driving::{Conn, Handler};
use super::event::WebSocketEvent;
use super::hub::Hub;
use super::options::WebSocketOptions;
use super::socket::Peer;
#[cfg(feature = "tls")]
use crate::net::TlsClient;
use crate::net::{Address, Chunk, ConnectOptions, Message};
use crate::wire::websocket::{CloseCode, HandshakeFault, Role, check_response, client_request};
use crate::wire::{Fields, HeadLimits, ResponseParser, Status};
use crate::{Error, ErrorKind, EvLoop, Result};

const OPENING: &str = "opening a WebSocket";

/// Fields that are written here.
const OWN: [&str; 9] = [
    "Host",
    "Upgrade",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
];

/// Interim responses that a server may send before its answer.
const INTERIM: u8 = 8;

/// How to open a WebSocket (mongoose's `mg_ws_connect`).
///
/// ```no_run
/// use evloop::EvLoop;
/// use evloop::websocket::{WebSocketClient, WebSocketEvent};
/// use evloop::wire::websocket::CloseCode;
///
/// let mut ev = EvLoop::new()?;
/// WebSocketClient::new().connect(&mut ev, "ws://127.0.0.1:8080/ws", |ev, ws, event| match event {
///     WebSocketEvent::Opened => drop(ws.send_text(ev, "hello")),
///     WebSocketEvent::Text(text) => {
///         println!("{text}");
///         let _ = ws.close(ev, CloseCode::NORMAL, "");
///     }
///     WebSocketEvent::Closed(closed) => println!("{:?}", closed.error),
///     _ => {}
/// })?;
/// ev.run()?;
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone)]
pub struct WebSocketClient {
    options: WebSocketOptions,
    connect: ConnectOptions,
    address: Option<Address>,
    fields: Fields,
    /// What is wrong with a field that was given.
    wrong: Option<crate::wire::Fault>,
    protocols: Vec<String>,
    timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

impl Default for WebSocketClient {
    fn default() -> Self {
        Self {
            options: WebSocketOptions::new(),
            connect: ConnectOptions::new(),
            address: None,
            fields: Fields::default(),
            wrong: None,
            protocols: Vec::new(),
            timeout: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl WebSocketClient {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits, pings and so on. What is for servers, the choice of subprotocols and the look at the origin, does nothing
    /// here.
    #[must_use]
    pub fn options(mut self, options: WebSocketOptions) -> Self {
        self.options = options;
        self
    }

    /// How the connection is made.
    #[must_use]
    pub fn connect_options(mut self, options: ConnectOptions) -> Self {
        self.connect = options;
        self
    }

    /// Connects there, whatever the URL says, which is still what the server is asked for: for a Unix socket, or a
    /// host that has no name.
    #[must_use]
    pub fn address(mut self, address: Address) -> Self {
        self.address = Some(address);
        self
    }

    /// Adds a field to the request, such as `Origin`, `Cookie` or `Authorization`.
    ///
    /// Those that the handshake has itself, and such as would frame a body, are an error of [`connect`](Self::connect).
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        // Twice there, each would be believed by somebody else.
        if OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            self.wrong.get_or_insert(crate::wire::Fault::BadFieldName);
        }
        if let Err(fault) = self.fields.push(name, value) {
            self.wrong.get_or_insert(fault);
        }
        self
    }

    /// Offers subprotocols, the one that would be best first. Which of them the server has chosen, if any, says
    /// [`WebSocket::protocol`].
    #[must_use]
    pub fn protocols<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// How long it may take until it is open, all in all: 10 s.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How TLS is spoken with `wss://`. The default trusts those whom browsers do.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Opens a WebSocket: `ws://host:port/path?query`, or `wss://` with feature `tls`; the ports are 80 and 443 if
    /// none is given.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what is no such URL, and for fields and subprotocols that cannot be sent;
    /// [`ErrorKind::Unsupported`] for `wss://` without the feature; [`ErrorKind::Io`] if the system has no random bytes;
    /// else those of [`EvLoop::connect`]. All else is told to the handler, with [`Closed`](WebSocketEvent::Closed).
    pub fn connect(
        &self,
        ev: &mut EvLoop,
        url: &str,
        handler: impl FnMut(&mut EvLoop, WebSocket, WebSocketEvent<'_>) + 'static,
    ) -> Result<WebSocket> {
        self.connect_boxed(ev, url, Box::new(handler))
    }

    fn connect_boxed(&self, ev: &mut EvLoop, url: &str, handler: Handler) -> Result<WebSocket> {
        let url = Url::parse(url).ok_or_else(|| invalid("not a URL of a WebSocket"))?;
        if url.is_secure && !cfg!(feature = "tls") {
            return Err(Error::new(ErrorKind::Unsupported, OPENING));
        }
        let hub = ev.local::<Hub>();
        let mut fields = self.fields.clone();
        #[cfg(feature = "compress")]
        if let Some(deflate) = &self.options.0.deflate {
            fields.push("Sec-WebSocket-Extensions", deflate.offer()).map_err(invalid)?;
        }
        if let Some(fault) = self.wrong {
            return Err(invalid(fault));
        }
        let offered: Vec<&str> = self.protocols.iter().map(String::as_str).collect();
        let mut request = Vec::new();
        let nonce = hub.random()?;
        let asked =
            client_request(&mut request, url.authority, &url.target, nonce, &offered, &fields);
        fields.clear();
        let accept = asked.map_err(invalid)?;
        let address = match &self.address {
            Some(address) => address.clone(),
            None => url.address()?,
        };
        #[cfg(feature = "tls")]
        let tls = match (&self.tls, url.is_secure) {
            (_, false) => None,
            (Some(tls), true) => Some(tls.clone()),
            (None, true) => Some(TlsClient::new()?),
        };

        // Nobody is called before this has returned.
        let late = Rc::new(std::cell::RefCell::new(None::<Conn>));
        let waiting = Rc::clone(&late);
        let mut conn = None;
        let stream = self.connect.connect(ev, address, move |ev, _, event| {
            if conn.is_none() {
                conn = waiting.borrow_mut().take();
            }
            if let Some(conn) = &mut conn {
                conn.on_event(ev, event);
            }
        })?;
        let peer = hub.insert(|index| {
            Peer::new(WebSocket { stream, index }, Role::Client, self.options.clone(), 0)
        });
        let key = peer.key;
        let dialing = Dialing {
            parser: ResponseParser::new(HeadLimits::default()),
            accept,
            protocols: self.protocols.clone(),
            interim: 0,
            posted: Vec::new(),
        };
        let decoder = self.options.decoder(Role::Client);
        let dialing = Some(Box::new(dialing));
        let begun = Conn { hub: Rc::clone(&hub), peer, decoder, handler, dialing };
        *late.borrow_mut() = Some(begun);
        stream.set_deadline_in(ev, self.timeout);
        #[cfg(feature = "tls")]
        let began = match tls {
            Some(tls) => stream.start_tls_client(ev, &tls, url.host()),
            None => Ok(()),
        };
        #[cfg(not(feature = "tls"))]
        let began = Ok(());
        if let Err(error) = began.and_then(|()| stream.write(ev, request)) {
            // Nobody was told that there is one, so nobody is told that there is none.
            late.borrow_mut().take();
            hub.remove(key);
            stream.close_now(ev);
            return Err(error);
        }
        Ok(key)
    }
}

impl fmt::Debug for WebSocketClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketClient")
            .field("options", &self.options)
            .field("address", &self.address)
            .field("protocols", &self.protocols)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn invalid(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::caused(ErrorKind::InvalidInput, OPENING, cause.into())
}

/// The parts of a URL (RFC 6455 §3).
struct Url<'a> {
    is_secure: bool,
    authority: &'a str,
    target: String,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let is_secure = scheme.eq_ignore_ascii_case("wss");
        if !is_secure && !scheme.eq_ignore_ascii_case("ws") {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, _) = crate::wire::split_authority(authority)?;
        let is_printable = target.bytes().all(|byte| matches!(byte, 0x21..=0x7E));
        // A fragment is no part of what is asked for, and not allowed here.
        if host.is_empty() || target.contains('#') || !is_printable {
            return None;
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Some(Self { is_secure, authority, target: format!("{slash}{target}") })
    }

    fn address(&self) -> Result<Address> {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority).parse()
    }

    /// The name in the certificate.
    #[cfg(feature = "tls")]
    fn host(&self) -> &'a str {
        let host = crate::wire::split_authority(self.authority).map_or("", |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

/// The handshake, as long as it takes.
pub(super) struct Dialing {
    parser: ResponseParser,
    accept: String,
    protocols: Vec<String>,
    interim: u8,
    /// What was posted meanwhile.
    pub(super) posted: Vec<Message>,
}

impl Conn {
    /// Reads the server's answer. If the WebSocket is open then, what was posted to it until now.
    pub(super) fn shake_hands(&mut self, ev: &mut EvLoop) -> Option<Vec<Message>> {
        let dialing = self.dialing.as_deref_mut()?;
        let stream = self.peer.stream();
        let result = loop {
            let mut input = stream.input(ev);
            let Some(Chunk::Bytes(chunk)) = input.chunks().next() else { return None };
            let progress = match dialing.parser.feed(chunk) {
                Ok(progress) => progress,
                Err(fault) => break Err(fault.into()),
            };
            input.drain(progress.used);
            drop(input);
            if !progress.done {
                continue;
            }
            let status = dialing.parser.head().status();
            if status.code() < 200 && status != Status::SWITCHING_PROTOCOLS {
                dialing.interim += 1;
                if dialing.interim > INTERIM {
                    break Err(crate::wire::Fault::TooManyInterim.into());
                }
                dialing.parser.reset();
                continue;
            }
            break self.agree();
        };
        match result {
            Ok(()) => {
                let dialing = self.dialing.take();
                stream.set_deadline(ev, None);
                self.begin(ev);
                Some(dialing.map(|dialing| dialing.posted).unwrap_or_default())
            }
            Err(error) => {
                self.cut_with(ev, error);
                None
            }
        }
    }

    /// The answer is there: is it what was asked for?
    fn agree(&mut self) -> Result<()> {
        let Some(dialing) = self.dialing.as_deref() else { return Ok(()) };
        let head = dialing.parser.head();
        let offered: Vec<&str> = dialing.protocols.iter().map(String::as_str).collect();
        let chosen = match check_response(head, &dialing.accept, &offered) {
            Ok(chosen) => chosen,
            Err(fault) => {
                if fault == HandshakeFault::Refused {
                    let status = head.status();
                    let reason = format!("the server has answered {status}");
                    self.peer.rare(|rare| {
                        rare.closed = Some((CloseCode::ABNORMAL, reason));
                        rare.refused = Some(status);
                    });
                }
                return Err(fault.into());
            }
        };
        #[cfg(feature = "compress")]
        if let Some(options) = self.peer.options.0.deflate {
            if let Some(agreed) = options.agreed(head.fields())? {
                self.decoder.set_inflater(agreed.inflater(Role::Client, &options));
                let deflater = agreed.deflater(Role::Client, &options);
                self.peer.rare(|rare| rare.deflater = Some((options.threshold, deflater)));
            }
        } else if head.fields().get("sec-websocket-extensions").is_some() {
            return Err(HandshakeFault::BadExtension.into());
        }
        #[cfg(not(feature = "compress"))]
        if head.fields().get("sec-websocket-extensions").is_some() {
            return Err(HandshakeFault::BadExtension.into());
        }
        if let Some(chosen) = chosen {
            self.peer.rare(|rare| rare.protocol = Some(chosen.into()));
        }
        Ok(())
    }
}
