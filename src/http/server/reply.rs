//! Answering one request.

use std::fmt;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use super::connection::At;
use super::exchange::{Answer, Hooks, flag};
use super::outgoing::{BodyLength, Pull, Puller, ReplyStream};
use super::remote::RemoteReply;
use super::response::{Body, Outline, Response};
use super::service::Service;
use super::{Completed, Connection, Disconnected, sending, taking_over};
use crate::net::Stream;
use crate::wire::cookie::SetCookie;
use crate::wire::{Fields, Status};
use crate::{Error, ErrorKind, EvLoop, Result};

const REPLYING: &str = "replying to a request";

/// The right, and the duty, to answer one request.
///
/// Answer at once, or keep it and answer later, from a timer for example; nothing else waits meanwhile, but
/// further requests on the same connection. It can be [sent to another thread](Self::into_remote). To keep it is what
/// `MHD_suspend_connection` is in libmicrohttpd, and there is nothing to resume.
///
/// | what is sent | |
/// |---|---|
/// | something whole | [`text`](Self::text), [`html`](Self::html), [`json`](Self::json), [`bytes`](Self::bytes), [`empty`](Self::empty), [`file`](Self::file), [`redirect`](Self::redirect), [`error`](Self::error); a [`Response`] by [`send`](Self::send) |
/// | piece by piece | [`stream`](Self::stream), [`pull`](Self::pull), [`pipe`](Self::pipe), [`events`](Self::events) |
/// | from another thread | [`into_remote`](Self::into_remote) |
/// | something else than HTTP | [`upgrade`](Self::upgrade) |
///
/// ```
/// use std::time::Duration;
/// use evloop::EvLoop;
/// use evloop::http::{Reply, Routes, Status};
///
/// let routes = Routes::new()
///     .get("/", |ev, _request, reply| reply.text(ev, "hello"))
///     .get("/slow", |ev: &mut EvLoop, _request, reply: Reply| {
///         ev.after(Duration::from_millis(100), move |ev| {
///             reply.status(Status::ACCEPTED).text(ev, "at last").ok();
///         });
///     });
/// ```
///
/// # Errors
///
/// All that answer return [`ErrorKind::Closed`] if the client is gone, which harms nobody, and
/// [`ErrorKind::InvalidInput`] if a field cannot be sent, and then 500 is.
///
/// # Sharp edges
///
/// * **Dropped unanswered** it answers 500.
/// * **Kept for ever** it keeps its connection; there is a [time-out](super::ServerOptions::handler_timeout) for that,
///   which is off.
#[must_use = "dropped, a reply is one of status 500"]
pub struct Reply {
    /// `None` once it was answered.
    service: Option<Rc<Service>>,
    at: At,
    serial: u32,
    outline: Outline,
}

/// A reply between a hook and its handler.
pub(super) struct Held {
    outline: Outline,
}

/// What is to be answered when somebody was asked.
pub(super) enum Pending {
    Response(Response),
    Error(Status, Outline),
}

impl Held {
    /// Whether nothing was added.
    pub(super) fn is_plain(&self) -> bool {
        self.outline.is_plain()
    }

    /// Adds what it has to what is to be answered.
    pub(super) fn onto(self, pending: Pending) -> Pending {
        let mut outline = self.outline;
        outline.status = Status::OK;
        match pending {
            Pending::Response(response) => Pending::Response(merged(outline, response)),
            Pending::Error(status, mut of) => {
                outline.lines.append(&mut of.lines);
                outline.has |= of.has;
                Pending::Error(status, outline)
            }
        }
    }
}

impl Reply {
    pub(super) fn new(service: Rc<Service>, at: At, serial: u32, held: Option<Held>) -> Self {
        let outline = held.map(|held| held.outline).unwrap_or_default();
        Self { service: Some(service), at, serial, outline }
    }

    /// Takes it apart, so that dropping it is no answer.
    pub(super) fn into_held(mut self) -> Held {
        self.service = None;
        Held { outline: std::mem::take(&mut self.outline) }
    }

