//! One message for many.

use std::sync::Arc;

use super::WebSocket;
use super::hub::Hub;
use crate::net::Shared;
use crate::wire::websocket::{Frame, OpCode, frame};
use crate::{EvLoop, Result};

/// A message that is made once and sent to many, whose bytes they share. It can be cloned, and sent to other threads.
///
/// ```
/// use evloop::websocket::{PreparedMessage, broadcast};
///
/// # let mut ev = evloop::EvLoop::new()?;
/// let news = PreparedMessage::text("the weather changes");
/// let told = broadcast(&mut ev, |_, _| true, &news);
/// assert_eq!((told.sent, told.refused.len()), (0, 0));
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PreparedMessage {
    opcode: OpCode,
    frame: Arc<Shared>,
    head: usize,
}

impl PreparedMessage {
    /// A text.
    #[must_use]
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::new(OpCode::Text, text.as_ref().as_bytes())
    }

    /// Bytes.
    #[must_use]
    pub fn binary(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(OpCode::Binary, bytes.as_ref())
    }

    fn new(opcode: OpCode, payload: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(payload.len() + 10);
        // Only control frames can be refused.
        let _ = frame(&mut bytes, Frame::whole(opcode), payload, None);
        let head = bytes.len() - payload.len();
        Self { opcode, frame: Arc::new(bytes.into()), head }
    }

    pub(super) fn opcode(&self) -> OpCode {
        self.opcode
    }

    pub(super) fn frame(&self) -> &Arc<Shared> {
        &self.frame
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.frame.get(self.head..).unwrap_or_default()
    }
}

/// Whom a [broadcast] has reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Broadcast {
    /// So many take it.
    pub sent: usize,
    /// These do not: they read too slowly, and so much waits for them that no more is taken; or they are in the middle of
    /// a message in fragments. Close them, or let them miss it.
    pub refused: Vec<WebSocket>,
}

/// Sends a message to all [open](EvLoop::websockets) WebSockets of a loop for which `to` says so (mongoose's broadcast).
///
/// From another thread: [`WebSocketRemote::broadcast`](super::WebSocketRemote::broadcast).
pub fn broadcast(
    ev: &mut EvLoop,
    mut to: impl FnMut(&EvLoop, WebSocket) -> bool,
    message: &PreparedMessage,
) -> Broadcast {
    let mut told = Broadcast::default();
    let hub = ev.local::<Hub>();
    // One pass over all of them: there may be more than the caches hold.
    for peer in hub.open() {
        if !to(ev, peer.key) {
            continue;
        }
        match peer.send_prepared(ev, &hub, message) {
            Ok(_) => told.sent += 1,
            Err(_) if peer.is_open() => told.refused.push(peer.key),
            // It has gone meanwhile.
            Err(_) => {}
        }
    }
    told
}

impl WebSocket {
    /// [`send`](Self::send) for who cannot be told that it was refused: whom it cannot reach is closed, with 1013, so
    /// that it knows that it has missed something.
    pub(super) fn send_or_close(
        self,
        ev: &mut EvLoop,
        send: impl FnOnce(&mut EvLoop) -> Result<()>,
    ) {
        let Err(error) = send(ev) else { return };
        if !self.is_open(ev) {
            return;
        }
        let code = crate::wire::websocket::CloseCode::TRY_AGAIN_LATER;
        let is_slow = error.kind() == crate::ErrorKind::Full;
        let reason = if is_slow { "reads too slowly" } else { "is in the middle of a message" };
        if self.close(ev, code, reason).is_err() {
            self.close_now(ev);
        }
    }
}
