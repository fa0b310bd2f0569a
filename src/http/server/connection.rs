//! One connection of a server: what happens to it, and what has become of its requests.

use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::clients::Counted;
use super::completing::{self, Outstanding};
use super::completion::{CompletionReason, Disconnected};
use super::exchange::{Answer, Exchange, flag};
use super::incoming::{Incoming, RequestBody};
use super::options::{HalfClose, SHORTEST};
use super::pace::{self, Pace};
use super::preface::{self, Stage};
use super::reply::gone;
use super::service::{Service, State};
use super::stats::index_of;
use super::stopping::Leaving;
use super::{Connection, ConnectionEvent, calling, driving, ending, sending, telling, times};
use super::{capacity, clients};
use crate::net::{
    Accepted, Address, Direction, Reason, Stream, StreamEvent, serve_accepted, serve_given,
};
use crate::wire::Status;
use crate::{Error, ErrorKind, EvLoop, Result};

/// Where a connection is found: its place among those of its server, and its stream, which no other ever has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct At {
    pub(super) index: u32,
    pub(super) stream: Stream,
}

/// What a connection is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Something has to come before the first request.
    Preface,
    /// Between requests.
    Idle,
    /// Some of a head has come.
    Head,
    /// The body is gathered.
    Body,
    /// The handler has it.
    Handling,
    /// The rest of a body is read for nobody.
    Draining,
    /// Nothing that comes is of interest any more.
    Closing,
}

/// Bits of [`Conn::flags`].
pub(super) mod conn_flag {
    /// Somebody up the stack goes on with it.
    pub(in super::super) const DRIVEN: u16 = 1;
    /// So much waits to be sent that nothing more is asked for.
    pub(in super::super) const STALLED: u16 = 1 << 1;
    /// The stream's reading is disabled.
    pub(in super::super) const DEAF: u16 = 1 << 2;
    /// The client has ended its side.
    pub(in super::super) const ENDED: u16 = 1 << 3;
    /// It is being closed: no reply is accepted any more.
    pub(in super::super) const ENDING: u16 = 1 << 4;
    /// The stream's timer is set for the head.
    pub(in super::super) const HEAD_TIMED: u16 = 1 << 5;
    /// The stream has a write time-out.
    pub(in super::super) const WRITE_TIMED: u16 = 1 << 6;
    /// Goes on in the next iteration.
    pub(in super::super) const LATER: u16 = 1 << 7;
    /// Its read time-out is that between requests.
    pub(in super::super) const IDLE_TIMED: u16 = 1 << 8;
    /// The system has taken less than there is, and not the rest since then.
    pub(in super::super) const BLOCKED: u16 = 1 << 9;
    /// The stream tells all that it sends.
    pub(in super::super) const LOUD: u16 = 1 << 10;
    /// It speaks HTTP where TLS is spoken.
    #[cfg(feature = "tls")]
    pub(in super::super) const PLAIN: u16 = 1 << 11;
    /// It was one too many, and is only told so.
    pub(in super::super) const AWAY: u16 = 1 << 12;
    /// Something has happened to it while somebody up the stack goes on with it.
    pub(in super::super) const AGAIN: u16 = 1 << 13;
    /// It is in the list of those that must take their output fast enough.
    pub(in super::super) const PACED: u16 = 1 << 14;
}

/// A connection. There are thousands that do nothing: what those do not need is in boxes.
pub(super) struct Conn {
    pub(super) stream: Stream,
    pub(super) exchange: Option<Box<Exchange>>,
    pub(super) more: Option<Box<More>>,
    /// The number of its last request.
    pub(super) serial: u32,
    /// Replies that were written, and nobody wants to know when they have left.
    pub(super) unsent: u32,
    pub(super) flags: u16,
    pub(super) phase: Phase,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Conn>() <= 48);

