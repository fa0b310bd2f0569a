//! What a client has asked for.

use std::any::Any;
use std::fmt;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::Duration;

use super::calling::guarded_for;
use super::connection::At;
use super::exchange::OwnTimes;
use super::incoming::{BodyEvent, Incoming, RequestBody};
use super::service::Service;
use super::{Connection, Summary, clients, connection};
use crate::http::table::Captures;
use crate::net::Address;
use crate::wire::{self, Fields, Framing, Method, Pairs, RequestHead, Version};
use crate::{Error, ErrorKind, EvLoop, Result};

/// Bytes of a body up to which its memory is kept for the next.
const KEPT_BODY: usize = 64 * 1024;

/// Bytes of a head up to which its memory is kept for the next.
pub(super) const KEPT_HEAD: usize = 16 * 1024;

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
///     let greeting = request.query_value("greeting").unwrap_or("hello".to_owned());
///     reply.text(ev, format!("{greeting} {name}, you sent {} bytes", request.body().len()))
/// });
/// ```
pub struct Request {
    /// `None` only while it is dropped or taken apart, and then there is nothing in it to be dropped: both take it out.
    parts: ManuallyDrop<Option<Box<Parts>>>,
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
    pub(super) notes: Option<Box<Notes>>,
}

/// What hooks have found out about a request, of which most have no such thing.
#[derive(Default)]
pub(super) struct Notes {
    /// Who has sent it, by name.
    pub(super) user: Option<Box<str>>,
    /// What it is called.
    pub(super) id: Option<Box<str>>,
    /// What else is left for handlers, one of each type.
    pub(super) data: Vec<Box<dyn Any>>,
}

impl Parts {
    pub(super) fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.head.raw_path())
    }

    fn reset(&mut self) {
        // Most have none of these, and are not to pay for dropping them.
        if self.path.is_some() || self.trailers.is_some() || self.notes.is_some() {
            (self.path, self.trailers, self.notes) = (None, None, None);
        }
        if self.body.capacity() > KEPT_BODY {
            self.body = Vec::new();
        } else {
            self.body.clear();
        }
        if self.head.memory() > KEPT_HEAD {
            self.head = RequestHead::default();
        }
    }
}

impl Request {
    pub(super) fn new(parts: Box<Parts>, service: Rc<Service>, at: At, serial: u32) -> Self {
        Self { parts: ManuallyDrop::new(Some(parts)), service, at, serial }
    }

