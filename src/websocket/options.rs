//! What is allowed, and how a server answers.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::http::{Request, SHORTEST};
#[cfg(feature = "compress")]
use crate::wire::websocket::deflate::DeflateOptions;
use crate::wire::websocket::{DecoderLimits, Role};

/// Chooses among what a client offers.
type Choose = Rc<dyn Fn(&[&str]) -> Option<usize>>;

type AllowOrigin = Rc<dyn Fn(&Request) -> bool>;

/// What a [`WebSocket`](super::WebSocket) may do and take, at either end. The defaults are good for most.
///
/// Cheap to clone: a handler that accepts many has one, made before.
///
/// ```
/// use std::time::Duration;
/// use evloop::EvLoop;
/// use evloop::http::{Reply, Request, Routes};
/// use evloop::websocket::{WebSocketEvent, WebSocketOptions, same_origin};
///
/// let options = WebSocketOptions::new()
///     .max_message(64 * 1024)
///     .ping(Duration::from_secs(30), Duration::from_secs(10))
///     .protocols(["chat.v2", "chat.v1"])
///     .origin(same_origin);
/// let routes = Routes::new().get("/chat", move |ev: &mut EvLoop, request: Request, reply: Reply| {
///     let _ = options.accept(ev, &request, reply, |ev, ws, event| {
///         if let WebSocketEvent::Text(text) = event {
///             let _ = ws.send_text(ev, text);
///         }
///     });
/// });
/// ```
#[derive(Clone, Default)]
pub struct WebSocketOptions(pub(super) Rc<Settings>);

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limits: DecoderLimits,
    pub(super) fragments: bool,
    pub(super) ping: Option<(Duration, Duration)>,
    pub(super) idle: Option<Duration>,
    pub(super) message: Option<Duration>,
    pub(super) write: Option<Duration>,
    pub(super) close: Duration,
    pub(super) choose: Option<Choose>,
    pub(super) origin: Option<AllowOrigin>,
    #[cfg(feature = "compress")]
    pub(super) deflate: Option<DeflateOptions>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: DecoderLimits::default(),
            fragments: false,
            ping: None,
            idle: None,
            message: Some(Duration::from_secs(120)),
            write: Some(Duration::from_secs(30)),
            close: Duration::from_secs(3),
            choose: None,
            origin: None,
            #[cfg(feature = "compress")]
            deflate: None,
        }
    }
}

