//! What comes is told: the handler of the stream beneath.

// The decoder and the user's handler are in this closure, and nowhere else: nobody can get at them while they are in
// use, and streams call no handler twice at a time. While messages are told, the input they lie in is out of the
// stream; the guard `Reading` puts the rest of it back, also when the user's handler panics.

use std::mem;
use std::rc::Rc;

use super::client::Dialing;
use super::event::{Closed, WebSocketEvent};
use super::hub::Hub;
use super::socket::{Peer, flag};
use super::{WebSocket, closing};
use crate::http::guests;
use crate::net::{Buffer, Chunk, Direction, Stream, StreamEvent};
use crate::wire::websocket::{CloseCode, Decoder, Frame, Message};
use crate::{Error, ErrorKind, EvLoop};

pub(super) type Handler = Box<dyn FnMut(&mut EvLoop, WebSocket, WebSocketEvent<'_>)>;

/// One WebSocket, as its stream has it.
pub(super) struct Conn {
    pub(super) hub: Rc<Hub>,
    pub(super) peer: Rc<Peer>,
    pub(super) decoder: Decoder,
    pub(super) handler: Handler,
    /// The handshake of a client, as long as that takes.
    pub(super) dialing: Option<Box<Dialing>>,
}

impl Conn {
    pub(super) fn on_event(&mut self, ev: &mut EvLoop, event: StreamEvent) {
        match event {
            StreamEvent::Received(_) => self.received(ev),
            // Quiet streams tell it when something has to wait.
            StreamEvent::Sent(_) => self.wait_for_room(ev),
            StreamEvent::Drained => self.drained(ev),
            StreamEvent::Timer => self.ping(ev),
            StreamEvent::Timeout(Direction::Read) => self.idle(ev),
            StreamEvent::Timeout(Direction::Write) => {
                self.cut_late(ev, "waiting for a peer to read")
            }
            StreamEvent::Eof { .. } => {
                if self.dialing.is_some() {
                    self.cut_with(ev, Error::new(ErrorKind::Closed, "opening a WebSocket"));
                } else {
                    closing::ended(ev, &self.peer);
                }
            }
            StreamEvent::Error { error, .. } => {
                // The first is the cause of the others.
                self.peer.note(error);
            }
            StreamEvent::Wakeup(message) => match &mut self.dialing {
                // `Opened` comes first.
                Some(dialing) => dialing.posted.push(message),
                None => self.posted(ev, message),
            },
            StreamEvent::Closed(_) => self.closed(ev),
            _ => {}
        }
    }

    /// The handshake is done: from now on there are time-outs of another kind.
    pub(super) fn begin(&self, ev: &mut EvLoop) {
        let stream = self.peer.stream();
        self.peer.set(flag::OPEN);
        stream.set_quiet(ev, true);
        // Those of the handshake. Without any, what is sent takes the short way.
        stream.forget_times(ev);
        let settings = &self.peer.options.0;
        if let Some((interval, _)) = settings.ping {
            self.peer.heard.set(ev.running_nanos());
            stream.set_timer_in(ev, interval);
        }
        if settings.idle.is_some() {
            stream.set_read_timeout(ev, settings.idle);
        }
    }

    // --- what comes ------------------------------------------------------------------------------

    fn received(&mut self, ev: &mut EvLoop) {
        let mut posted = Vec::new();
        if self.dialing.is_some() {
            match self.shake_hands(ev) {
                Some(messages) => posted = messages,
                None => return,
            }
        }
        if self.peer.has(flag::OVER | flag::GONE) {
            let mut input = self.peer.stream().input(ev);
            let len = input.len();
            input.drain(len);
            return;
        }
        if self.peer.options.0.ping.is_some() {
            self.peer.heard.set(ev.running_nanos());
            self.peer.clear(flag::PINGED);
        }
        self.opened(ev);
        for message in posted {
            self.posted(ev, message);
        }
        if self.peer.has(flag::GONE) {
            return;
        }
        if self.peer.has(flag::PAUSED | flag::HELD) {
            return self.time_message(ev, false);
        }
        if !self.decoder.is_in_message() {
            self.decoder.give_memory(self.hub.take_scratch());
        }
        let is_new = self.read(ev);
        if self.peer.has(flag::GONE) {
            return;
        }
        let memory = self.decoder.take_memory();
        if memory.capacity() > 0 {
            self.hub.give_scratch(memory);
        }
        self.peer.held.set(u32::try_from(self.decoder.memory()).unwrap_or(u32::MAX));
        let waits = !self.peer.has(flag::PAUSED | flag::HELD) && self.decoder.is_in_message();
        if is_new && waits {
            // The one that had the time is there; the next has a time of its own.
            self.peer.clear(flag::MESSAGE_TIMED);
        }
        self.time_message(ev, waits);
    }

    /// Has the rest of a message come in time, or waits for none.
    fn time_message(&self, ev: &mut EvLoop, waits: bool) {
        let peer = &self.peer;
        // An end has a deadline of its own.
        if waits == peer.has(flag::MESSAGE_TIMED) || peer.has(flag::DEAF | flag::GOT_CLOSE) {
            return;
        }
        let settings = &peer.options.0;
        let limit = if settings.fragments { None } else { settings.message };
        let Some(limit) = limit else { return };
        if is_taken_over(ev, &self.hub, peer) {
            return;
        }
        if waits {
            peer.set(flag::MESSAGE_TIMED);
            peer.stream().set_deadline_in(ev, limit);
        } else {
            peer.clear(flag::MESSAGE_TIMED);
            peer.stream().set_deadline(ev, None);
            peer.stream().forget_times(ev);
        }
    }

    /// Before anything else is told.
    fn opened(&mut self, ev: &mut EvLoop) {
        if self.peer.has(flag::OPEN) && !self.peer.has(flag::TOLD) {
            self.peer.set(flag::TOLD);
            (self.handler)(ev, self.peer.key, WebSocketEvent::Opened);
            is_taken_over(ev, &self.hub, &self.peer);
        }
    }

    fn posted(&mut self, ev: &mut EvLoop, message: crate::net::Message) {
        if !self.peer.has(flag::DEAF) {
            self.opened(ev);
        }
        // Whoever was told may have closed it.
        if !self.peer.has(flag::DEAF) {
            (self.handler)(ev, self.peer.key, WebSocketEvent::Wakeup(message));
            is_taken_over(ev, &self.hub, &self.peer);
        }
    }

    /// Says whether anything was read to its end, so that what has begun now began with this.
    fn read(&mut self, ev: &mut EvLoop) -> bool {
        let (mut is_new, mut was_told) = (false, false);
        let Self { hub, peer, decoder, handler, .. } = self;
        let mut reading = Reading::new(ev, peer.stream());
        let Reading { ev, buffer, used, .. } = &mut reading;
        loop {
            let Some(Chunk::Bytes(chunk)) = buffer.chunks().next() else { return is_new };
            while let Some(rest) = chunk.get(*used..).filter(|rest| !rest.is_empty()) {
                if was_told && is_taken_over(ev, hub, peer) {
                    return is_new;
                }
                let message = match decoder.next(rest) {
                    Ok(decoded) => {
                        *used += decoded.used;
                        decoded.message
                    }
                    Err(fault) => {
                        *used = usize::MAX;
                        closing::fault(ev, hub, peer, fault);
                        return is_new;
                    }
                };
                was_told = message.is_some();
                if message.is_some_and(|message| !tell(ev, hub, peer, handler, message)) {
                    return is_new;
                }
                is_new |= !decoder.is_in_message();
            }
            buffer.drain(*used);
            *used = 0;
        }
    }

    // --- what leaves -----------------------------------------------------------------------------

    fn wait_for_room(&self, ev: &mut EvLoop) {
        let limit = self.peer.options.0.write;
        if limit.is_some() && !self.peer.has(flag::WRITE_TIMED) {
            self.peer.set(flag::WRITE_TIMED);
            self.peer.stream().set_write_timeout(ev, limit);
        }
    }

    fn drained(&mut self, ev: &mut EvLoop) {
        if self.peer.has(flag::LOUD) {
            self.peer.clear(flag::LOUD);
            self.peer.stream().set_quiet(ev, true);
        }
        if self.peer.has(flag::HELD) {
            let pong = self.peer.if_rare(|rare| rare.pong.take()).flatten();
            self.peer.clear(flag::HELD);
            if let Some(pong) = pong.filter(|_| !self.peer.has(flag::DEAF)) {
                answer(ev, &self.hub, &self.peer, &pong);
            }
            if !self.peer.has(flag::PAUSED | flag::HELD) {
                listen(ev, self.peer.stream(), true);
            }
        }
        if self.peer.has(flag::DEAF) || !self.peer.has(flag::OPEN) {
            return;
        }
        self.opened(ev);
        if !self.peer.has(flag::DEAF) {
            (self.handler)(ev, self.peer.key, WebSocketEvent::Drained);
        }
    }

    // --- time ------------------------------------------------------------------------------------

    /// The stream's timer: has nothing come for long?
    fn ping(&mut self, ev: &mut EvLoop) {
        let peer = &self.peer;
        let Some((interval, deadline)) = peer.options.0.ping else { return };
        if !peer.is_open() {
            return;
        }
        let is_deaf = peer.has(flag::PAUSED | flag::HELD);
        if peer.has(flag::PINGED) && !is_deaf {
            return self.cut_late(ev, "waiting for a pong");
        }
        let stream = peer.stream();
        let quiet = ev.running_nanos().saturating_sub(peer.heard.get());
        let quiet = std::time::Duration::from_nanos(quiet);
        let mut next = interval;
        if let Some(left) = interval.checked_sub(quiet).filter(|left| !left.is_zero()) {
            next = left;
        } else if !is_deaf && !peer.is_full(ev) {
            // Who does not read what was sent before has a time-out of its own.
            if peer.write(ev, &self.hub, Frame::PING, &[]).is_ok() {
                peer.set(flag::PINGED);
                next = deadline;
            }
        }
        stream.set_timer_in(ev, next);
    }

    fn idle(&mut self, ev: &mut EvLoop) {
        if self.peer.has(flag::DEAF) {
            self.peer.stream().enable_read(ev);
            return;
        }
        let error = Error::new(ErrorKind::TimedOut, "waiting for a message");
        self.peer.note(error);
        let code = Some(CloseCode::GOING_AWAY);
        if closing::close(ev, &self.hub, &self.peer, code, "idle for too long").is_err() {
            closing::cut(ev, &self.peer);
        }
    }

    fn cut_late(&self, ev: &mut EvLoop, doing: &'static str) {
        self.cut_with(ev, Error::new(ErrorKind::TimedOut, doing));
    }

    pub(super) fn cut_with(&self, ev: &mut EvLoop, error: Error) {
        self.peer.note(error);
        closing::cut(ev, &self.peer);
    }

    // --- the end ---------------------------------------------------------------------------------

    fn closed(&mut self, ev: &mut EvLoop) {
        let peer = Rc::clone(&self.peer);
        peer.set(flag::GONE | flag::OVER);
        self.hub.remove(peer.key);
        if let Some(admission) = peer.admission.take() {
            guests::dismiss(ev, admission);
        }
        let told = peer.if_rare(|rare| (rare.closed.take(), rare.error.take(), rare.refused));
        let (closed, error, status) = told.unwrap_or_default();
        let (code, reason) = closed.unwrap_or((CloseCode::ABNORMAL, String::new()));
        let clean =
            peer.has(flag::GOT_CLOSE) && peer.has(flag::SENT_CLOSE) && !peer.has(flag::FAULTY);
        let closed = Closed { code, reason, clean, status, error };
        (self.handler)(ev, peer.key, WebSocketEvent::Closed(closed));
    }
}

/// The stream has ended, or whoever took it over has given it another handler, and the closure is gone with that.
impl Drop for Conn {
    fn drop(&mut self) {
        self.peer.set(flag::GONE | flag::OVER);
        self.hub.remove(self.peer.key);
    }
}

/// Whether whoever was told has given the stream another handler: from then on it is that one's, with what has come.
fn is_taken_over(ev: &EvLoop, hub: &Hub, peer: &Peer) -> bool {
    let is_so = peer.stream().has_other_handler(ev);
    if is_so {
        peer.set(flag::GONE | flag::OVER);
        hub.remove(peer.key);
    }
    is_so
}

/// Has the stream read, or not.
pub(super) fn listen(ev: &mut EvLoop, stream: Stream, on: bool) {
    if on {
        stream.enable_read(ev);
        stream.set_watch_hangup(ev, false);
        // For what is there already.
        stream.trigger_received(ev, true);
    } else {
        stream.disable_read(ev);
        // A peer that is gone is nobody to wait for.
        stream.set_watch_hangup(ev, true);
    }
}

/// Tells a message. Says whether the next is to be told.
fn tell(
    ev: &mut EvLoop,
    hub: &Rc<Hub>,
    peer: &Rc<Peer>,
    handler: &mut Handler,
    message: Message<'_>,
) -> bool {
    let event = match message {
        Message::Close(code, reason) => {
            closing::goodbye(ev, hub, peer, code, reason);
            return false;
        }
        _ if peer.has(flag::DEAF) => return !peer.has(flag::OVER | flag::GONE),
        Message::Text(text) => WebSocketEvent::Text(text),
        Message::Binary(bytes) => WebSocketEvent::Binary(bytes),
        Message::Fragment(fragment) => WebSocketEvent::Fragment(fragment),
        Message::Ping(payload) => {
            handler(ev, peer.key, WebSocketEvent::Ping(payload));
            if !is_taken_over(ev, hub, peer) {
                answer(ev, hub, peer, payload);
            }
            return !peer.has(flag::OVER | flag::PAUSED | flag::HELD);
        }
        Message::Pong(payload) => WebSocketEvent::Pong(payload),
    };
    handler(ev, peer.key, event);
    !peer.has(flag::OVER | flag::PAUSED | flag::HELD)
}

/// Answers a ping; where nobody reads what was sent before, later, and until then nothing is read here either.
fn answer(ev: &mut EvLoop, hub: &Hub, peer: &Peer, payload: &[u8]) {
    if peer.has(flag::DEAF) {
        return;
    }
    let stream = peer.stream();
    if !peer.is_full(ev) {
        match peer.write(ev, hub, Frame::PONG, payload) {
            Ok(_) => return,
            // Its server may let less wait than that.
            Err(error) if error.kind() == ErrorKind::Full && stream.output_len(ev) > 0 => {}
            // No key to mask it with, the stream is closed, or there never is room: the peer will not be answered.
            Err(_) => return closing::cut(ev, peer),
        }
    }
    peer.rare(|rare| rare.pong = Some(payload.to_owned()));
    peer.set(flag::HELD);
    peer.await_room(ev);
    listen(ev, stream, false);
}

/// The input of a stream, while it is read.
struct Reading<'a> {
    ev: &'a mut EvLoop,
    stream: Stream,
    buffer: Buffer,
    /// Of the buffer's first bytes.
    used: usize,
}

impl<'a> Reading<'a> {
    fn new(ev: &'a mut EvLoop, stream: Stream) -> Self {
        let buffer = mem::take(&mut *stream.input(ev));
        Self { ev, stream, buffer, used: 0 }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.buffer.drain(self.used);
        {
            let mut input = self.stream.input(self.ev);
            if !input.is_empty() {
                self.buffer.append_buffer(&mut input);
            }
            mem::swap(&mut *input, &mut self.buffer);
        }
        if std::thread::panicking() {
            // Also if nothing is left: what is done behind the last message was not done.
            self.stream.trigger_received(self.ev, true);
        }
    }
}
