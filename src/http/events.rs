//! Server-sent events: replies that do not end (WHATWG HTML §9.2).

// A stream of events is a reply in pieces, with a comment now and then. Its handles own it; the timer and the server, which
// says goodbye to it, only know where it is. What must be given back whatever becomes of the client (the timer, the place in
// the server's book) is in `Around`, which the hook for the end of the request holds.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::server::guests::{self, Admission, Farewell, Guest};
use super::server::{BodyLength, Connection, Disconnected, Reply, ReplyStream, Request};
use crate::wire::events::{EVENT_STREAM, Event, HEARTBEAT, comment};
use crate::{Error, ErrorKind, EvLoop, Result, Timer};

const SENDING: &str = "sending an event";

/// What becomes of a client that does not read as fast as events are sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// Its connection is cut. It connects again, and says which event was
    /// [its last](Request::last_event_id): nothing is lost unnoticed.
    #[default]
    Close,
    /// Events for which there is no room are not sent to it, and are [counted](EventStream::dropped).
    Drop,
}

/// How a stream of events is to be.
///
/// ```
/// use std::time::Duration;
/// use evloop::http::{EventOptions, Overflow};
///
/// let options = EventOptions::new()
///     .heartbeat(Some(Duration::from_secs(30)))
///     .retry(Duration::from_secs(2))
///     .overflow(Overflow::Drop)
///     .max_waiting(64 * 1024);
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a reply has them"]
pub struct EventOptions {
    heartbeat: Option<Duration>,
    retry: Option<Duration>,
    overflow: Overflow,
    max_waiting: usize,
}

impl Default for EventOptions {
    fn default() -> Self {
        Self {
            heartbeat: Some(Duration::from_secs(15)),
            retry: None,
            overflow: Overflow::Close,
            max_waiting: 256 * 1024,
        }
    }
}

impl EventOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// After how long without an event a comment is sent, so that nobody on the way takes the connection for
    /// dead, and a client that is gone is noticed. 15 s; at least 1 ms; `None` for never.
    pub fn heartbeat(mut self, interval: Option<Duration>) -> Self {
        self.heartbeat = interval.map(|interval| interval.max(Duration::from_millis(1)));
        self
    }

    /// Says at the beginning how long the client is to wait before it connects again. Unless it is said, browsers
    /// wait a few seconds.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// What becomes of a client that does not read. [`Overflow::Close`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How many bytes may wait for the client to read them, in all: more is an [overflow](Self::overflow), and so
    /// is a single event that is larger. 256 KiB. The
    /// [hard limit](crate::net::Stream::set_write_limits) of the connection holds as well.
    pub fn max_waiting(mut self, bytes: usize) -> Self {
        self.max_waiting = bytes;
        self
    }
}

/// What has become of an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// It is on its way.
    Queued,
    /// It was not sent: too much waits; or the request is a `HEAD`, or the server stops, and the stream is over when
    /// the handler has returned.
    Dropped,
}

/// An event in the form in which it is sent: made once, for many [streams](EventStream::send_prepared).
///
/// ```
/// use evloop::http::PreparedEvent;
/// use evloop::wire::events::Event;
///
/// let event = PreparedEvent::new(&Event::new("42").name("answer"))?;
/// assert_eq!(event.as_bytes(), b"event: answer\ndata: 42\n\n");
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreparedEvent {
    bytes: Vec<u8>,
}

impl PreparedEvent {
    /// Encodes an event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a name or an id that cannot be sent.
    pub fn new(event: &Event) -> Result<Self> {
        let mut bytes = Vec::new();
        event.encode(&mut bytes)?;
        Ok(Self { bytes })
    }