    pub(super) fn is_of(&self, at: At, serial: u32) -> bool {
        self.service.is_some() && self.at == at && self.serial == serial
    }

    // --- before it is sent -----------------------------------------------------------------------

    /// Gives it a status, instead of 200.
    pub fn status(mut self, status: Status) -> Self {
        self.outline.set_status(status);
        self
    }

    /// Adds a field. `Content-Type` replaces the one that there is; `Connection: close` ends the connection
    /// after the reply; how the body is framed is for the server to say. Where there is an `Upgrade`, as a 426 has it,
    /// `Connection` names it.
    ///
    /// What cannot be in a field is an error of what sends it.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.outline.add(name, value.as_ref());
        self
    }

    /// Whether it was given a field of that name.
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.outline.value(name).is_some()
    }

    /// Has the client keep a cookie. One that no client would keep is an error of what sends it.
    pub fn cookie(mut self, cookie: &SetCookie) -> Self {
        self.outline.add_cookie(cookie);
        self
    }

    // --- whole replies ---------------------------------------------------------------------------

    /// Sends plain text, in UTF-8.
    pub fn text(self, ev: &mut EvLoop, body: impl AsRef<[u8]>) -> Result<()> {
        self.bytes(ev, "text/plain; charset=utf-8", body)
    }

    /// Sends HTML, in UTF-8.
    pub fn html(self, ev: &mut EvLoop, body: impl AsRef<[u8]>) -> Result<()> {
        self.bytes(ev, "text/html; charset=utf-8", body)
    }

    /// Sends JSON that was made already, by the crate `serde_json` say.
    pub fn json(self, ev: &mut EvLoop, body: impl AsRef<[u8]>) -> Result<()> {
        self.bytes(ev, "application/json", body)
    }

    /// Sends bytes of a type, unless a [`Content-Type`](Self::header) was given.
    pub fn bytes(
        mut self,
        ev: &mut EvLoop,
        content_type: &str,
        body: impl AsRef<[u8]>,
    ) -> Result<()> {
        let body = body.as_ref();
        let Some(service) = self.service.take() else { return Err(gone()) };
        if service.looks_at_replies() {
            self.service = Some(service);
            return self.send(ev, Response::bytes(content_type, body));
        }
        sending::answer_bytes(ev, &service, self.at, self.serial, &self.outline, content_type, body)
    }

    /// Sends no body.
    pub fn empty(self, ev: &mut EvLoop) -> Result<()> {
        self.send(ev, Response::new())
    }

    /// Sends the client elsewhere, with 302 unless it was given another [status](Self::status).
    pub fn redirect(mut self, ev: &mut EvLoop, location: &str) -> Result<()> {
        if self.outline.status == Status::OK {
            self.outline.status = Status::FOUND;
        }
        self.header("Location", location).send(ev, Response::new())
    }

    /// Sends the [error page](super::Routes::error_page) of a status.
    pub fn error(mut self, ev: &mut EvLoop, status: Status) -> Result<()> {
        let Some(service) = self.service.take() else { return Err(gone()) };
        let outline = std::mem::take(&mut self.outline);
        let pending = Pending::Error(status, outline);
        sending::postpone(ev, &service, self.at, self.serial, pending)
    }

    /// Sends a response, with its status and fields, and with those that this reply has got before.
    pub fn send(mut self, ev: &mut EvLoop, response: Response) -> Result<()> {
        let Some(service) = self.service.take() else { return Err(gone()) };
        if service.has_after() {
            return self.post(ev, &service, response);
        }
        let response = merged(std::mem::take(&mut self.outline), response);
        sending::answer(ev, &service, self.at, self.serial, response)
    }

    /// Sends a body that is copied behind a head that somebody has prepared, whose memory stays theirs.
    pub(in crate::http) fn prepared_bytes(
        mut self,
        ev: &mut EvLoop,
        outline: &mut Outline,
        content_type: &str,
        body: &[u8],
    ) -> Result<()> {
        if self.outline.is_plain() {
            match self.service.take() {
                Some(service) if !service.has_after() => {
                    let (at, serial) = (self.at, self.serial);
                    return sending::answer_bytes(
                        ev,
                        &service,
                        at,
                        serial,
                        outline,
                        content_type,
                        body,
                    );
                }
                service => self.service = service,
            }
        }
        let response = Response::bytes(content_type, body);
        self.send(ev, merged(std::mem::take(outline), response))
    }

    /// The status that it was given.
    pub(in crate::http) fn status_of(&self) -> Status {
        self.outline.status
    }

    /// Sends a part of a file: [`Response::file`].
    pub fn file(
        self,
        ev: &mut EvLoop,
        content_type: &str,
        file: impl Into<Arc<File>>,
        offset: u64,
        len: u64,
    ) -> Result<()> {
        self.send(ev, Response::file(content_type, file, offset, len))
    }

    fn post(mut self, ev: &mut EvLoop, service: &Rc<Service>, response: Response) -> Result<()> {
        let response = merged(std::mem::take(&mut self.outline), response);
        if let Err(error) = response.check() {
            sending::refuse_reply(ev, service, self.at, self.serial);
            return Err(error);
        }
        sending::postpone(ev, service, self.at, self.serial, Pending::Response(response))
    }

    // --- replies in pieces -----------------------------------------------------------------------

    /// Sends the head now, and the body as it is [written](ReplyStream::write).
    ///
    /// Of a length that is not known it is sent in chunks; to a client of HTTP/1.0 until the connection is closed.
    ///
    /// # Errors
    ///
    /// Those of [all replies](Self#errors).
    pub fn stream(mut self, ev: &mut EvLoop, length: BodyLength) -> Result<ReplyStream> {
        let Some(service) = self.service.take() else { return Err(gone()) };
        let outline = std::mem::take(&mut self.outline);
        let (at, serial) = (self.at, self.serial);
        Ok(if sending::begin_stream(ev, &service, at, serial, outline, length)? {
            ReplyStream::new(service, at, serial)
        } else {
            ReplyStream::absent(service, at, serial)
        })
    }

    /// Sends the head now, and asks for the body piece by piece, whenever there is room for more of it
    /// (`MHD_ContentReaderCallback`).
    ///
    /// Who has nothing for now says [`Pull::Later`], and [wakes](PullWaker::wake) it when there is.
    ///
    /// # Errors
    ///
    /// Those of [all replies](Self#errors).
    pub fn pull(
        self,
        ev: &mut EvLoop,
        length: BodyLength,
        source: impl FnMut(&mut EvLoop) -> Pull + 'static,
    ) -> Result<PullWaker> {
        let stream = self.stream(ev, length)?;
        let waker = PullWaker { server: stream.server(), at: stream.at(), serial: stream.serial() };
        if !stream.is_absent() {
            stream.pull(ev, Puller::new(source));
        }
        Ok(waker)
    }

    // --- something else --------------------------------------------------------------------------

    /// Sends an interim response, 102 or 103, before the real one (RFC 9110 §15.2). Clients of
    /// HTTP/1.0 get none.
    ///
    /// # Errors
    ///
    /// Those of [all replies](Self#errors); [`ErrorKind::InvalidInput`] for a status that is not between 102 and 199.
    pub fn interim(&self, ev: &mut EvLoop, status: Status, fields: &Fields) -> Result<()> {
        let service = self.service.as_ref().ok_or_else(gone)?;
        sending::interim(ev, service, self.at, self.serial, status, fields)
    }

    /// Answers 101 and takes the connection over: from here on it speaks another protocol
    /// (`MHD_create_response_for_upgrade`). What has come after the head is in the stream's input.
    ///
    /// The stream is the caller's, who gives it a [handler](Stream::set_handler) now. The server counts it
    /// no more, and stopping the server does not close it.
    ///
    /// # Errors
    ///
    /// Those of [all replies](Self#errors); [`ErrorKind::InvalidInput`] if the client has not asked to
    /// [upgrade](super::Request::upgrade), or sends a body first.
    pub fn upgrade(mut self, ev: &mut EvLoop, protocol: &str) -> Result<Stream> {
        let Some(service) = self.service.take() else { return Err(gone()) };
        let outline = std::mem::take(&mut self.outline);
        taking_over::upgrade(ev, &service, self.at, self.serial, &outline, protocol)
    }

    /// Lets another thread answer (`MHD_resume_connection`).
    #[must_use = "dropped, a reply is one of status 500"]
    pub fn into_remote(mut self) -> Option<RemoteReply> {
        let service = self.service.take()?;
        let outline = std::mem::take(&mut self.outline);
        Some(RemoteReply::new(&service, self.at, self.serial, outline))
    }

    // --- the client --------------------------------------------------------------------------------

    /// Its connection.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection { stream: self.at.stream }
    }

    /// The server that was asked.
    #[must_use]
    pub fn server(&self) -> super::Server {
        self.service.as_ref().map_or(super::Server { id: 0 }, |service| service.key)
    }

    /// Whether the client can still be answered.
    #[must_use]
    pub fn is_connected(&self, _ev: &EvLoop) -> bool {
        let Some(service) = &self.service else { return false };
        let mut state = service.state.borrow_mut();
        state.open_exchange(self.at, self.serial).is_some_and(|exchange| exchange.is_unanswered())
    }

    /// Has `hook` called if the client leaves before its reply is complete: as advice when it ends its sending side, and
    /// when it is gone, which may come after that or alone; each once at most. Replaces one that was set before.
    pub fn on_disconnect(&self, hook: impl FnMut(&mut EvLoop, Disconnected) + 'static) {
        let old = self.with_hooks(|hooks| hooks.on_disconnect.replace(Box::new(hook)));
        drop(old);
    }

    /// Has `hook` called when the request is over, one way or another: once.
    pub fn on_completed(&self, hook: impl FnOnce(&mut EvLoop, &Completed) + 'static) {
        let Some(service) = &self.service else { return };
        let summary = sending::summarize(service, self.at);
        self.with_hooks(|hooks| {
            hooks.on_completed.push(Box::new(hook));
            if hooks.summary.is_none() {
                hooks.summary = summary;
            }
        });
    }

    fn with_hooks<R>(&self, change: impl FnOnce(&mut Hooks) -> R) -> Option<R> {
        let service = self.service.as_ref()?;
        let mut state = service.state.borrow_mut();
        let exchange = state.exchange(self.at, self.serial)?;
        if exchange.answer == Answer::Done
            || exchange.has(flag::CLOSES) && !exchange.is_unanswered()
        {
            return None;
        }
        Some(change(exchange.hooks()))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            service.note_dropped(self.at, self.serial);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("connection", &self.at.stream.id())
            .field("status", &self.outline.status)
            .finish_non_exhaustive()
    }
}

