//! Limits and time-outs: all that there are, what a client sees of them, and how to judge them.
//!
//! A server is lent memory, descriptors and time by its owner, and everybody on the network may ask for them. So
//! every buffer has an end, every wait a deadline, and what depends on the program is a method of
//! [`ServerOptions`](crate::http::ServerOptions):
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Routes, ServerOptions};
//! use evloop::net::ListenOptions;
//! use evloop::wire::HeadLimits;
//! use std::time::Duration;
//!
//! let mut ev = EvLoop::new()?;
//! let server = ServerOptions::new()
//!     .listening(ListenOptions::new().backlog(512))
//!     .max_connections(2000)
//!     .max_per_ip(50)
//!     .head_limits(HeadLimits { head: 16 * 1024, ..HeadLimits::default() })
//!     .max_body(64 * 1024)
//!     .header_timeout(Some(Duration::from_secs(5)))
//!     .handler_timeout(Some(Duration::from_secs(20)))
//!     .listen(&mut ev, "127.0.0.1:0", Routes::new())?;
//! # let _ = server;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! For time-outs, `None` is for ever; for limits, 0 is none where their page says so.
//!
//! # What is accepted
//!
//! | what | default | method | beyond it |
//! |---|---|---|---|
//! | target of a request | 8 KiB | [`head_limits`](crate::http::ServerOptions::head_limits): `target` | 414 |
//! | head, all of it | 64 KiB | `head_limits`: `head` | 431 |
//! | fields of a head | 100 | `head_limits`: `fields` | 431 |
//! | empty lines before a request | 4 | `head_limits`: `empty_lines` | 400 |
//! | method, length of its name | 32 bytes | – | 501 |
//! | body that is gathered | 8 MiB | [`max_body`](crate::http::ServerOptions::max_body), per request [`set_max_body`](crate::http::Request::set_max_body) | 413 |
//! | body that is streamed | none | [`RequestBody::set_limit`](crate::http::RequestBody::set_limit) | 413 |
//! | line of a chunk's size, without extensions | 256 bytes, 16 digits | [`chunk_limits`](crate::http::ServerOptions::chunk_limits): `line` | 400 |
//! | chunk extensions of a body, in all | 16 KiB | `chunk_limits`: `extensions` | 400 |
//! | trailers | 16 KiB, 100 fields | `chunk_limits`: `trailers`, `trailer_fields` | 431 |
//! | framing of a chunked body, in all | 16 KiB + 16 × data | `chunk_limits`: `framing`, to which 16 × data are added | 400 |
//! | a PROXY header, where there must be one | 4 KiB, 32 extensions | [`proxy_limits`](crate::http::ServerOptions::proxy_limits) | 400; closed where TLS is spoken |
//! | body that nobody wants, read so that the connection can be kept | 64 KiB | [`max_drain`](crate::http::ServerOptions::max_drain) | closed after the reply |
//! | pairs of a query or a form | 1000 | [`Pairs::limit`](crate::wire::Pairs::limit) | the rest is left out; strictly, an error |
//! | methods that are known | RFC 9110, WebDAV, and those of routes | [`methods`](crate::http::ServerOptions::methods) | 501 |
//! | body without a length | empty | [`require_length`](crate::http::ServerOptions::require_length) | 411 |
//!
//! # How long is waited
//!
//! | for what | default | method | then |
//! |---|---|---|---|
//! | a PROXY header, where there must be one | 3 s | [`proxy_timeout`](crate::http::ServerOptions::proxy_timeout) | closed |
//! | a handshake of TLS | 10 s | `TlsServerBuilder::handshake_timeout` | closed |
//! | a whole head, from the connection's start or its own first byte | 10 s | [`header_timeout`](crate::http::ServerOptions::header_timeout) | 408; closed in silence if nothing came |
//! | the next bytes of a body | 30 s | [`body_timeout`](crate::http::ServerOptions::body_timeout) | 408 |
//! | a whole body | for ever | [`body_total_timeout`](crate::http::ServerOptions::body_total_timeout) | 408 |
//! | a body slower than | 240 B/s after 10 s | [`min_body_rate`](crate::http::ServerOptions::min_body_rate) | 408 |
//! | a handler that has not begun to answer | for ever | [`handler_timeout`](crate::http::ServerOptions::handler_timeout) | 503 |
//! | a client that takes nothing of its reply | 30 s | [`write_timeout`](crate::http::ServerOptions::write_timeout) | cut |
//! | a reply that is taken slowly | for ever | [`min_write_rate`](crate::http::ServerOptions::min_write_rate) | cut |
//! | the next request | 60 s | [`idle_timeout`](crate::http::ServerOptions::idle_timeout) | closed in silence |
//! | a connection's whole life | for ever | [`connection_lifetime`](crate::http::ServerOptions::connection_lifetime) | closed after the reply |
//! | a client that still sends after the last reply | 1 s, 256 KiB | [`linger`](crate::http::ServerOptions::linger) | closed |
//! | replies that are due when the server stops | – | [`shutdown`](crate::http::Server::shutdown): `limit` | cut |
//!
//! A [`before`](crate::http::Routes::before) hook can set others for its request, with
//! [`set_body_timeout`](crate::http::Request::set_body_timeout),
//! [`set_body_total_timeout`](crate::http::Request::set_body_total_timeout),
//! [`set_min_body_rate`](crate::http::Request::set_min_body_rate) and
//! [`set_handler_timeout`](crate::http::Request::set_handler_timeout), and for its connection, with
//! [`set_idle_timeout`](crate::http::Connection::set_idle_timeout) between requests,
//! [`set_header_timeout`](crate::http::Connection::set_header_timeout) and
//! [`set_write_timeout`](crate::http::Connection::set_write_timeout).
//!
//! # How many
//!
//! | of what | default | method | beyond it |
//! |---|---|---|---|
//! | connections | 10 000, and 64 fewer than descriptors | [`max_connections`](crate::http::ServerOptions::max_connections) | wait in the system's queue |
//! | connections that wait there | 1024 | [`backlog`](crate::net::ListenOptions::backlog) | the system refuses them |
//! | connections of one address (IPv6: /64) | no limit | [`max_per_ip`](crate::http::ServerOptions::max_per_ip) | accepted and closed |
//! | connections accepted per second | no limit | [`accept_rate`](crate::net::ListenOptions::accept_rate) | wait in the system's queue |
//! | requests on a connection | no limit | [`max_requests`](crate::http::ServerOptions::max_requests) | closed after the reply |
//! | requests of a connection, answered before others have their turn | 16 | [`pipelined_per_turn`](crate::http::ServerOptions::pipelined_per_turn) | next turn |
//! | bytes read ahead while a request is handled | 64 KiB | [`read_ahead`](crate::http::ServerOptions::read_ahead) | not read |
//! | bytes of a streamed body that were not taken | 64 KiB | `read_ahead` | not read |
//! | bytes of replies that wait for the client, and of what is kept to tell when they have left, soft | 256 KiB | [`write_limits`](crate::http::ServerOptions::write_limits) | [`Full`](crate::net::Written::Full), and no further request is read |
//! | parts of files that wait for the client | 8, and what one reply has | – | as above: `Full`, and no further request is read |
//! | bytes of replies that wait, hard | 1 MiB | `write_limits` | [`ErrorKind::Full`](crate::ErrorKind::Full); whole bodies that are handed over do not count |
//!
//! What is read or waits is in memory that has room for at most about four times as many bytes as it holds, and for
//! about twice as many where it is much.
//!
//! With [threads](crate::http::ThreadOptions), all of these are for each of them, but for those of listening when
//! [one accepts for all](crate::http::Sharing::HandOff).
//!
//! # All together
//!
//! The limits above are for one connection, and their product for all of them is large. These are for all, or for each
//! client whatever connections it has; none is set by default:
//!
//! | of what | method | beyond it |
//! |---|---|---|
//! | connections that are answered at all, rather than left to wait | [`refuse_connections_above`](crate::http::ServerOptions::refuse_connections_above) | 503 and closed |
//! | requests from the end of their heads to the last byte of their replies | [`max_requests_at_once`](crate::http::ServerOptions::max_requests_at_once) | 503 with `Retry-After` |
//! | memory of all buffers | [`memory_budget`](crate::http::ServerOptions::memory_budget) | 503 with `Retry-After` |
//! | requests of a client per second | [`limit_rate`](crate::http::Routes::limit_rate) | 429 with `Retry-After` |
//! | who may connect | [`accept_from`](crate::http::ServerOptions::accept_from) | closed without a word |
//! | who may ask, of all or for some paths | [`ip_rules`](crate::http::Routes::ip_rules), [`before_at`](crate::http::Routes::before_at) | 403 |
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{IpRules, RequestRate, Routes, ServerOptions};
//!
//! let mut ev = EvLoop::new()?;
//! let routes = Routes::new()
//!     .ip_rules(IpRules::allow_all().deny("192.0.2.0/24".parse()?))
//!     .limit_rate(RequestRate::per_second(10, 50).except("127.0.0.0/8".parse()?))
//!     .get("/", |ev, _, reply| reply.text(ev, "hello"));
//! let server = ServerOptions::new()
//!     .max_per_ip(50)
//!     .max_requests_at_once(500)
//!     .memory_budget(512 << 20)
//!     .listen(&mut ev, "127.0.0.1:0", routes)?;
//! # let _ = server;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! The last three go by the client's address, behind [a proxy that is believed](super::behind_a_proxy#who-is-there)
//! too, but for `accept_from`, which is about connections.
//!
//! # Of what is served
//!
//! | of what | default | method | beyond it |
//! |---|---|---|---|
//! | ranges of a request for a file | 16 | – | the whole is sent |
//! | entries of a listing | 0 | [`Files::listing`](crate::http::Files::listing) | not listed |
//! | a file that is uploaded | 1 GiB | [`Upload::max_size`](crate::http::Upload::max_size) | 413 |
//! | a form: fields, files, memory, all | 64 KiB, 16 MiB, 8 MiB, 64 MiB | [`FormLimits`](crate::http::FormLimits) | 413 |
//! | its parts, its pairs, the head of a part | 128, 1000, 8 KiB | `FormLimits` | 413; 400 for a head |
//! | its files that are [stored](crate::http::StoredFile) | 32 | `FormLimits` | 413 |
//! | events that wait for a client | 256 KiB | [`EventOptions::max_waiting`](crate::http::EventOptions::max_waiting) | [dropped, or cut](crate::http::Overflow) |
//! | a WebSocket's frame, message, fragments | 1 MiB, 4 MiB, 1024 | `WebSocketOptions` | closed with 1009 |
//! | a WebSocket's message, from its first byte to its last | 2 min | `WebSocketOptions` | cut |
//! | what waits for its peer | 1 MiB | – | refused with `ErrorKind::Full` |
//! | a body that is unpacked | 64 MiB, and from 1 MiB on 200 times what came | `Routes::decompress`, and `max_body` | 413 |
//! | replies that are packed piece by piece | 128 | `Compression::max_streams` | sent as they are |
//! | lines of a log that cannot be written | 256 KiB | [`AccessLog::buffer`](crate::http::AccessLog::buffer) | dropped and counted |
//!
//! # How the clock runs
//!
//! * **The head's time is total.** A client that sends a byte every nine seconds (the attack is called *slowloris*)
//!   gains nothing: ten seconds after it began it is answered 408. That is why the limit is short.
//! * **A body's is not**, for a large one may take as long as it needs. What it must do is move: no pause of 30 s,
//!   and 240 bytes per second on average. That is less than any network in use, and more than an attacker wants to
//!   spend on a thousand connections.
//! * **No clock runs while it is us who wait**: while a handler has [paused](crate::http::RequestBody::pause) a body
//!   or has not taken what there is.
//! * **Time-outs of the client's end in silence where nobody is owed an answer**: between requests. A proxy that
//!   keeps connections may send a request just as one is closed; it should know its own limit to be the shorter one.
//!
//! # How refusals look
//!
//! What breaks a limit or a rule of the protocol is answered once, with `Connection: close`, and nothing that comes
//! behind it is looked at: where its end is, nobody knows. The connection then lingers for a second, or as
//! [`linger`](crate::http::ServerOptions::linger) says: without that, what the client still sends would make its system throw
//! away the reply, unread.
//!
//! [`error_page`](crate::http::Routes::error_page) may say it with other words.
//! [`on_completed`](crate::http::Routes::on_completed) is told if the head was complete, and else
//! [`on_refused`](crate::http::Routes::on_refused), with
//! [`Timeout`](crate::http::CompletionReason::Timeout) or
//! [`ProtocolError`](crate::http::CompletionReason::ProtocolError), as of a client that goes in the middle of its head, with
//! [`ClientAborted`](crate::http::CompletionReason::ClientAborted); [`Server::stats`](crate::http::Server::stats)
//! counts them.
//!
//! # What to change
//!
//! The defaults are for a server that strangers can reach, and whose work is in memory. Think about these:
//!
//! * **Memory.** The worst that strangers can do is *connections × (head + body)*: with the defaults 10 000 × 8 MiB,
//!   if each of them sends a body to a handler that gathers it. Lower `max_body` to what your forms need, and stream
//!   what is larger; in a [`before`](crate::http::Routes::before) hook, `set_max_body` opens single routes to those
//!   who may. Or let `memory_budget` say how much it may be in all.
//! * **`handler_timeout`** as soon as a handler depends on anything outside the process.
//! * **`max_per_ip` and `limit_rate`** on the open network; behind a proxy only the second, as all connections are its
//!   own, unless it speaks the [PROXY protocol](super::behind_a_proxy#the-proxy-protocol).
//! * **`idle_timeout`** up to some minutes behind a proxy that keeps connections, so that it is the proxy who ends
//!   them; down to seconds where descriptors are scarce. An idle connection costs some hundred bytes here and a
//!   descriptor.
//! * **`write_timeout`** is about progress, not about the whole: a phone in a tunnel may stay at it for an hour.
//!   Where that is too long, there is `connection_lifetime`, and each reply's own timer.
//! * **Descriptors**: `ulimit -n` is often 1024, and then no server of any make has 10 000 connections. Without any
//!   left the listener rests instead of spinning, and goes on when one is closed; what needs one for a file is 503.
//!   A connection has one, and two more while it uploads, one more for the file of a form that is coming, or one more for
//!   each reply out of a file that waits for its client: only if it is longer than 16 KiB or sent piece by piece, and at
//!   most eight, unless one reply has more.