/// What few connections have.
#[derive(Default)]
pub(super) struct More {
    /// What is waited for before the first request.
    pub(super) stage: Option<Stage>,
    /// When that was over, as time-outs count.
    pub(super) ready: Option<u64>,
    /// As whose connection it was counted.
    pub(super) counted: Option<Counted>,
    /// Why it ends, where that is not for its stream to say.
    pub(super) reason: Option<CompletionReason>,
    /// How fast what waits for it is taken, where that matters.
    pub(super) pace: Option<Pace>,
    /// What the stream's error was about.
    pub(super) failed: Option<CompletionReason>,
    /// Requests whose replies have not left yet, and somebody is to be told.
    pub(super) outstanding: Outstanding,
}

impl Conn {
    /// Whether it is the one that is meant.
    #[inline]
    pub(super) fn is_at(&self, at: At) -> bool {
        // No two streams have the same number, wherever they are found.
        self.stream.id() == at.stream.id()
    }

    pub(super) fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    pub(super) fn set(&mut self, flags: u16) {
        self.flags |= flags;
    }

    pub(super) fn clear(&mut self, flags: u16) {
        self.flags &= !flags;
    }

    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

/// Serves a connection.
pub(super) fn accept(ev: &mut EvLoop, service: &Rc<Service>, accepted: Accepted) {
    if service.state.borrow().stopping.is_ending() {
        return;
    }
    // Nobody is called between this and the insertion.
    let index = service.state.borrow().conns.vacant_key();
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let serving = Rc::clone(service);
    let peer = if service.asks_for_clients { accepted.peer().cloned() } else { None };
    let limit = first_limit(service);
    let stream = serve_accepted(ev, accepted, limit, move |ev, stream, event| {
        on_event(ev, &serving, At { index, stream }, event);
    });
    clients::remember(ev, stream, peer.as_ref());
    adopt(ev, service, At { index, stream });
}

/// Serves a connected socket.
pub(super) fn accept_fd(ev: &mut EvLoop, service: &Rc<Service>, socket: OwnedFd) -> Result<()> {
    if service.state.borrow().stopping.is_ending() {
        return Err(gone());
    }
    let index = service.state.borrow().conns.vacant_key();
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let serving = Rc::clone(service);
    let limit = first_limit(service);
    let stream = serve_given(ev, socket, limit, move |ev, stream, event| {
        on_event(ev, &serving, At { index, stream }, event);
    })?;
    adopt(ev, service, At { index, stream });
    Ok(())
}

/// How long a connection may say nothing at first.
fn first_limit(service: &Service) -> Option<Duration> {
    match (service.options.header_timeout, service.options.idle_timeout) {
        (Some(header), Some(idle)) => Some(header.min(idle)),
        (header, idle) => header.or(idle),
    }
}

/// A stream whose handler is [`on_event`] is one of the server's from now on.
fn adopt(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let stream = at.stream;
    {
        let mut state = service.state.borrow_mut();
        state.counters.accepted += 1;
        state.conns.insert(Conn {
            stream,
            exchange: None,
            more: None,
            serial: 0,
            unsent: 0,
            flags: 0,
            phase: Phase::Idle,
        });
    }
    if service.has_preface {
        preface::begin(ev, service, at);
    }
    if let Some((soft, hard)) = service.options.write_limits {
        stream.set_write_limits(ev, soft, hard);
    }
    calling::connection(ev, service, stream, ConnectionEvent::Opened);
    if clients::is_let_in(ev, service, at) {
        capacity::turn_away(ev, service, at);
    }
    service.raise();
}

#[inline]
pub(super) fn on_event(ev: &mut EvLoop, service: &Rc<Service>, at: At, event: StreamEvent) {
    if let StreamEvent::Received(_) = event {
        // There is nothing in it that would have to be dropped.
        mem::forget(event);
        driving::advance(ev, service, at);
        service.raise();
    } else {
        on_other_event(ev, service, at, event);
    }
}

#[inline(never)]
fn on_other_event(ev: &mut EvLoop, service: &Rc<Service>, at: At, event: StreamEvent) {
    match event {
        StreamEvent::Sent(_) => sent(ev, service, at),
        StreamEvent::Drained => drained(ev, service, at),
        #[cfg(feature = "tls")]
        StreamEvent::Handshaked => preface::shaken(ev, service, at),
        StreamEvent::Timer => times::on_timer(ev, service, at),
        StreamEvent::Timeout(direction) => times::on_timeout(ev, service, at, direction),
        StreamEvent::Eof { .. } => ended(ev, service, at),
        StreamEvent::Error { error, direction } => failed(service, at, &error, direction),
        StreamEvent::Closed(reason) => closed(ev, service, at, reason),
        _ => {}
    }
    service.raise();
}

/// Something has left, or had to wait.
fn sent(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    if at.stream.output_len(ev) == 0 {
        return;
    }
    let mut state = service.state.borrow_mut();
    let Some(conn) = state.conn(at) else { return };
    conn.set(conn_flag::BLOCKED);
    if conn.has(conn_flag::WRITE_TIMED) {
        return;
    }
    drop(state);
    pace::watch(ev, service, at);
    let mut state = service.state.borrow_mut();
    let Some(conn) = state.conn(at) else { return };
    let limit = times::write_limit(ev, service, at);
    if limit.is_none() {
        return;
    }
    conn.set(conn_flag::WRITE_TIMED);
    drop(state);
    at.stream.set_write_timeout(ev, limit);
}

/// Has the stream tell when what was written has left, also where nothing has to wait.
pub(super) fn make_loud(ev: &mut EvLoop, conn: &mut Conn) {
    if !conn.has(conn_flag::LOUD) {
        conn.set(conn_flag::LOUD);
        conn.stream.set_loud(ev);
    }
}

/// Everything has left.
fn drained(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    if at.stream.is_to_drain(ev) {
        // That was about what left before more was written, and it is told again when that has left, too.
        return;
    }
    let (done, was_stalled, was_timed, calls) = {
        let mut state = service.state.borrow_mut();
        let state = &mut *state;
        let Some(conn) = state.conns.get_mut(at.index as usize).filter(|conn| conn.is_at(at))
        else {
            return;
        };
        state.counters.completions[index_of(CompletionReason::Ok)] += u64::from(conn.unsent);
        conn.unsent = 0;
        let done = conn.more.as_mut().map(|more| {
            more.pace = None;
            mem::take(&mut more.outstanding).into_all()
        });
        let flags = conn.flags;
        conn.clear(conn_flag::STALLED | conn_flag::WRITE_TIMED | conn_flag::BLOCKED);
        // A reply that comes in pieces stays loud until it is over.
        if conn.has(conn_flag::LOUD) && conn.exchange.is_none() {
            conn.clear(conn_flag::LOUD);
            at.stream.set_quiet(ev, true);
        }
        let calls = conn.exchange.as_ref().is_some_and(|exchange| {
            exchange
                .hooks
                .as_ref()
                .is_some_and(|hooks| hooks.on_drained.is_some() || hooks.puller.is_some())
        });
        let was_timed = flags & conn_flag::WRITE_TIMED != 0;
        (done, flags & conn_flag::STALLED != 0, was_timed, calls)
    };
    if was_timed {
        at.stream.set_write_timeout(ev, None);
    }
    for completing in done.into_iter().flatten() {
        completing::complete(ev, service, completing);
    }
    if calls {
        telling::drained(ev, service, at);
    }
    if was_stalled || calls {
        driving::advance(ev, service, at);
    }
}

/// The client has ended its sending side.
fn ended(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let phase = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        conn.set(conn_flag::ENDED);
        conn.phase
    };
    match phase {
        Phase::Handling => {
            if service.options.half_close == HalfClose::Abort {
                ending::abort(ev, service, at, CompletionReason::ClientAborted);
                return;
            }
            telling::disconnected(ev, service, at, Disconnected::HalfClosed);
            driving::advance(ev, service, at);
        }
        _ => driving::advance(ev, service, at),
    }
}