impl WebSocketOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Rc::make_mut(&mut self.0));
        self
    }

    /// How long a frame may be, in bytes: 1 MiB. A longer one closes with 1009, before it is read.
    #[must_use]
    pub fn max_frame(self, bytes: usize) -> Self {
        self.with(|settings| settings.limits.frame = bytes)
    }

    /// How long a message may be, in bytes, of all its fragments and once it is inflated: 4 MiB. A longer one closes
    /// with 1009.
    #[must_use]
    pub fn max_message(self, bytes: usize) -> Self {
        self.with(|settings| settings.limits.message = bytes)
    }

    /// Of how many frames a message may be: 1024. More close with 1009.
    #[must_use]
    pub fn max_fragments(self, frames: u32) -> Self {
        self.with(|settings| settings.limits.fragments = frames)
    }

    /// Whether messages are told [frame by frame](super::WebSocketEvent::Fragment), in place of whole (mongoose's
    /// `MG_F_WEBSOCKET_NO_DEFRAG`). The default is no.
    #[must_use]
    pub fn fragments(self, on: bool) -> Self {
        self.with(|settings| settings.fragments = on)
    }

    /// Sends a ping when nothing has come for `interval`, and cuts the connection if nothing comes for `deadline` after
    /// that. Off at first.
    ///
    /// It keeps proxies from forgetting the connection, and finds peers that are gone without a word. While reading is
    /// [paused](super::WebSocket::pause) nobody is judged. Each is a millisecond at least.
    #[must_use]
    pub fn ping(self, interval: Duration, deadline: Duration) -> Self {
        let [interval, deadline] = [interval, deadline].map(|of| of.max(SHORTEST));
        self.with(|settings| settings.ping = Some((interval, deadline)))
    }

    /// Closes, with 1001, when nothing at all has come for so long. `None`, the default, is never. At least a
    /// millisecond.
    #[must_use]
    pub fn idle_timeout(self, limit: Option<Duration>) -> Self {
        let limit = limit.map(|limit| limit.max(SHORTEST));
        self.with(|settings| settings.idle = limit)
    }

    /// Cuts the connection when a message has begun and is not complete for so long, however many bytes come: 2 min.
    /// While reading is [paused](super::WebSocket::pause) no time passes. Messages that are told [frame by
    /// frame](Self::fragments) may take as long as they like.
    #[must_use]
    pub fn message_timeout(self, limit: Option<Duration>) -> Self {
        self.with(|settings| settings.message = limit)
    }

    /// Cuts the connection when there is something to send and the peer takes none of it for so long: 30 s.
    #[must_use]
    pub fn write_timeout(self, limit: Option<Duration>) -> Self {
        self.with(|settings| settings.write = limit)
    }

    /// How long the other end may take to say goodbye, and to end the connection: 3 s. Then it is cut.
    #[must_use]
    pub fn close_timeout(self, limit: Duration) -> Self {
        self.with(|settings| settings.close = limit)
    }

    /// The subprotocols that a server speaks, the one it would like best first. The first of them that a client offers
    /// is [agreed on](super::WebSocket::protocol); if it offers none of them, none is, and the WebSocket opens all the
    /// same.
    #[must_use]
    pub fn protocols<P: Into<String>>(self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols: Vec<String> = protocols.into_iter().map(Into::into).collect();
        self.choose_protocol(move |offered| {
            protocols.iter().find_map(|ours| offered.iter().position(|theirs| theirs == ours))
        })
    }

    /// Has a closure choose among the subprotocols that a client offers, by index. Never one that it has not offered.
    #[must_use]
    pub fn choose_protocol(self, choose: impl Fn(&[&str]) -> Option<usize> + 'static) -> Self {
        self.with(|settings| settings.choose = Some(Rc::new(choose)))
    }

    /// Has a closure look at the request, its `Origin` above all, before a server accepts: 403 if it says no.
    ///
    /// The default is to allow all. Browsers let any page connect to any server, with the user's cookies: whoever relies
    /// on those says [`same_origin`](super::same_origin) here, or has a list.
    #[must_use]
    pub fn origin(self, allow: impl Fn(&Request) -> bool + 'static) -> Self {
        self.with(|settings| settings.origin = Some(Rc::new(allow)))
    }

    /// Agrees on compressed messages, where the other end can. Off at first. See
    /// [`deflate`](crate::wire::websocket::deflate) for what it costs.
    ///
    /// Messages that are sent to many, and fragments, are sent as they are.
    #[cfg(feature = "compress")]
    #[cfg_attr(docsrs, doc(cfg(feature = "compress")))]
    #[must_use]
    pub fn deflate(self, options: DeflateOptions) -> Self {
        self.with(|settings| settings.deflate = Some(options))
    }

    pub(super) fn decoder(&self, role: Role) -> crate::wire::websocket::Decoder {
        let mut decoder = crate::wire::websocket::Decoder::new(role, self.0.limits);
        decoder.set_fragments(self.0.fragments);
        decoder
    }
}

impl fmt::Debug for WebSocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &*self.0;
        f.debug_struct("WebSocketOptions")
            .field("limits", &settings.limits)
            .field("fragments", &settings.fragments)
            .field("ping", &settings.ping)
            .field("idle_timeout", &settings.idle)
            .field("message_timeout", &settings.message)
            .field("write_timeout", &settings.write)
            .field("close_timeout", &settings.close)
            .finish_non_exhaustive()
    }
}
