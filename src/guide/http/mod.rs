//! Serving HTTP: from a first server to one that others depend on. Feature `http-server`.
//!
//! How it works:
//!
//! * [A first server](first_server): routes, handlers, errors, stopping.
//! * [Streaming](streaming): bodies in pieces, in both directions, no faster than the slower side.
//! * [Late replies](late_replies): from a timer, from another thread, from the work pool; clients that leave.
//! * [Limits and time-outs](limits): all of them, what a client sees of them, and which to change.
//!
//! What is served:
//!
//! * [Files](files): those of a directory, in part or not at all if the client has them; and files that come in.
//! * [Forms and uploads](forms_and_uploads): fields and files of forms, cookies, who it was.
#![cfg_attr(
    feature = "websocket",
    doc = "* [WebSocket and events](websocket_and_events): messages both ways, messages to many, streams of events."
)]
#![cfg_attr(
    not(feature = "websocket"),
    doc = "* *WebSocket and events* comes with the feature `websocket`, which is turned off here."
)]
//!
//! Where it stands:
//!
#![cfg_attr(
    feature = "tls",
    doc = "* [HTTPS](https): certificates and their renewal, several names, certificates of clients, who comes without TLS."
)]
#![cfg_attr(
    not(feature = "tls"),
    doc = "* *HTTPS* comes with the feature `tls`, which is turned off here."
)]
//! * [Behind a proxy](behind_a_proxy): nginx and haproxy in front, whom they speak for, time-outs along the way.
//! * [Deployment](deployment): systemd and its sockets, several hosts and threads, logs, compression, pages of other
//!   origins, restarts that lose nobody.
//!
//! What each item does to the byte is said where it is: [`evloop::http`](crate::http) begins with the life of a
//! request. The protocol without sockets is [`evloop::wire`](crate::wire). A server with a route for each of all this
//! is `examples/http_server` in the repository.

pub mod behind_a_proxy;
pub mod deployment;
pub mod files;
pub mod first_server;
pub mod forms_and_uploads;
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub mod https;
pub mod late_replies;
pub mod limits;
pub mod streaming;
#[cfg(feature = "websocket")]
#[cfg_attr(docsrs, doc(cfg(feature = "websocket")))]
pub mod websocket_and_events;
