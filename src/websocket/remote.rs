//! WebSockets and other threads.

use super::WebSocket;
use super::prepared::{PreparedMessage, broadcast};
use crate::wire::websocket::CloseCode;
use crate::{EvLoop, Remote};

/// A handle to a loop's WebSockets for other threads (mongoose's `mg_wakeup`).
///
/// ```no_run
/// # use evloop::EvLoop;
/// use evloop::websocket::PreparedMessage;
///
/// # let mut ev = EvLoop::new()?;
/// let clients = ev.websocket_remote();
/// std::thread::spawn(move || {
///     clients.broadcast(|_, _| true, PreparedMessage::text("from afar"));
/// });
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// Nothing blocks here, and what one thread sends arrives in its order. All return whether the loop is there; whether
/// the peer still is nobody knows. **Who cannot be sent to**, because too much waits for it or because its owner is in the middle
/// of a [message of fragments](WebSocket::send_text_fragment), is closed with 1013: nothing
/// is lost without its peer being told. [`StreamRemote`](crate::net::StreamRemote) has messages for the handler.
#[derive(Clone, Debug)]
pub struct WebSocketRemote(Remote);

impl EvLoop {
    /// A handle to this loop's WebSockets for other threads.
    #[must_use]
    pub fn websocket_remote(&self) -> WebSocketRemote {
        WebSocketRemote(self.remote())
    }
}

impl WebSocketRemote {
    /// Sends a text.
    pub fn send_text(&self, to: WebSocket, text: impl Into<String>) -> bool {
        let text = text.into();
        self.0.post(move |ev| to.send_or_close(ev, |ev| to.send_text(ev, text).map(drop)))
    }

    /// Sends bytes.
    pub fn send_binary(&self, to: WebSocket, bytes: impl Into<Vec<u8>>) -> bool {
        let bytes = bytes.into();
        self.0.post(move |ev| to.send_or_close(ev, |ev| to.send_binary(ev, bytes).map(drop)))
    }

    /// Sends what was made to be sent to many.
    pub fn send(&self, to: WebSocket, message: PreparedMessage) -> bool {
        self.0.post(move |ev| to.send_or_close(ev, |ev| to.send(ev, &message).map(drop)))
    }

    /// Sends a message to all for which `to` says so, in the loop's thread.
    pub fn broadcast(
        &self,
        to: impl Fn(&EvLoop, WebSocket) -> bool + Send + 'static,
        message: PreparedMessage,
    ) -> bool {
        self.0.post(move |ev| {
            for ws in broadcast(ev, to, &message).refused {
                // Once more, for the reason.
                ws.send_or_close(ev, |ev| ws.send(ev, &message).map(drop));
            }
        })
    }

    /// [Closes](WebSocket::close) it. A code or reason that cannot be sent is 1000 without one.
    pub fn close(&self, ws: WebSocket, code: CloseCode, reason: impl Into<String>) -> bool {
        let reason = reason.into();
        self.0.post(move |ev| {
            if ws.close(ev, code, &reason).is_err() {
                let _ = ws.close(ev, CloseCode::NORMAL, "");
            }
        })
    }

    /// The loop itself.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.0
    }
}