/// What the stream's end will be about.
fn failed(service: &Rc<Service>, at: At, error: &Error, direction: Option<Direction>) {
    const GONE: [i32; 4] = [libc::ECONNRESET, libc::EPIPE, libc::ENOTCONN, libc::ECONNABORTED];
    let by_peer = error.raw_os_error().is_some_and(|code| GONE.contains(&code));
    let reason = match direction {
        _ if by_peer => CompletionReason::ClientAborted,
        _ if error.kind() == ErrorKind::TimedOut => CompletionReason::Timeout,
        Some(Direction::Write) => CompletionReason::WriteError,
        _ => CompletionReason::ReadError,
    };
    if let Some(conn) = service.state.borrow_mut().conn(at) {
        conn.more().failed.get_or_insert(reason);
    }
}

/// The stream is gone.
fn closed(ev: &mut EvLoop, service: &Rc<Service>, at: At, reason: Reason) {
    let (mut conn, unsent) = {
        let mut state = service.state.borrow_mut();
        let state = &mut *state;
        if state.conn(at).is_none() {
            return;
        }
        let conn = state.conns.remove(at.index as usize);
        if conn.has(conn_flag::AWAY) {
            state.away -= 1;
        }
        if state.conns.is_empty() && state.conns.capacity() > 1024 {
            state.conns.shrink_to_fit();
        }
        let unsent = conn.unsent;
        (conn, unsent)
    };
    let leaving = Leaving::begin(service);
    if let Some((bytes_in, bytes_out)) = at.stream.moved(ev) {
        let mut state = service.state.borrow_mut();
        state.counters.bytes_in += bytes_in;
        state.counters.bytes_out += bytes_out;
    }
    // Not in a box, which most would get for this.
    let mut more = conn.more.take().map(|more| *more).unwrap_or_default();
    drop(more.counted.take());
    let why = more.reason.or(more.failed).unwrap_or(match reason {
        Reason::LoopGone => CompletionReason::ServerShutdown,
        Reason::Timeout(_) => CompletionReason::Timeout,
        Reason::Flushed => CompletionReason::Ok,
        Reason::Failed => CompletionReason::ReadError,
        Reason::Local => CompletionReason::HandlerError,
        _ => CompletionReason::ClientAborted,
    });
    // What was given to the system before the end counts as sent.
    let all_sent =
        !conn.has(conn_flag::BLOCKED) && more.failed.is_none() && !at.stream.has_lost_output(ev);
    let sent = if all_sent { CompletionReason::Ok } else { why };
    service.state.borrow_mut().counters.completions[index_of(sent)] += u64::from(unsent);
    for mut completing in more.outstanding.into_all() {
        if completing.record.reason == CompletionReason::Ok {
            completing.record.reason = sent;
        }
        completing::complete(ev, service, completing);
    }
    if let Some(exchange) = conn.exchange.take() {
        let why = if why == CompletionReason::Ok { CompletionReason::ClientAborted } else { why };
        completing::abandon(ev, service, at, exchange, why);
    }
    calling::connection(ev, service, at.stream, ConnectionEvent::Closed(reason));
    leaving.end(ev);
}

