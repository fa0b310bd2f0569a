//! The state of one WebSocket, as its verbs see it.

// What only its handler needs, the decoder above all, is in the closure of its stream: see `driving`. Here nothing is
// borrowed for longer than a line, so that a user's closure may do anything.

use std::cell::Cell;
use std::rc::Rc;

use super::hub::Hub;
use super::options::WebSocketOptions;
use super::{PreparedMessage, WebSocket, closing};
use crate::http::guests::{self, Admission, Farewell, Guest};
use crate::net::{Stream, Written};
use crate::wire::Status;
use crate::wire::websocket::{CloseCode, Frame, Role, WebSocketFault, close_frame, frame};
use crate::{Error, ErrorKind, EvLoop, Result};

pub(super) const SENDING: &str = "sending to a WebSocket";

/// Longer frames are handed over, shorter ones copied.
const LARGE: usize = 16 * 1024;

/// Bits of [`Peer::flags`].
pub(super) mod flag {
    /// The handshake is done.
    pub(in super::super) const OPEN: u16 = 1;
    /// And the handler knows.
    pub(in super::super) const TOLD: u16 = 1 << 1;
    pub(in super::super) const SENT_CLOSE: u16 = 1 << 2;
    pub(in super::super) const GOT_CLOSE: u16 = 1 << 3;
    /// All that comes is thrown away.
    pub(in super::super) const OVER: u16 = 1 << 4;
    /// Nothing is read, as its owner wants it.
    pub(in super::super) const PAUSED: u16 = 1 << 5;
    /// Nothing is read, until there is room for a pong.
    pub(in super::super) const HELD: u16 = 1 << 6;
    /// A message is being sent in fragments.
    pub(in super::super) const FRAGMENTS: u16 = 1 << 7;
    /// And it is a text.
    pub(in super::super) const TEXT: u16 = 1 << 8;
    /// A ping was sent by itself, and nothing has come since.
    pub(in super::super) const PINGED: u16 = 1 << 9;
    /// The peer has broken a rule.
    pub(in super::super) const FAULTY: u16 = 1 << 10;
    /// The stream has a write time-out.
    pub(in super::super) const WRITE_TIMED: u16 = 1 << 11;
    /// `Closed` was told, or there is nobody any more to tell.
    pub(in super::super) const GONE: u16 = 1 << 12;
    /// A message has begun to come, and must be complete in time.
    pub(in super::super) const MESSAGE_TIMED: u16 = 1 << 13;
    /// Somebody waits for `Drained`: the stream is not quiet.
    pub(in super::super) const LOUD: u16 = 1 << 14;
    /// It ends, and has a deadline for that.
    pub(in super::super) const ENDS: u16 = 1 << 15;
    /// The peer's messages are of no interest, but that it says goodbye is.
    pub(in super::super) const DEAF: u16 = SENT_CLOSE | OVER | GONE;
}

// In this order: what a broadcast looks at is together in the first line of the cache.
#[repr(C)]
pub(super) struct Peer {
    pub(super) key: WebSocket,
    /// What its decoder holds of a message, in bytes, and at most as much as fits.
    pub(super) held: Cell<u32>,
    flags: Cell<u16>,
    pub(super) role: Role,
    pub(super) options: WebSocketOptions,
    /// When something last came, where somebody wants to know.
    pub(super) heard: Cell<u64>,
    /// Its place among the guests of its server.
    pub(super) admission: Cell<Option<Admission>>,
    /// Out of its place while it is looked at.
    rare: Cell<Option<Box<Rare>>>,
}

/// What few have.
#[derive(Default)]
pub(super) struct Rare {
    /// To be sent when there is room.
    pub(super) pong: Option<Vec<u8>>,
    /// What is to be told at the end.
    pub(super) closed: Option<(CloseCode, String)>,
    pub(super) error: Option<Error>,
    /// What a server has answered instead of agreeing.
    pub(super) refused: Option<Status>,
    pub(super) protocol: Option<Box<str>>,
    #[cfg(feature = "compress")]
    pub(super) deflater: Option<(usize, crate::wire::websocket::deflate::Deflater)>,
}