    /// What is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A reply that is a stream of events, from [`Reply::events`].
///
/// It is a handle: clones are the same stream, and cost a counter. Kept in a list it is a channel:
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use evloop::EvLoop;
/// use evloop::http::{EventOptions, EventStream, PreparedEvent, Reply, Request, Routes};
/// use evloop::wire::events::Event;
///
/// let listeners: Rc<RefCell<Vec<EventStream>>> = Rc::default();
/// let list = Rc::clone(&listeners);
/// let routes = Routes::new().get("/events", move |ev: &mut EvLoop, request: Request, reply: Reply| {
///     let stream = reply.events(ev, EventOptions::new())?;
///     if let Some(last) = request.last_event_id() {
///         // Here goes what has happened since.
///         stream.send(ev, &Event::new(format!("you were away since {last}")))?;
///     }
///     list.borrow_mut().push(stream);
///     Ok::<(), evloop::Error>(())
/// });
///
/// let mut ev = EvLoop::new()?;
/// let second = Duration::from_secs(1);
/// let mut n = 0;
/// ev.timer(second, second, move |ev, _| {
///     n += 1;
///     if let Ok(event) = PreparedEvent::new(&Event::new(n.to_string()).id(n.to_string())) {
///         listeners.borrow_mut().retain(|stream| stream.send_prepared(ev, &event).is_ok());
///     }
/// })
/// .start(&mut ev);
/// # drop(routes);
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **When the last handle is dropped the connection is cut.** [`close`](Self::close) ends it in order. Either way the
///   client connects again by itself, unless it is told not to: with 204.
/// * **A server that shuts down closes its streams of events**; one that has been told to before a stream begins gives
///   one that is over.
/// * **A client that has gone is noticed when its connection says so**, or when nothing of what was sent is taken for as
///   long as the server's [write time-out](super::ServerOptions::write_timeout): for that there are heartbeats.
/// * **Browsers keep six connections for each server** in all of their windows together, and a stream is one of
///   them.
#[derive(Clone)]
#[must_use = "when its last handle is dropped, the connection is cut"]
pub struct EventStream {
    inner: Rc<Inner>,
}

struct Inner {
    /// `None` once it is over.
    stream: RefCell<Option<ReplyStream>>,
    connection: Connection,
    around: Rc<Around>,
    /// When something was sent last.
    last: Cell<Instant>,
    dropped: Cell<u64>,
    /// Nothing is sent from the beginning, and whoever sends in the handler has done nothing wrong.
    is_mute: Cell<bool>,
    overflow: Overflow,
    max_waiting: usize,
    /// What is put together for sending.
    scratch: RefCell<Vec<u8>>,
}

/// What is given back at the end of the request.
#[derive(Default)]
struct Around {
    timer: Cell<Option<Timer>>,
    admission: RefCell<Option<Admission>>,
    is_over: Cell<bool>,
}

impl Around {
    fn stop_timer(&self, ev: &mut EvLoop) {
        if let Some(timer) = self.timer.take() {
            timer.free(ev);
        }
    }

    fn end(&self, ev: &mut EvLoop) {
        self.is_over.set(true);
        self.stop_timer(ev);
        let admission = self.admission.borrow_mut().take();
        if let Some(admission) = admission {
            guests::dismiss(ev, admission);
        }
    }
}

/// What the server knows of a stream.
struct Seen(Weak<Inner>);

impl Guest for Seen {
    fn farewell(self: Rc<Self>, ev: &mut EvLoop, how: Farewell) {
        let Some(inner) = self.0.upgrade() else { return };
        match how {
            Farewell::InOrder => inner.close(ev),
            Farewell::Now => inner.abort(ev),
        }
    }
}

impl Reply {
    /// Begins a stream of server-sent events: 200, `text/event-stream`, not to be stored, and not to be held back by a
    /// proxy (`X-Accel-Buffering: no`), unless the reply was given fields of those names.
    ///
    /// To a client of HTTP/1.0 it is sent until the connection is closed; the reply to a `HEAD` is complete with its
    /// head, and the stream is over then.
    ///
    /// # Errors
    ///
    /// Those of [`Reply::stream`].
    pub fn events(mut self, ev: &mut EvLoop, options: EventOptions) -> Result<EventStream> {
        let EventOptions { heartbeat, retry, overflow, max_waiting } = options;
        let fields = [
            ("Content-Type", EVENT_STREAM),
            ("Cache-Control", "no-store"),
            ("X-Accel-Buffering", "no"),
        ];
        for (name, value) in fields {
            if !self.has_header(name) {
                self = self.header(name, value);
            }
        }
        let (server, connection) = (self.server(), self.connection());
        let around = Rc::new(Around::default());
        let at_end = Rc::clone(&around);
        self.on_completed(move |ev, _| at_end.end(ev));
        let stream = self.stream(ev, BodyLength::Unknown)?;
        let is_absent = stream.is_absent();
        let inner = Rc::new(Inner {
            stream: RefCell::new(Some(stream)),
            connection,
            around,
            last: Cell::new(ev.now()),
            dropped: Cell::new(0),
            is_mute: Cell::new(is_absent),
            overflow,
            max_waiting,
            scratch: RefCell::default(),
        });
        let events = EventStream { inner };
        if is_absent {
            events.close(ev);
            return Ok(events);
        }
        if let Some(delay) = retry {
            events.send(ev, &Event::silent().retry(delay))?;
        }
        let inner = &events.inner;
        let seen = Rc::new(Seen(Rc::downgrade(inner)));
        let Some(admission) = guests::admit(ev, server, seen) else {
            // The server stops: what has begun ends in order.
            inner.is_mute.set(true);
            events.close(ev);
            return Ok(events);
        };
        inner.around.admission.replace(Some(admission));
        if let Some(interval) = heartbeat {
            let of = Rc::downgrade(inner);
            let timer = ev.timer(interval, interval, move |ev, e| {
                if let Some(inner) = of.upgrade() {
                    inner.beat(ev, e.watcher, interval);
                }
            });
            inner.around.timer.set(Some(timer.start(ev)));
        }
        Ok(events)
    }
}

impl Request {
    /// The id of the last event that the client has got before its connection was lost (`Last-Event-ID`, WHATWG
    /// HTML §9.2.4).
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.header("last-event-id")
    }
}

