//! WebSockets of both ends, on both backends: net-and-http-server.md 3.13; reliability.md R1, R2, R5, R7, the rows of
//! §3a on them, and RST of §6. Peers are in the same process, and time is the case's own; `tungstenite` is the
//! peer that nobody here has written.

#![allow(clippy::unwrap_used)]

#[path = "suite/websockets.rs"]
mod sockets;
mod suite;
#[path = "suite/http.rs"]
mod talking;
#[cfg(feature = "tls")]
mod tls;

suite::on!(epoll: websocket_server, websocket_closing, websocket_handlers, websocket_pressure, websocket_time, websocket_client, websocket_many, websocket_states, websocket_taking_over, websocket_peers);
suite::on!(poll: websocket_server, websocket_closing, websocket_handlers, websocket_pressure, websocket_time, websocket_client, websocket_many, websocket_states, websocket_taking_over, websocket_peers);

#[cfg(feature = "tls")]
#[path = "cases/websocket_tls.rs"]
mod websocket_tls;