/// Has the loop look at a connection, for which a verb has done something.
pub(super) fn touch(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    touch_in(ev, &mut service.state.borrow_mut(), at);
}

pub(super) fn touch_in(ev: &mut EvLoop, state: &mut State, at: At) {
    if state.conn(at).is_some_and(|conn| !conn.has(conn_flag::DRIVEN)) {
        at.stream.trigger_received(ev, true);
    }
}

/// A reply or a body was dropped before it was complete.
pub(super) fn unanswered(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) {
    let answer = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(at, serial) else { return };
        if exchange.hooks.as_ref().is_some_and(|hooks| hooks.pending.is_some()) {
            return;
        }
        exchange.answer
    };
    match answer {
        Answer::None => sending::refuse_reply(ev, service, at, serial),
        Answer::Streaming(_) => cut(ev, service, at, serial),
        Answer::Done => {}
    }
}

/// A reply cannot be completed: the connection is cut, so that the client knows.
pub(super) fn cut(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) {
    {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        if conn.exchange.as_ref().is_none_or(|exchange| exchange.serial != serial) {
            return;
        }
        conn.more().reason.get_or_insert(CompletionReason::HandlerError);
        conn.set(conn_flag::ENDING);
        conn.phase = Phase::Closing;
    }
    ending::break_off(ev, service, at);
}

