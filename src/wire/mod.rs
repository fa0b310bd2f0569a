//! HTTP/1.1 without sockets: bytes in, meaning out (RFC 9112). Feature `http-server`.
//!
//! What a server or a client must know about the protocol, as machines that are fed bytes and say what those are.
//! They open no socket, read no clock, and keep nothing but what they must remember. So they can be tested byte by
//! byte, fuzzed without a network, and used on whatever carries bytes.
//!
//! A request, from the bytes to the last of its body, however they come:
//!
//! ```
//! use evloop::wire::{BodyDecoder, ChunkLimits, HeadLimits, Method, Piece, RequestParser};
//!
//! let mut input: &[u8] = b"POST /notes?to=me HTTP/1.1\r\nHost: example.org\r\n\
//!     Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /next";
//!
//! let mut parser = RequestParser::new(HeadLimits::default());
//! let progress = parser.feed(input)?;
//! assert!(progress.done); // else: read more, and feed that
//! input = &input[progress.used..];
//! let head = parser.head();
//! assert_eq!((head.method(), head.raw_path(), head.query()), (&Method::POST, "/notes", Some("to=me")));
//! assert_eq!(head.fields().get("host"), Some(&b"example.org"[..]));
//!
//! let mut decoder = BodyDecoder::from_framing(head.framing(), ChunkLimits::default());
//! let mut body = Vec::new();
//! loop {
//!     match decoder.next(input)? {
//!         Piece::Skip(n) => input = &input[n..],
//!         Piece::Data(n) => {
//!             body.extend_from_slice(&input[..n]);
//!             input = &input[n..];
//!         }
//!         Piece::End(n) => {
//!             input = &input[n..];
//!             break;
//!         }
//!         Piece::More => break, // read more, and go on
//!     }
//! }
//! assert_eq!((body.as_slice(), input), (&b"hello"[..], &b"GET /next"[..]));
//! parser.reset(); // for the next one, with the same memory
//! # Ok::<(), evloop::wire::Fault>(())
//! ```
//!
//! # Rules of the house
//!
//! * **Return what was used.** A machine takes a slice and says how much of it belongs to what it reads. It never
//!   wants to see bytes again, and never takes one that is of the next message.
//! * **However the bytes are cut, the outcome is the same**: the same meaning or the same [`Fault`], at the same
//!   byte. Each byte is looked at once, so work is linear with one byte per read as well.
//! * **Limits are looked at while bytes pass**: [`HeadLimits`], [`ChunkLimits`]. No memory is taken for what will be
//!   refused.
//! * **A fault is the end.** It is a plain value that can be compared, knows the [status](Fault::status) of the
//!   reply, and comes again from every further call.
//! * **What is written is checked too**: [`field()`] refuses a line break in a value instead of sending a second
//!   field.
//!
//! # What is refused
//!
//! Two servers in a row that disagree about where a request ends can be made to mix up the requests of different
//! people (*request smuggling*). Each of the rules below is one over which real servers have disagreed. Nothing here
//! is repaired or guessed:
//!
//! | what | RFC | fault |
//! |---|---|---|
//! | a line that ends with LF alone, or with CR alone | 9112 §2.2 | [`BadLineEnd`](Fault::BadLineEnd) |
//! | white space before a colon, in a name, or at the beginning of a line | 9112 §5.1, §5.2 | [`BadFieldName`](Fault::BadFieldName), [`FoldedField`](Fault::FoldedField) |
//! | NUL and other control bytes in a value | 9110 §5.5 | [`BadFieldValue`](Fault::BadFieldValue) |
//! | `Content-Length` and `Transfer-Encoding` together | 9112 §6.1 | [`LengthAndCoding`](Fault::LengthAndCoding) |
//! | `Transfer-Encoding` in HTTP/1.0 | 9112 §6.1 | [`CodingIn10`](Fault::CodingIn10) |
//! | a coding that is not `chunked` and nothing else | 9112 §6.1 | [`BadCoding`](Fault::BadCoding), [`UnknownCoding`](Fault::UnknownCoding) |
//! | a length with a sign, a comma, white space inside; two of them, even if equal | 9112 §6.3 | [`BadLength`](Fault::BadLength), [`SeveralLengths`](Fault::SeveralLengths) |
//! | a size of a chunk with a sign, `0x`, white space behind it; data without CR LF behind it | 9112 §7.1 | [`BadChunkSize`](Fault::BadChunkSize), [`BadChunkEnd`](Fault::BadChunkEnd) |
//! | no `Host`, or two; one that is no host | 9112 §3.2 | [`MissingHost`](Fault::MissingHost), [`SeveralHosts`](Fault::SeveralHosts), [`BadHost`](Fault::BadHost) |
//! | a path that climbs above the root, `%00`, a `%` without two digits | 3986 §2.1, §5.2.4 | [`OutsideRoot`](Fault::OutsideRoot), [`BadEscape`](Fault::BadEscape) |
//!
//! Browsers' habits are not: `|`, `{}`, `^` and the like in a target are taken as they are.
//!
//! # The parts
//!
//! | | reads | writes |
//! |---|---|---|
//! | heads | [`RequestParser`], [`ResponseParser`] | [`request_line`], [`status_line`], [`field()`], [`number_field`], [`end_of_head`] |
//! | bodies | [`BodyDecoder`], [`ChunkDecoder`] | [`chunk_head`], [`CHUNK_END`], [`last_chunk`] |
//! | words | [`Method`], [`Status`], [`Version`], [`Fields`], [`parameters()`] | the same |
//! | targets | [`decode_path`], [`split_authority`], [`urlencoded`] (`evhttp_parse_query_str`, `MHD_get_connection_values`) | [`urlencoded`] (`evhttp_encode_uri`) |
//! | content | [`range`], [`conditional`], [`entity_tags`], [`accept`] | [`range`], [`EntityTag`] |
//! | texts | [`parse_http_date`] | [`http_date`], [`DateCache`], [`html`] (`evhttp_htmlescape`) |
//! | what a client has already | [`conditional`], [`entity_tags`] | [`EntityTag`] |
//! | parts of something | [`range`] | the same |
//! | what a client can read | [`accept`] | |
//! | forms with files | [`multipart`] (`MHD_post_process`) | |
//! | cookies | [`cookie::parse`] | [`cookie::SetCookie`] |
//! | server-sent events | [`events::EventDecoder`] | [`events::Event`] |
//! | what proxies say | [`forwarded`], [`proxy_protocol`] | [`proxy_protocol`] |
#![cfg_attr(feature = "auth", doc = "| log-ins (feature `auth`) | [`auth`] | [`auth`] |")]
#![cfg_attr(
    feature = "compress",
    doc = "| gzip and deflate (feature `compress`) | [`coding::Decoder`] | [`coding::Encoder`] |"
)]
#![cfg_attr(
    feature = "websocket",
    doc = "| WebSocket (feature `websocket`) | [`websocket::Decoder`], [`websocket::check_request`] | [`websocket::frame`], [`websocket::client_request`] |"
)]
//!
//! They are public because whoever writes a proxy, a test or a protocol of their own needs the same. They are not a
//! second way to make a server: [`http`](crate::http) is on top of them, and adds time, order and back-pressure.
//!
//! # Sharp edges
//!
//! * **A parser is for one direction of one connection**, and is [reset](RequestParser::reset) between messages.
//! * **Values are bytes.** Text is what the sender wanted it to be.
//! * **The raw path and the decoded one differ**: choose routes and files by [`decode_path`], sign and log the raw
//!   one.