/// Has a body that is [pulled](Reply::pull) go on after [`Pull::Later`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PullWaker {
    server: super::Server,
    at: At,
    serial: u32,
}

impl PullWaker {
    /// There is more. Returns whether anybody still wants it.
    pub fn wake(self, ev: &mut EvLoop) -> bool {
        let Some(service) = Service::find(ev, self.server) else { return false };
        sending::wake_puller(ev, &service, self.at, self.serial)
    }
}

pub(super) fn gone() -> Error {
    Error::new(ErrorKind::Closed, REPLYING)
}

/// Fields of both, and the status of the response unless only the reply was given one.
pub(super) fn merged(outline: Outline, mut response: Response) -> Response {
    let of = &mut response.outline;
    if outline.status != Status::OK && of.status == Status::OK {
        of.status = outline.status;
    }
    if !outline.lines.is_empty() {
        if outline.has & super::response::HAS_TYPE != 0 {
            of.drop_type();
        }
        let mut lines = outline.lines;
        lines.append(&mut of.lines);
        of.lines = lines;
    }
    of.has |= outline.has;
    of.closes |= outline.closes;
    of.length = of.length.or(outline.length);
    of.wrong = of.wrong.or(outline.wrong);
    response
}

/// What an empty body of another length would be, for replies to `HEAD`.
pub(super) fn length_of(body: &Body, outline: &Outline) -> u64 {
    outline.length.unwrap_or_else(|| body.len())
}