    /// Takes it apart.
    pub(super) fn into_parts(mut self) -> Option<Box<Parts>> {
        self.parts.take()
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    pub(super) fn at(&self) -> At {
        self.at
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("the parts are there until the request is dropped")
    }

    fn parts_mut(&mut self) -> &mut Parts {
        self.parts.as_mut().expect("the parts are there until the request is dropped")
    }

    fn notes(&mut self) -> &mut Notes {
        self.parts_mut().notes.get_or_insert_default()
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

    /// The value of the first pair of that name in the query, decoded.
    #[doc(alias = "query_param")]
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

    /// Whether there is one, be it one that has nothing in it.
    pub(crate) fn has_body(&self) -> bool {
        self.parts().head.framing() != Framing::None
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
    /// [`ErrorKind::InvalidInput`] where the body was gathered, was asked for before, or is being thrown away, as it is
    /// once the reply was sent and nobody had asked for it; [`ErrorKind::Closed`] if the client is gone.
    pub fn receive(
        &self,
        ev: &mut EvLoop,
        handler: impl FnMut(&mut EvLoop, RequestBody, BodyEvent<'_>) + 'static,
    ) -> Result<RequestBody> {
        const ASKING: &str = "asking for the body of a request";
        let body = self.body_key();
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

    /// Has the loop call this on behalf of the request, as it calls a handler: soon, and with its panics caught.
    pub(crate) fn call_later(&self, ev: &mut EvLoop, f: impl FnOnce(&mut EvLoop) + 'static) {
        let (service, at) = (Rc::clone(&self.service), self.at);
        ev.defer(move |ev| {
            guarded_for(ev, &service, at, f);
        });
    }

    /// The key of its body.
    pub(crate) fn body_key(&self) -> RequestBody {
        RequestBody { server: self.service.key, at: self.at, serial: self.serial }
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
    /// For [hooks](super::Routes::before), as the next three.
    pub fn set_body_timeout(&mut self, limit: Option<Duration>) {
        self.with_own_times(|own| own.body = Some(limit));
    }

    /// Sets how long the whole body may take, instead of [the
    /// server's](super::ServerOptions::body_total_timeout).
    pub fn set_body_total_timeout(&mut self, limit: Option<Duration>) {
        self.with_own_times(|own| own.total = Some(limit));
    }

    /// Sets how fast the body must come, and from when on that is judged, instead of [what the server
    /// asks](super::ServerOptions::min_body_rate).
    pub fn set_min_body_rate(&mut self, bytes_per_second: u64, grace: Duration) {
        self.with_own_times(|own| own.rate = Some((bytes_per_second, grace)));
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

    /// What its connection has agreed on: version, names, the certificates that the client has shown. `None`
    /// without TLS.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn tls(&self, ev: &EvLoop) -> Option<Rc<crate::net::TlsInfo>> {
        self.at.stream.filter_info(ev)
    }

    /// Who it is from, by name, where a [hook](super::Routes::before) has found that out.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.parts().notes.as_ref()?.user.as_deref()
    }

    /// Attaches a value, one of each type: a [hook](super::Routes::before) leaves for the handler what it has found
    /// out. Returns the one of this type that was there. It goes with the request.
    ///
    /// ```
    /// use evloop::http::Routes;
    ///
    /// struct Tenant(String);
    ///
    /// let routes = Routes::new()
    ///     .before(|_, request, reply| {
    ///         let tenant = Tenant(request.header("X-Tenant").unwrap_or("nobody").to_owned());
    ///         request.set_data(tenant);
    ///         Some(reply)
    ///     })
    ///     .get("/", |ev, request, reply| {
    ///         reply.text(ev, request.data::<Tenant>().map_or("", |tenant| &tenant.0))
    ///     });
    /// ```
    pub fn set_data<T: Any>(&mut self, value: T) -> Option<T> {
        let old = self.take_data();
        self.notes().data.push(Box::new(value));
        old
    }

    /// What was attached of this type.
    #[must_use]
    pub fn data<T: Any>(&self) -> Option<&T> {
        self.parts().notes.as_ref()?.data.iter().find_map(|value| value.downcast_ref())
    }

    /// What was attached of this type, taken out.
    pub fn take_data<T: Any>(&mut self) -> Option<T> {
        let data = &mut self.parts_mut().notes.as_mut()?.data;
        let at = data.iter().position(|value| value.is::<T>())?;
        data.swap_remove(at).downcast().ok().map(|value| *value)
    }

    /// Says who it is from: for handlers, and for logs.
    pub fn set_user(&mut self, name: &str) {
        self.notes().user = Some(name.into());
        self.with_summary(|summary| summary.user = Some(name.into()));
    }

    /// What it is called, where it was given an [id](super::Routes::request_id).
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.parts().notes.as_ref()?.id.as_deref()
    }

    /// Gives it an id: for handlers, and for logs.
    pub fn set_id(&mut self, id: &str) {
        self.notes().id = Some(id.into());
        self.with_summary(|summary| summary.id = Some(id.into()));
    }

    fn with_summary(&self, change: impl FnOnce(&mut Summary)) {
        let mut state = self.service.state.borrow_mut();
        let exchange = state.exchange(self.at, self.serial);
        let hooks = exchange.and_then(|exchange| exchange.hooks.as_deref_mut());
        if let Some(summary) = hooks.and_then(|hooks| hooks.summary.as_mut()) {
            change(Rc::make_mut(summary));
        }
    }

    /// Who has sent it, or the proxy before that. With a [PROXY
    /// header](super::ServerOptions::proxy_protocol), the one that was named there.
    #[must_use]
    pub fn peer(&self, ev: &EvLoop) -> Option<Address> {
        clients::source_of(ev, self.at.stream)
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
