//! HTTP/1.1 servers on the loop (RFC 9110, RFC 9112). Feature `http-server`, on by default.
//!
//! ```no_run
//! use evloop::EvLoop;
//! use evloop::http::Routes;
//!
//! let mut ev = EvLoop::new()?;
//! let routes = Routes::new()
//!     .get("/", |ev, _request, reply| reply.text(ev, "hello"))
//!     .get("/hello/{name}", |ev, request, reply| {
//!         reply.text(ev, format!("hello {}", request.param("name").unwrap_or("you")))
//!     })
//!     .post("/length", |ev, request, reply| reply.text(ev, request.body().len().to_string()));
//! ev.http_server("127.0.0.1:8080", routes)?;
//! ev.run()?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! The guide [begins with that](crate::guide::http::first_server), and has [chapters](crate::guide::http) on streaming,
//! late replies, limits, files, forms, WebSocket and events, HTTPS, proxies and deployment. Each page here is about one
//! thing:
//!
//! | | |
//! |---|---|
//! | [`Routes`] | who answers what, and what is called around that |
//! | [`ServerOptions`], [`ThreadOptions`] | limits, time-outs, TLS, where to listen, on how many loops |
//! | [`Server`] | a server that runs: counters, connections, stopping |
//! | [`Request`] | what a client has asked for; [`RequestBody`] where its body is streamed |
//! | [`Reply`] | the right to answer it, now or later; [`RemoteReply`] from another thread |
//! | [`Response`] | what is answered, as a value |
//! | [`ReplyStream`], [`Pull`] | what is answered, piece by piece |
//! | [`EventStream`], [`PreparedEvent`] | server-sent events, to one or to many |
//! | [`Files`], [`Upload`] | files of a directory, and files into one |
//! | [`Form`], [`FormOptions`], [`StoredFile`] | forms, whole or as they come, and the files in them |
//! | [`SetCookie`] | cookies, beside [`Request::cookie`] |
#![cfg_attr(feature = "auth", doc = "| [`auth`] | who is asking: Basic, Bearer, Digest |")]
#![cfg_attr(feature = "compress", doc = "| [`Compression`] | replies that are packed on the way |")]
#![cfg_attr(
    feature = "websocket",
    doc = "| [`websocket`](crate::websocket) | connections that have become WebSockets |"
)]
//! | [`AccessLog`], [`RequestIds`] | a line for each request, and a name for it |
//! | [`IpRules`], [`RequestRate`], [`Cors`] | who may ask, how often, and from which pages |
//! | [`Completed`], [`CompletionReason`] | how a request has ended |
//!
//! # The idea
//!
//! A server is a [`Listener`](crate::net::Listener) and [`Stream`](crate::net::Stream)s, with [`wire`](crate::wire)
//! to make sense of the bytes. It has no thread, no task and no lock; handlers are closures, called on the loop's
//! thread, which answer at once or keep the [`Reply`] for later. Whoever has used libevent's evhttp or libmicrohttpd
//! will find the parts: items name their counterparts.
//!
//! What always holds:
//!
//! * **Each request is answered once, in order**, or its connection visibly fails. A `Reply` is consumed by
//!   answering; dropped it answers 500; a body that cannot be completed is cut, not ended.
//! * **Each request whose head was complete is [completed](Routes::on_completed) once**, with a reason, whatever
//!   becomes of the client, the handler or the server.
//! * **Nothing calls back from inside of a verb.** What a verb causes is told by the loop, later.
//! * **Behind a fault nothing is read.** Who breaks the rules of framing is answered once, and the connection closes.
//! * **Memory of a connection is bounded**, whatever its client sends or refuses to read; one that waits for a
//!   request has no buffers.
//! * **Every wait has a deadline** unless the program has turned it off.
//! * **A handler's panic is its request's**, and nobody else's.
//!
//! # The life of a request
//!
//! In this order, each being told once or not at all:
//!
//! 1. [`on_connection`](Routes::on_connection): the connection was opened. What is attached to it
//!    ([`set_data`](Connection::set_data)) outlives requests. Who may [not come in](ServerOptions::accept_from) is
//!    gone after that.
//! 2. The preface, where there is one: the [PROXY header](ServerOptions::proxy_protocol), from which on the client is
//!    who it names, and the TLS handshake. Each has a time-out, and what comes to nothing here is no request.
//! 3. [`on_request_line`](Routes::on_request_line): method and target are known.
//! 4. The head is complete. The [host](Routes::host) is looked up, and the route. If the head breaks a rule, or the path
//!    cannot be decoded, or there are [too many requests](ServerOptions::max_requests_at_once) already:
//!    [`error_page`](Routes::error_page), and the end.
//! 5. [`before`](Routes::before) and [`before_at`](Routes::before_at) are called in the order in which they were
//!    added, for what has no route too: they may answer, refuse a body before it is sent, change its limit, add fields to
//!    the reply.
//!    [`request_id`](Routes::request_id), [`ip_rules`](Routes::ip_rules), [`limit_rate`](Routes::limit_rate),
//!    [`cors`](Routes::cors) and the guards of log-ins are such hooks, so their order is the program's.
//! 6. The body is read: gathered, or, for a [streaming](Routes::streaming) handler, not before it is [asked
//!    for](Request::receive). A client that waits for 100 is told it then. What is packed is unpacked, if the routes say
//!    so.
//! 7. **The handler.** While it has the reply, the client is watched, about [64 KiB](ServerOptions::read_ahead) of what it sends next are kept,
//!    and nobody else waits; [`on_disconnect`](Reply::on_disconnect) tells that it has gone.
//! 8. [`after`](Routes::after): the reply's status and fields, before they are sent. Then it is packed, if the routes
//!    say so and the client can read it.
//! 9. The body of the reply, at the client's pace: [drained](ReplyStream::on_drained), [pulled](Reply::pull).
//! 10. What is left of the request's body is read and dropped, up to [a limit](ServerOptions::max_drain).
//! 11. [`on_completed`](Routes::on_completed), the server's and the [reply's own](Reply::on_completed): the last byte
//!     was handed to the system, or never will be, with the reason. [Access logs](Routes::access_log) write their line.
//! 12. The next request, which may have been there all the time (pipelining); or the end, and
//!     [`on_connection`](Routes::on_connection) again. A connection that was [taken over](Reply::upgrade), by a WebSocket
//!     say, is no longer the server's, and is gone with that.
//!
//! Requests of one connection are handled one after the other; those of different connections at the same time, as
//! far as their handlers wait.
//!
//! # Not here
//!
//! HTTP/2 and HTTP/3, for which a [proxy](crate::guide::http::behind_a_proxy) in front stands in. `TRACE` and
//! `CONNECT`, which are refused. Templates, sessions and databases, which are the program's. The client is still to come; that of
//! WebSocket is there.