/// Whoever takes a body has panicked: its request is over, with 500 if nothing else was said.
pub(super) fn cut_or_fail(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) {
    let is_unanswered = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(at, serial) else { return };
        if exchange.answer == Answer::Done {
            return;
        }
        exchange.answer == Answer::None
    };
    if is_unanswered {
        if let Some(conn) = service.state.borrow_mut().conn(at) {
            conn.more().reason.get_or_insert(CompletionReason::HandlerError);
        }
        ending::refuse(ev, service, at, Status::INTERNAL_SERVER_ERROR, None);
    } else {
        cut(ev, service, at, serial);
    }
}

/// Somebody wants the body of a request. `Err(true)` if it is not to be had that way.
pub(super) fn receive(
    service: &Service,
    body: RequestBody,
    incoming: Incoming,
) -> Result<(), bool> {
    let mut state = service.state.borrow_mut();
    let Some(conn) = state.conn(body.at) else { return Err(false) };
    // Behind the reply it is read for nobody, and some of it has gone.
    let is_drained = conn.phase == Phase::Draining;
    let Some(exchange) = state.exchange(body.at, body.serial) else { return Err(false) };
    let taken = exchange.hooks.as_ref().is_some_and(|hooks| hooks.incoming.is_some());
    if taken
        || is_drained
        || exchange.has(flag::BODY_TOLD | flag::DISCARDED)
        || exchange.request.is_some()
    {
        return Err(true);
    }
    exchange.hooks().incoming = Some(incoming);
    Ok(())
}

/// Tells a client that waits with its body to go on, once.
pub(super) fn go_on_with_body(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) {
    let mut state = service.state.borrow_mut();
    let Some(exchange) = state.exchange(at, serial) else { return };
    if !exchange.has(flag::EXPECTS) {
        return;
    }
    exchange.clear(flag::EXPECTS);
    // If the body is on its way, or was refused, nobody waits any more.
    let waits = !exchange.has(flag::BODY_SEEN) && exchange.answer == Answer::None;
    if waits && at.stream.input_len(ev) == 0 {
        let result = at.stream.write_anyway(ev, b"HTTP/1.1 100 Continue\r\n\r\n");
        sending::note_written(ev, &mut state, at, &result);
    }
}

impl Connection {
    /// A number that no other connection of this process has, ever.
    #[must_use]
    pub fn id(self) -> u64 {
        self.stream.id()
    }

    /// Who has connected. With a [PROXY header](super::ServerOptions::proxy_protocol), who was named there.
    #[must_use]
    pub fn peer(self, ev: &EvLoop) -> Option<Address> {
        clients::source_of(ev, self.stream)
    }

    /// The address that was connected to.
    #[must_use]
    pub fn local(self, ev: &EvLoop) -> Option<Address> {
        self.stream.local(ev)
    }

    /// Attaches a value that outlives requests, one of each type; returns the one before
    /// (`socket_context` in libmicrohttpd).
    pub fn set_data<T: std::any::Any>(self, ev: &mut EvLoop, value: T) -> Option<Rc<T>> {
        self.stream.set_data(ev, value)
    }

    /// What was attached.
    #[must_use]
    pub fn data<T: std::any::Any>(self, ev: &EvLoop) -> Option<Rc<T>> {
        self.stream.data(ev)
    }

    /// Sets how long it is kept while nothing happens between its requests, instead of [the
    /// server's](super::ServerOptions::idle_timeout). For handlers and [hooks](super::Routes::before) of requests: the first
    /// request of a connection sets the server's. At least a millisecond. Returns whether it exists.
    pub fn set_idle_timeout(self, ev: &mut EvLoop, limit: Option<Duration>) -> bool {
        self.stream.set_read_timeout(ev, limit.map(|limit| limit.max(SHORTEST)))
    }

    /// The connection beneath: to look at, and for settings of the socket. Who reads or writes here
    /// comes between the server and its client.
    #[must_use]
    pub fn stream(self) -> Stream {
        self.stream
    }
}
