//! What can be done with a WebSocket.

use std::any::Any;
use std::rc::Rc;

use super::closing;
use super::driving::listen;
use super::hub::Hub;
use super::socket::{Peer, SENDING, flag};
use super::{PreparedMessage, WebSocket};
use crate::http::clients;
use crate::net::{Address, Stream, Written};
use crate::wire::websocket::{CloseCode, Frame, MessageKind, OpCode};
use crate::{Error, ErrorKind, EvLoop, Result};

/// What sends returns how much room is left, as [`Stream::write`] does: [`Written::Full`] says that it was taken and
/// that it is time to wait for [`Drained`](super::WebSocketEvent::Drained). All leave in this iteration, in one system
/// call together, as far as the system takes them.
///
/// # Errors
///
/// Nothing was sent then:
///
/// * [`ErrorKind::Closed`] if it is not open: not yet, or not any more, also from the moment in which either end has
///   begun to [close](WebSocket::close) it;
/// * [`ErrorKind::Full`] if 1 MiB waits already: the peer reads slower than it is sent to;
/// * for clients, [`ErrorKind::Io`] if the system has no random bytes to mask with.
impl WebSocket {
    /// A number that no other connection of this process has, ever.
    #[must_use]
    pub fn id(self) -> u64 {
        self.stream.id()
    }

    /// The connection beneath: to look at, and for settings of the socket. Who reads or writes here comes in between; who
    /// gives it [another handler](Stream::set_handler) takes it over: it is no WebSocket any more, its handler is told
    /// nothing further, not even `Closed`, and its server does not wait for it.
    #[must_use]
    pub fn stream(self) -> Stream {
        self.stream
    }

    /// Who is at the other end; of a server behind a proxy, that, or whom its [PROXY
    /// header](crate::http::ServerOptions::proxy_protocol) has named.
    #[must_use]
    pub fn peer(self, ev: &EvLoop) -> Option<Address> {
        clients::source_of(ev, self.stream)
    }

    /// The subprotocol that both ends have agreed on.
    #[must_use]
    pub fn protocol(self, ev: &EvLoop) -> Option<String> {
        self.look(ev)?.if_rare(|rare| rare.protocol.as_deref().map(str::to_owned)).flatten()
    }

    /// Whether messages can be sent: it is open, and neither end has begun to close it.
    #[must_use]
    pub fn is_open(self, ev: &EvLoop) -> bool {
        self.look(ev).is_some_and(|peer| peer.is_open())
    }

    /// Whether so much waits to be sent, 256 KiB, that it is better to wait too.
    #[must_use]
    pub fn is_full(self, ev: &EvLoop) -> bool {
        self.look(ev).is_some_and(|peer| peer.is_full(ev))
    }

    /// Attaches a value, one of each type; returns the one of this type that was there. It is dropped with the
    /// connection. For what the handler alone needs, its closure is the place.
    pub fn set_data<T: Any>(self, ev: &mut EvLoop, value: T) -> Option<Rc<T>> {
        self.stream.set_data(ev, value)
    }

    /// What was attached of this type.
    #[must_use]
    pub fn data<T: Any>(self, ev: &EvLoop) -> Option<Rc<T>> {
        self.stream.data(ev)
    }

    // --- sending ---------------------------------------------------------------------------------

    /// Sends a text.
    pub fn send_text(self, ev: &mut EvLoop, text: impl AsRef<str>) -> Result<Written> {
        self.send_whole(ev, Frame::TEXT, text.as_ref().as_bytes())
    }

    /// Sends bytes.
    pub fn send_binary(self, ev: &mut EvLoop, bytes: impl AsRef<[u8]>) -> Result<Written> {
        self.send_whole(ev, Frame::BINARY, bytes.as_ref())
    }

    /// Sends what was made to be sent to many.
    pub fn send(self, ev: &mut EvLoop, message: &PreparedMessage) -> Result<Written> {
        let (hub, peer) = self.open(ev)?;
        peer.send_prepared(ev, &hub, message)
    }

    /// Sends a part of a text, the first or a further one, and with `is_last` the last. Between the parts nothing but
    /// pings, and nothing of another kind, can be sent: that is [`ErrorKind::InvalidInput`].
    pub fn send_text_fragment(
        self,
        ev: &mut EvLoop,
        text: impl AsRef<str>,
        is_last: bool,
    ) -> Result<Written> {
        self.send_fragment(ev, MessageKind::Text, text.as_ref().as_bytes(), is_last)
    }

    /// Sends a part of a message of bytes: see [`send_text_fragment`](Self::send_text_fragment).
    pub fn send_binary_fragment(
        self,
        ev: &mut EvLoop,
        bytes: impl AsRef<[u8]>,
        is_last: bool,
    ) -> Result<Written> {
        self.send_fragment(ev, MessageKind::Binary, bytes.as_ref(), is_last)
    }

    /// Sends a ping, of at most 125 bytes, else that is [`ErrorKind::Protocol`]. The answer is a
    /// [`Pong`](super::WebSocketEvent::Pong).
    pub fn ping(self, ev: &mut EvLoop, payload: impl AsRef<[u8]>) -> Result<Written> {
        let (hub, peer) = self.open(ev)?;
        let written = peer.write(ev, &hub, Frame::PING, payload.as_ref())?;
        Ok(peer.told(ev, written))
    }

