//! What a client has asked for.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::connection::At;
use super::exchange::OwnTimes;
use super::incoming::{BodyEvent, Incoming, RequestBody};
use super::service::Service;
use super::{Connection, connection};
use crate::http::table::Captures;
use crate::net::Address;
use crate::wire::{self, Fields, Framing, Method, Pairs, RequestHead, Version};
use crate::{Error, ErrorKind, EvLoop, Result};

/// Bytes of a body up to which its memory is kept for the next.
const KEPT_BODY: usize = 64 * 1024;

/// Bytes of a head up to which its memory is kept for the next.
const KEPT_HEAD: usize = 16 * 1024;

/// A request: its head and, unless it is [streamed](super::Routes::streaming), its body.
///
/// It is the handler's to keep. What it holds is its own: it stays as it is when the client is gone.
///
/// ```
/// use evloop::http::{Reply, Request, Routes};
/// use evloop::EvLoop;
///
/// let routes = Routes::new().post("/greet/{name}", |ev: &mut EvLoop, request: Request, reply: Reply| {
///     let name = request.param("name").unwrap_or("you");
///     let loud = request.query_pairs().any(|(name, _)| name == "loud");
///     let text = format!("hello {name}, you sent {} bytes{}", request.body().len(), if loud { "!" } else { "." });
///     reply.text(ev, text)
/// });
/// ```
pub struct Request {
    /// `None` only while it is dropped or taken apart.
    parts: Option<Box<Parts>>,
    service: Rc<Service>,
    at: At,
    serial: u32,
}

/// What a request holds, which goes from one to the next.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) head: RequestHead,
    /// Where it is not the raw one.
    pub(super) path: Option<String>,
    pub(super) captures: Captures,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Fields>,
}

impl Parts {
    pub(super) fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.head.raw_path())
    }

    fn reset(&mut self) {
        self.path = None;
        if self.body.capacity() > KEPT_BODY {
            self.body = Vec::new();
        } else {
            self.body.clear();
        }
        self.trailers = None;
        if self.head.memory() > KEPT_HEAD {
            self.head = RequestHead::default();
        }
    }
}

impl Request {
    pub(super) fn new(parts: Box<Parts>, service: Rc<Service>, at: At, serial: u32) -> Self {
        Self { parts: Some(parts), service, at, serial }
    }

    /// Takes it apart.
    pub(super) fn into_parts(mut self) -> Option<Box<Parts>> {
        self.parts.take()
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("the parts are there until the request is dropped")
    }

    fn parts_mut(&mut self) -> &mut Parts {
        self.parts.as_mut().expect("the parts are there until the request is dropped")
    }

    // --- the request line ------------------------------------------------------------------------