impl Peer {
    pub(super) fn new(
        key: WebSocket,
        role: Role,
        options: WebSocketOptions,
        flags: u16,
    ) -> Rc<Self> {
        Rc::new(Self {
            key,
            role,
            flags: Cell::new(flags),
            held: Cell::new(0),
            options,
            heard: Cell::new(0),
            admission: Cell::new(None),
            rare: Cell::new(None),
        })
    }

    pub(super) fn stream(&self) -> Stream {
        self.key.stream
    }

    pub(super) fn has(&self, flags: u16) -> bool {
        self.flags.get() & flags != 0
    }

    pub(super) fn set(&self, flags: u16) {
        self.flags.set(self.flags.get() | flags);
    }

    pub(super) fn clear(&self, flags: u16) {
        self.flags.set(self.flags.get() & !flags);
    }

    /// Whether messages can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.flags.get() & (flag::OPEN | flag::DEAF | flag::GOT_CLOSE) == flag::OPEN
    }

    pub(super) fn rare<R>(&self, change: impl FnOnce(&mut Rare) -> R) -> R {
        let mut rare = self.rare.take().unwrap_or_default();
        let result = change(&mut rare);
        self.rare.set(Some(rare));
        result
    }

    /// The same, where it is there.
    pub(super) fn if_rare<R>(&self, change: impl FnOnce(&mut Rare) -> R) -> Option<R> {
        let mut rare = self.rare.take()?;
        let result = change(&mut rare);
        self.rare.set(Some(rare));
        Some(result)
    }

    /// What went wrong. The first is the cause of the others.
    pub(super) fn note(&self, error: Error) {
        self.rare(|rare| {
            rare.error.get_or_insert(error);
        });
    }

    /// The key with which a frame is masked, if it is to be.
    fn key(&self, hub: &Hub) -> Result<Option<[u8; 4]>> {
        match self.role {
            Role::Server => Ok(None),
            Role::Client => hub.random().map(Some),
        }
    }

    /// Sends a frame, if there is room.
    pub(super) fn write(
        &self,
        ev: &mut EvLoop,
        hub: &Hub,
        of: Frame,
        payload: &[u8],
    ) -> Result<Written> {
        let key = self.key(hub)?;
        if payload.len() >= LARGE {
            let mut bytes = Vec::with_capacity(payload.len() + 14);
            frame(&mut bytes, of, payload, key)?;
            return self.stream().write_owned(ev, bytes);
        }
        let mut out = hub.take_out();
        let result = match frame(&mut out, of, payload, key) {
            Ok(()) => self.stream().write(ev, &out),
            Err(fault) => Err(fault.into()),
        };
        hub.give_out(out);
        result
    }

    /// Sends a whole message, compressed if that was agreed on and is worth it.
    pub(super) fn message(
        &self,
        ev: &mut EvLoop,
        hub: &Hub,
        of: Frame,
        payload: &[u8],
    ) -> Result<Written> {
        #[cfg(feature = "compress")]
        if self.if_rare(|rare| rare.deflater.is_some()) == Some(true) {
            // What was compressed must be sent: later messages may refer to it.
            self.check_room(ev)?;
            let key = self.key(hub)?;
            let mut squeezed = Vec::new();
            let done = self.if_rare(|rare| {
                let Some((threshold, deflater)) = &mut rare.deflater else { return false };
                if payload.len() < *threshold || payload.is_empty() {
                    return false;
                }
                let done = deflater.message(&mut squeezed, payload);
                if !done {
                    rare.deflater = None;
                }
                done
            });
            if done == Some(true) {
                let of = Frame { is_compressed: true, ..of };
                let mut bytes = Vec::with_capacity(squeezed.len() + 14);
                frame(&mut bytes, of, &squeezed, key)?;
                let result = self.stream().write_owned(ev, bytes);
                if result.is_err() {
                    self.rare(|rare| rare.deflater = None);
                }
                return result;
            }
        }
        self.write(ev, hub, of, payload)
    }

    /// So much waits that nothing more is sent by itself.
    pub(super) fn is_full(&self, ev: &EvLoop) -> bool {
        self.stream().is_full_or_more(ev).0
    }

    /// Whoever is told that it is full is told when it is not any more.
    pub(super) fn told(&self, ev: &mut EvLoop, written: Written) -> Written {
        if written == Written::Full {
            self.await_room(ev);
        }
        written
    }

    /// Has `Drained` come, also where all that waits leaves at once, of which a quiet stream does not tell.
    pub(super) fn await_room(&self, ev: &mut EvLoop) {
        if !self.has(flag::LOUD) {
            self.set(flag::LOUD);
            self.stream().set_loud(ev);
        }
    }

    /// For what the stream would take whatever waits there.
    pub(super) fn check_room(&self, ev: &EvLoop) -> Result<()> {
        if self.stream().is_full_or_more(ev).1 {
            Err(Error::new(ErrorKind::Full, SENDING))
        } else {
            Ok(())
        }
    }

    /// Sends what was made for many, whose frame they share.
    pub(super) fn send_prepared(
        &self,
        ev: &mut EvLoop,
        hub: &Hub,
        message: &PreparedMessage,
    ) -> Result<Written> {
        if !self.is_open() {
            return Err(Error::new(ErrorKind::Closed, SENDING));
        }
        if self.has(flag::FRAGMENTS) {
            return Err(Error::new(ErrorKind::InvalidInput, SENDING));
        }
        let written = if self.role == Role::Client {
            // Each of a client's frames has a mask of its own.
            self.check_room(ev)?;
            self.write(ev, hub, Frame::whole(message.opcode()), message.payload())?
        } else {
            self.stream().write_for_many(ev, message.frame())?
        };
        Ok(self.told(ev, written))
    }

    /// Sends a close frame, for which there always is room.
    pub(super) fn write_close(
        &self,
        ev: &mut EvLoop,
        hub: &Hub,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Result<()> {
        let key = self.key(hub)?;
        let mut out = Vec::new();
        close_frame(&mut out, code, reason, key).map_err(|fault: WebSocketFault| {
            Error::caused(ErrorKind::InvalidInput, "closing a WebSocket", Box::new(fault))
        })?;
        let stream = self.stream();
        let written = match stream.write(ev, &out) {
            Err(error) if error.kind() == ErrorKind::Full => {
                // Nothing else follows it.
                stream.set_write_limits(ev, usize::MAX, usize::MAX);
                stream.write(ev, &out)
            }
            written => written,
        };
        self.set(flag::SENT_CLOSE);
        written.map(drop)
    }
}

impl Guest for Peer {
    fn farewell(self: Rc<Self>, ev: &mut EvLoop, how: Farewell) {
        if self.has(flag::GONE) {
            // Its stream has another handler, and is not the server's any more.
            if let Some(admission) = self.admission.take() {
                guests::dismiss(ev, admission);
            }
            return;
        }
        match how {
            Farewell::InOrder if !self.has(flag::DEAF) => {
                let hub = ev.local::<Hub>();
                if closing::close(ev, &hub, &self, Some(CloseCode::GOING_AWAY), "").is_err() {
                    closing::cut(ev, &self);
                }
            }
            // It is on its way out, and will not take long.
            Farewell::InOrder => {}
            Farewell::Now => closing::cut(ev, &self),
        }
    }

    fn memory(&self, ev: &EvLoop) -> usize {
        self.stream().memory(ev).saturating_add(self.held.get() as usize)
    }
}
