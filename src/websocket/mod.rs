//! WebSocket, both ends (RFC 6455, RFC 7692). Feature `websocket`, on by default.
//!
//! A server that sends back what it is sent:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Reply, Request, Routes};
//! use evloop::websocket::{WebSocket, WebSocketClient, WebSocketEvent};
//! use evloop::wire::websocket::CloseCode;
//!
//! let mut ev = EvLoop::new()?;
//! let routes = Routes::new().get("/ws", |ev: &mut EvLoop, request: Request, reply: Reply| {
//!     // If the request asks for no WebSocket, it was answered so.
//!     let _ = WebSocket::accept(ev, &request, reply, |ev, ws, event| {
//!         let _ = match event {
//!             WebSocketEvent::Text(text) => ws.send_text(ev, text),
//!             WebSocketEvent::Binary(bytes) => ws.send_binary(ev, bytes),
//!             _ => return,
//!         };
//!     });
//! });
//! let server = ev.http_server("127.0.0.1:0", routes)?;
//!
//! // And a client of it.
//! let url = format!("ws://{}/ws", server.addresses(&ev)[0]);
//! WebSocketClient::new().connect(&mut ev, &url, move |ev, ws, event| match event {
//!     WebSocketEvent::Opened => drop(ws.send_text(ev, "hello")),
//!     WebSocketEvent::Text(text) => {
//!         assert_eq!(text, "hello");
//!         let _ = ws.close(ev, CloseCode::NORMAL, "that was it");
//!     }
//!     WebSocketEvent::Closed(closed) => {
//!         assert!(closed.clean);
//!         server.stop_now(ev);
//!     }
//!     _ => {}
//! })?;
//! ev.run()?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! | | |
//! |---|---|
//! | [`WebSocket`] | the key: sending, closing, asking |
//! | [`WebSocketEvent`], [`Closed`] | what its handler is told |
//! | [`WebSocketOptions`] | limits, pings, time-outs; subprotocols and origins of servers |
//! | [`WebSocketClient`] | opening one from here |
//! | [`PreparedMessage`], [`broadcast()`] | one message for many |
//! | [`WebSocketRemote`] | from other threads |
//! | [`wire::websocket`](crate::wire::websocket) | the protocol, without sockets |
//!
//! # What always holds
//!
//! * **A handler is called by the loop**, never from inside of a verb, with one event after the other. It may close
//!   everything, run the loop, and panic, which goes where panics of a [stream](crate::net::Stream)'s handler go: to the
//!   caller of [`EvLoop::run`](crate::EvLoop::run), with the messages behind it still to come.
//! * **`Closed` is told exactly once**, as the last, whatever has ended it: a close of either end, a reset, a time-out, a
//!   server that stops, the loop's own end.
//! * **Pings are answered**, when their handler returns. While a peer does not read what it is sent, at most one pong
//!   waits, and its further frames do.
//! * **Every wait has an end**: 10 s to open one from here, 30 s for a peer that does not read, 3 s to say goodbye. An
//!   idle peer is waited for, unless there are [pings](WebSocketOptions::ping) or [a
//!   time-out](WebSocketOptions::idle_timeout).
//! * **Memory is bounded** by the limits of frames, messages and output. What is idle has no buffers: less than 700 bytes in
//!   all, with its stream.
//! * **A server that stops** closes those it has accepted, with 1001, and has not stopped before they are gone.
//!
//! # Sharp edges
//!
//! * **Look at what sending returns**: [`Full`](crate::net::Written::Full) is the time to stop until
//!   [`Drained`](WebSocketEvent::Drained), and at 1 MiB a message is refused. A handler that echoes may
//!   [pause](WebSocket::pause) in between.
//! * **Any page may connect** to a server that does not look at the [origin](WebSocketOptions::origin).
//! * **A proxy may forget** what is idle for a minute: have [pings](WebSocketOptions::ping) sent.
//! * **A message of fragments** that this end [sends](WebSocket::send_text_fragment) keeps all others from being sent
//!   until its last.

// The rooms: `socket` is the state that verbs see, `driving` the closure of its stream, which reads and tells, `closing`
// how it ends. `accept` and `client` begin it, `hub` is what all of a loop share. The rest is what users hold.

mod accept;
mod client;
mod closing;
mod driving;
mod event;
mod hub;
mod options;
mod prepared;
mod remote;
mod socket;
mod verbs;

pub use accept::same_origin;
pub use client::WebSocketClient;
pub use event::{Closed, WebSocketEvent};
pub use options::WebSocketOptions;
pub use prepared::{Broadcast, PreparedMessage, broadcast};
pub use remote::WebSocketRemote;

use crate::net::Stream;

#[doc(no_inline)]
pub use crate::wire::websocket::{CloseCode, Fragment, MessageKind};

/// The key of a WebSocket, at either end.
///
/// As with watchers it is a number, and may be copied, kept, and sent to other threads. Verbs on one that is gone do
/// nothing, or return [`ErrorKind::Closed`](crate::ErrorKind::Closed).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct WebSocket {
    stream: Stream,
    index: u32,
}