    /// What is to be done.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.parts().head.method()
    }

    /// The target as it came: `/a%20b?c=d`, and with proxies `http://host/a%20b?c=d`.
    #[must_use]
    pub fn target(&self) -> &str {
        self.parts().head.target()
    }

    /// The path, decoded and without `.` and `..`. `%2F` stays as it is: it separates nothing.
    #[must_use]
    pub fn path(&self) -> &str {
        self.parts().path()
    }

    /// The path as it came.
    #[must_use]
    pub fn raw_path(&self) -> &str {
        self.parts().head.raw_path()
    }

    /// What stands behind the `?`, as it came.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.parts().head.query()
    }

    /// The pairs of the query, decoded, in order.
    pub fn query_pairs(&self) -> Pairs<'_> {
        wire::urlencoded::parse(self.query().unwrap_or_default())
    }

    /// The value of the first pair of that name in the query.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query_pairs().find(|(of, _)| of == name).map(|(_, value)| value.into_owned())
    }

    /// The version: what is later than 1.1 counts as that.
    #[must_use]
    pub fn version(&self) -> Version {
        self.parts().head.version()
    }

    /// What the route's `{name}` stands for.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let parts = self.parts();
        parts.captures.named(parts.path(), name)
    }

    /// What the route's captures stand for, `{name}`, `*` and `#`, counted from 0 in their order.
    #[must_use]
    pub fn capture(&self, index: usize) -> Option<&str> {
        let parts = self.parts();
        parts.captures.at(parts.path(), index)
    }

    // --- fields ----------------------------------------------------------------------------------

    /// All the fields, in order.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        self.parts().head.fields()
    }

    /// The value of the first field of that name, if it is text. In whatever case the name is written.
    ///
    /// Values are bytes, which few clients know: those that are not UTF-8 are in
    /// [`fields`](Self::fields).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields().get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The host that was asked for, with its port: that of the target if it has one, else `Host`. Clients can
    /// say what they like here.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.parts().head.authority()
    }

    /// `Content-Type`, as it came.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header("content-type")
    }

    /// How long the body is, if that was said in advance; 0 if there is none.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match self.parts().head.framing() {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        }
    }

    /// The protocols that the client would rather speak, if it has asked for that (RFC 9110 §7.8).
    #[must_use]
    pub fn upgrade(&self) -> Option<&str> {
        self.parts().head.upgrade().and_then(|value| std::str::from_utf8(value).ok())
    }

    // --- the body --------------------------------------------------------------------------------

    /// The body. Empty where it is [streamed](super::Routes::streaming), and in hooks, which are called before it
    /// comes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.parts().body
    }

    /// The body, taken out.
    #[must_use]
    pub fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.parts_mut().body)
    }

    /// The pairs of a body that is a form (`application/x-www-form-urlencoded`), decoded, in order.
    pub fn form_pairs(&self) -> Pairs<'_> {
        wire::urlencoded::parse(self.body())
    }

    /// Fields that came behind the body. They are never among the others, and those that could change what was
    /// decided before are left out (RFC 9110 §6.5.1).
    #[must_use]
    pub fn trailers(&self) -> Option<&Fields> {
        self.parts().trailers.as_ref()
    }

    /// Asks for the body of a [streamed](super::Routes::streaming) request: `handler` is called with
    /// what comes, and with its end. A client that waits to be told to go on with it is told so now.
    ///
    /// It is called by the loop, never from inside of this.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] where the body was gathered, or was asked for before;
    /// [`ErrorKind::Closed`] if the client is gone.
    pub fn receive(
        &self,
        ev: &mut EvLoop,
        handler: impl FnMut(&mut EvLoop, RequestBody, BodyEvent<'_>) + 'static,
    ) -> Result<RequestBody> {
        const ASKING: &str = "asking for the body of a request";
        let body = RequestBody { server: self.service.key, at: self.at, serial: self.serial };
        let wanted = connection::receive(&self.service, body, Incoming::new(handler));
        match wanted {
            Ok(()) => {}
            Err(true) => return Err(Error::new(ErrorKind::InvalidInput, ASKING)),
            Err(false) => return Err(Error::new(ErrorKind::Closed, ASKING)),
        }
        connection::go_on_with_body(ev, &self.service, self.at, self.serial);
        connection::touch(ev, &self.service, self.at);
        Ok(body)
    }

    /// Sets how large the body may be, in bytes, instead of what [the server
    /// allows](super::ServerOptions::max_body). For [hooks](super::Routes::before), which are called before it is read.
    pub fn set_max_body(&mut self, bytes: u64) {
        let mut state = self.service.state.borrow_mut();
        if let Some(exchange) = state.exchange(self.at, self.serial) {
            exchange.body_limit = bytes;
        }
    }

    /// Sets how long nothing of the body may come, instead of [the server's](super::ServerOptions::body_timeout).
    /// For [hooks](super::Routes::before), as the next two.
    pub fn set_body_timeout(&mut self, limit: Option<Duration>) {
        self.with_own_times(|own| own.body = Some(limit));
    }

    /// Sets how long the whole body may take, instead of [the
    /// server's](super::ServerOptions::body_total_timeout).
    pub fn set_body_total_timeout(&mut self, limit: Option<Duration>) {
        self.with_own_times(|own| own.total = Some(limit));
    }

    /// Sets how long the handler may take to begin its reply, instead of [the
    /// server's](super::ServerOptions::handler_timeout).
    pub fn set_handler_timeout(&mut self, limit: Option<Duration>) {
        self.with_own_times(|own| own.handler = Some(limit));
    }

    fn with_own_times(&self, change: impl FnOnce(&mut OwnTimes)) {
        let mut state = self.service.state.borrow_mut();
        if let Some(exchange) = state.exchange(self.at, self.serial) {
            change(exchange.own.get_or_insert_default());
        }
    }

    // --- where it comes from ---------------------------------------------------------------------

    /// The connection it came on.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection { stream: self.at.stream }
    }

    /// Who has sent it, or the proxy before that.
    #[must_use]
    pub fn peer(&self, ev: &EvLoop) -> Option<Address> {
        self.at.stream.peer(ev)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        parts.reset();
        // While the state is in use, its memory goes the usual way.
        if let Ok(mut state) = self.service.state.try_borrow_mut() {
            state.give_parts(parts);
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("target", &self.target())
            .field("fields", self.fields())
            .finish_non_exhaustive()
    }
}