pub mod accept;
#[cfg(feature = "auth")]
#[cfg_attr(docsrs, doc(cfg(feature = "auth")))]
pub mod auth;
mod authority;
mod body;
mod chunked;
mod chunks;
#[cfg(feature = "compress")]
#[cfg_attr(docsrs, doc(cfg(feature = "compress")))]
pub mod coding;
pub mod conditional;
pub mod cookie;
mod date;
mod entity_tag;
pub mod events;
mod extended;
mod fault;
mod field_line;
mod fields;
pub mod forwarded;
mod head;
pub mod html;
#[cfg(feature = "compress")]
mod inflate;
mod limits;
mod method;
pub mod multipart;
mod parameters;
pub mod proxy_protocol;
pub mod range;
mod request;
mod response;
mod special;
mod status;
mod stride;
mod syntax;
mod target;
mod trailers;
pub mod urlencoded;
#[cfg(feature = "websocket")]
#[cfg_attr(docsrs, doc(cfg(feature = "websocket")))]
pub mod websocket;
mod write;

pub use authority::split_authority;
pub use body::BodyDecoder;
pub use chunked::{ChunkDecoder, Piece};
pub use chunks::{CHUNK_END, CHUNK_HEAD, LAST_CHUNK, chunk, chunk_head, last_chunk};
pub use date::{DateCache, http_date, parse_http_date};
pub use entity_tag::{EntityTag, EntityTags, entity_tags};
pub use fault::Fault;
pub use fields::Fields;
pub use head::{Framing, RequestHead, TargetForm, Version};
pub use limits::{ChunkLimits, HeadLimits};
pub use method::Method;
pub use parameters::{Parameters, parameters};
pub use request::{Progress, RequestParser};
pub use response::{ResponseFraming, ResponseHead, ResponseParser};
pub use status::Status;
pub(crate) use syntax::{is_field_value, is_token};
pub use target::decode_path;
pub use urlencoded::{Form, Pairs};
pub(crate) use write::number;
pub use write::{end_of_head, field, number_field, request_line, status_line};