mod access_log;
mod addresses;
#[cfg(feature = "auth")]
#[cfg_attr(docsrs, doc(cfg(feature = "auth")))]
pub mod auth;
#[cfg(feature = "compress")]
mod compression;
mod cors;
mod events;
mod files;
mod forms;
mod request_id;
mod server;
mod table;
#[cfg(feature = "http-types")]
mod types;

pub use crate::wire::cookie::{CookieFault, SameSite, SetCookie};
pub use crate::wire::events::Event;
pub use crate::wire::{ChunkLimits, Fault, Fields, HeadLimits, Method, Status, Version};
pub use access_log::{AccessLog, AccessLogError, AccessLogStats, LogFormat};
pub use addresses::{IpKey, IpNetwork, IpRules, RequestRate};
#[cfg(feature = "compress")]
#[cfg_attr(docsrs, doc(cfg(feature = "compress")))]
pub use compression::Compression;
pub use cors::Cors;
pub use events::{Delivery, EventOptions, EventStream, Overflow, PreparedEvent};
pub use files::{FilePath, FilePathFault, Files, Stored, Symlinks, Tags, Upload, UploadError};
pub use forms::{
    Form, FormContent, FormError, FormEvent, FormField, FormFile, FormLimits, FormOptions,
    FormPart, PartData, StoredFile,
};
pub use request_id::RequestIds;
pub use server::*;
#[cfg(feature = "websocket")]
pub(crate) use server::{clients, guests};