    /// Sends a pong that nobody has asked for. Pings are answered by themselves.
    pub fn pong(self, ev: &mut EvLoop, payload: impl AsRef<[u8]>) -> Result<Written> {
        let (hub, peer) = self.open(ev)?;
        let written = peer.write(ev, &hub, Frame::PONG, payload.as_ref())?;
        Ok(peer.told(ev, written))
    }

    // --- the end ---------------------------------------------------------------------------------

    /// Says goodbye, with a code and a reason of at most 123 bytes. What was sent before is still sent; what comes from
    /// now on is not told any more, but for [`Closed`](super::WebSocketEvent::Closed), at the latest when the
    /// [close time-out](super::WebSocketOptions::close_timeout) is over.
    ///
    /// One that is being closed already, or is gone, is left alone. One that is still being opened is cut.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a code that [may not be sent](CloseCode::may_be_sent), or a reason that is too
    /// long: it stays open then.
    pub fn close(self, ev: &mut EvLoop, code: CloseCode, reason: &str) -> Result<()> {
        let hub = ev.local::<Hub>();
        let Some(peer) = hub.get(self) else { return Ok(()) };
        closing::close(ev, &hub, &peer, Some(code), reason)
    }

    /// Cuts the connection, without a goodbye. What waits to be sent is thrown away.
    pub fn close_now(self, ev: &mut EvLoop) {
        let hub = ev.local::<Hub>();
        if let Some(peer) = hub.get(self) {
            closing::cut(ev, &peer);
        }
    }

    // --- reading ---------------------------------------------------------------------------------

    /// Has nothing more read, until [resumed](Self::resume): the peer is held up when the system's buffers are full.
    /// Messages that have come already wait too; also that the peer closes is found out later, but not that the
    /// connection is reset. Returns whether it is open.
    pub fn pause(self, ev: &mut EvLoop) -> bool {
        let Some(peer) = self.look(ev).filter(|peer| peer.is_open()) else { return false };
        if !peer.has(flag::PAUSED) {
            peer.set(flag::PAUSED);
            listen(ev, self.stream, false);
            if peer.has(flag::MESSAGE_TIMED) {
                peer.clear(flag::MESSAGE_TIMED);
                self.stream.set_deadline(ev, None);
            }
        }
        true
    }

    /// Ends a [pause](Self::pause). Returns whether it is open.
    pub fn resume(self, ev: &mut EvLoop) -> bool {
        let Some(peer) = self.look(ev).filter(|peer| peer.is_open()) else { return false };
        if peer.has(flag::PAUSED) {
            peer.clear(flag::PAUSED);
            if !peer.has(flag::HELD) {
                listen(ev, self.stream, true);
            }
        }
        true
    }

    // --- how verbs find it -----------------------------------------------------------------------

    fn look(self, ev: &EvLoop) -> Option<Rc<Peer>> {
        ev.local_if_made::<Hub>()?.get(self)
    }

    fn open(self, ev: &mut EvLoop) -> Result<(Rc<Hub>, Rc<Peer>)> {
        let hub = ev.local::<Hub>();
        match hub.get(self).filter(|peer| peer.is_open()) {
            Some(peer) => Ok((hub, peer)),
            None => Err(Error::new(ErrorKind::Closed, SENDING)),
        }
    }

    /// For whole messages, which do not go into the middle of another.
    fn sendable(self, ev: &mut EvLoop) -> Result<(Rc<Hub>, Rc<Peer>)> {
        let (hub, peer) = self.open(ev)?;
        if peer.has(flag::FRAGMENTS) {
            return Err(Error::new(ErrorKind::InvalidInput, SENDING));
        }
        Ok((hub, peer))
    }

    fn send_whole(self, ev: &mut EvLoop, frame: Frame, payload: &[u8]) -> Result<Written> {
        let (hub, peer) = self.sendable(ev)?;
        let written = peer.message(ev, &hub, frame, payload)?;
        Ok(peer.told(ev, written))
    }

    fn send_fragment(
        self,
        ev: &mut EvLoop,
        kind: MessageKind,
        payload: &[u8],
        is_last: bool,
    ) -> Result<Written> {
        let (hub, peer) = self.open(ev)?;
        let goes_on = peer.has(flag::FRAGMENTS);
        let is_text = kind == MessageKind::Text;
        if goes_on && peer.has(flag::TEXT) != is_text {
            return Err(Error::new(ErrorKind::InvalidInput, SENDING));
        }
        let frame = Frame::fragment((!goes_on).then_some(kind), is_last);
        debug_assert!(frame.opcode != OpCode::Close);
        let written = peer.write(ev, &hub, frame, payload)?;
        peer.clear(flag::FRAGMENTS | flag::TEXT);
        if !is_last {
            peer.set(flag::FRAGMENTS);
            if is_text {
                peer.set(flag::TEXT);
            }
        }
        Ok(peer.told(ev, written))
    }
}
