//! What a WebSocket tells its owner.

use crate::Error;
use crate::net::Message;
use crate::wire::Status;
use crate::wire::websocket::{CloseCode, Fragment};

/// What happened to a [`WebSocket`](super::WebSocket). More may join.
///
/// `Opened` comes first, `Closed` last, and exactly once, whatever becomes of the connection. Of one that never
/// opened, because a server refused or there was none, `Closed` is told alone.
#[derive(Debug)]
#[non_exhaustive]
pub enum WebSocketEvent<'a> {
    /// Messages can be sent, and may come.
    Opened,
    /// A whole text.
    Text(&'a str),
    /// A whole message of bytes.
    Binary(&'a [u8]),
    /// One frame of a message, where [fragments are wanted](super::WebSocketOptions::fragments).
    Fragment(Fragment<'a>),
    /// A ping, which is answered by itself when the handler returns.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// What had to wait has been sent: there is room for more.
    Drained,
    /// Somebody [posted](crate::net::StreamRemote::post) this to the stream beneath.
    Wakeup(Message),
    /// It is over: no other event follows.
    Closed(Closed),
}

/// How a WebSocket has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed {
    /// What the other end has said: [`NO_STATUS`](CloseCode::NO_STATUS) if it has said nothing more.
    /// [`ABNORMAL`](CloseCode::ABNORMAL) if it has not said goodbye at all; and if it has broken a rule, the code that it
    /// was told.
    pub code: CloseCode,
    /// And its reason, if it gave any. If it has broken a rule, which.
    pub reason: String,
    /// Both ends have said goodbye.
    pub clean: bool,
    /// What a server has answered that has not opened it: 401, 302 and so on.
    pub status: Option<Status>,
    /// What went wrong, if something has that is known: the connection was reset, a time-out, the
    /// [fault](crate::wire::websocket::WebSocketFault) of a frame or the
    /// [one](crate::wire::websocket::HandshakeFault) of an answer.
    pub error: Option<Error>,
}