impl EventStream {
    /// Sends an event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a name or an id that cannot be sent; [`ErrorKind::Closed`] if the stream is over;
    /// [`ErrorKind::Full`] if too much waits and the connection was [cut](Overflow::Close) for that.
    pub fn send(&self, ev: &mut EvLoop, event: &Event) -> Result<Delivery> {
        let mut bytes = self.inner.scratch.take();
        bytes.clear();
        let result = match event.encode(&mut bytes) {
            Ok(()) => self.inner.put(ev, &bytes),
            Err(fault) => Err(fault.into()),
        };
        // Large ones are rare, and so is the memory for them.
        if bytes.capacity() <= 4096 {
            self.inner.scratch.replace(bytes);
        }
        result
    }

    /// Sends an event that was encoded before.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn send_prepared(&self, ev: &mut EvLoop, event: &PreparedEvent) -> Result<Delivery> {
        self.inner.put(ev, event.as_bytes())
    }

    /// Sends a comment, of which nobody is told.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn comment(&self, ev: &mut EvLoop, text: &str) -> Result<Delivery> {
        let mut bytes = Vec::new();
        comment(text, &mut bytes);
        self.inner.put(ev, &bytes)
    }

    /// Says how long the client is to wait before it connects again.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn retry(&self, ev: &mut EvLoop, delay: Duration) -> Result<Delivery> {
        self.send(ev, &Event::silent().retry(delay))
    }

    /// Ends it, after what was sent. Whatever was closed before is left alone.
    pub fn close(&self, ev: &mut EvLoop) {
        self.inner.close(ev);
    }

    /// Whether it is not over, and the client still there.
    #[must_use]
    pub fn is_connected(&self, ev: &EvLoop) -> bool {
        let stream = self.inner.stream.borrow();
        stream.as_ref().is_some_and(|stream| stream.is_connected(ev))
            && !self.inner.around.is_over.get()
    }

    /// Has `hook` called if the client leaves, or is cut off: not after [`close`](Self::close). Replaces one that was set
    /// before; see [`Reply::on_disconnect`].
    pub fn on_disconnect(&self, hook: impl FnMut(&mut EvLoop, Disconnected) + 'static) {
        if let Some(stream) = &*self.inner.stream.borrow() {
            stream.on_disconnect(hook);
        }
    }

    /// How many events were not sent, for want of room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.dropped.get()
    }

    /// How many bytes wait to leave.
    #[must_use]
    pub fn waiting(&self, ev: &EvLoop) -> usize {
        self.inner.stream.borrow().as_ref().map_or(0, |stream| stream.waiting(ev))
    }

    /// The connection it is on.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.inner.connection
    }
}

impl Inner {
    fn put(&self, ev: &mut EvLoop, bytes: &[u8]) -> Result<Delivery> {
        if self.is_mute.get() && !self.around.is_over.get() {
            return Ok(Delivery::Dropped);
        }
        let result = {
            let stream = self.stream.borrow();
            let stream = stream.as_ref().ok_or_else(over)?;
            if !stream.is_connected(ev) {
                return Err(over());
            }
            let waiting = stream.waiting(ev);
            if waiting.saturating_add(bytes.len()) > self.max_waiting {
                Err(Error::new(ErrorKind::Full, SENDING))
            } else {
                stream.write(ev, bytes)
            }
        };
        match result {
            Ok(_) => {
                self.last.set(ev.now());
                Ok(Delivery::Queued)
            }
            Err(error) if error.kind() != ErrorKind::Full => Err(error),
            Err(_) if self.overflow == Overflow::Drop => {
                self.dropped.set(self.dropped.get() + 1);
                Ok(Delivery::Dropped)
            }
            Err(error) => {
                self.dropped.set(self.dropped.get() + 1);
                self.abort(ev);
                Err(error)
            }
        }
    }

    /// Nothing was sent for a while, perhaps.
    fn beat(&self, ev: &mut EvLoop, timer: Timer, interval: Duration) {
        let quiet = ev.now().saturating_duration_since(self.last.get());
        if quiet < interval {
            timer.restart(ev, interval - quiet);
            return;
        }
        // Behind what waits already it would tell nobody anything.
        let stream = self.stream.borrow();
        if let Some(stream) = stream.as_ref().filter(|stream| stream.waiting(ev) == 0) {
            // Who is gone is told of by the connection.
            let _ = stream.write(ev, HEARTBEAT);
            self.last.set(ev.now());
        }
    }

    fn close(&self, ev: &mut EvLoop) {
        self.around.stop_timer(ev);
        let stream = self.stream.borrow_mut().take();
        if let Some(stream) = stream {
            // If the client is gone, nobody is owed an end.
            let _ = stream.end(ev);
        }
    }

    fn abort(&self, ev: &mut EvLoop) {
        self.around.stop_timer(ev);
        let stream = self.stream.borrow_mut().take();
        if let Some(stream) = stream {
            stream.abort(ev);
        }
    }
}

#[cold]
fn over() -> Error {
    Error::new(ErrorKind::Closed, SENDING)
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("connection", &self.inner.connection.id())
            .field("dropped", &self.inner.dropped.get())
            .finish_non_exhaustive()
    }
}
