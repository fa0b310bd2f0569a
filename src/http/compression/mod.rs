//! Replies and requests that are packed (RFC 9110 §8.4, §12.5.3). Feature `compress`.

// What is said in advance, and what of a reply is looked at, is here; `server::packing` and `server::unpacking` do it, where
// bodies go out and come in.

use std::fmt;

use super::server::Routes;
use crate::wire::coding::{Coding, DecodeLimits};
use crate::wire::{Fields, accept};

/// Which replies are packed, and how: for [`Routes::compress`].
///
/// ```
/// use evloop::http::{Compression, Routes};
///
/// let routes = Routes::new()
///     .get("/", |ev, _, reply| reply.html(ev, "<p>long</p>".repeat(1000)))
///     .compress(Compression::new().level(4).threshold(512).also("application/x-own"));
/// ```
///
/// # What is packed
///
/// Replies of a [type](Self::only) that packs, whose body has at least the [threshold](Self::threshold) or a length that is
/// not known, to clients whose `Accept-Encoding` has gzip or deflate with a weight above 0 and above that of `identity`; gzip
/// before deflate, if both are as welcome. They get `Content-Encoding`, and a strong `ETag` becomes a weak one, since the
/// bytes differ. All replies that would be packed for another client have `Vary: Accept-Encoding`.
///
/// Never packed are
///
/// * parts (206, `Content-Range`), and 204 and 304;
/// * what has a `Content-Encoding` already, or a digest of its bytes;
/// * what is not to be changed (`Cache-Control: no-transform`);
/// * what is offered in parts (`Accept-Ranges`), and files: they leave without being read, and [`Files`](super::Files) sends
///   those that lie there packed;
/// * replies with [trailers](super::Response::trailers), and what goes to clients of HTTP/1.0 piece by piece: their
///   connections would have to be closed;
/// * what is not smaller afterwards.
///
/// A reply to `HEAD` has the fields of that to `GET`; its `Content-Length` only where the body is there and is packed at
/// once.
///
/// # How it goes
///
/// Bodies up to 64 KiB are packed at once; larger ones 64 KiB at a time, each in a turn of its own, and are sent in chunks.
/// What a [stream](super::ReplyStream) is given is packed and flushed with each write, so that nothing is held back: write
/// more at a time, or less is gained. Parts of files that are written to it are read for that, in one go and 16 MiB at
/// most: larger ones are [`Full`](crate::ErrorKind::Full), and better [sent](super::Response::file) as they are. What is [pulled](super::Reply::pull) is flushed when there is nothing more for now.
///
/// A reply that is packed piece by piece takes 300 KiB of memory until it ends, for which there is [a
/// limit](Self::max_streams).
///
/// # Sharp edges
///
/// * **Secrets**: see [`coding`](crate::wire::coding). What has a secret and something of the client's in it is not for here:
///   give it `Cache-Control: no-transform`.
/// * **Streams of events are not packed** unless it is [asked for](Self::also) (`text/event-stream`): they live long, and
///   each would have its 300 KiB.
#[derive(Clone)]
#[must_use = "options do nothing until routes have them"]
pub struct Compression {
    pub(super) level: u32,
    pub(super) threshold: u64,
    pub(super) max_streams: usize,
    types: Vec<Box<str>>,
}

/// What packs well. Not `text/event-stream`, although it does.
const TYPES: [&str; 9] = [
    "text/*",
    "*+json",
    "*+xml",
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/x-ndjson",
    "application/wasm",
];

const EVENTS: &str = "text/event-stream";

impl Default for Compression {
    fn default() -> Self {
        let types = TYPES.iter().map(|&of| of.into()).collect();
        Self { level: 5, threshold: 1024, max_streams: 128, types }
    }
}

impl Compression {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// From 1, fast, to 9. 5: from 6 on it takes twice as long, for a hundredth of the size.
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// How long a body has to be, in bytes, where its length is known. 1 KiB: less is one packet anyway.
    pub fn threshold(mut self, bytes: u64) -> Self {
        self.threshold = bytes;
        self
    }

    /// Packs these types only: `text/css`, `text/*`, or `*+json`, whatever ends like that. What follows a `;` in a reply's type
    /// does not matter. By default `text/*`, JSON, JavaScript, XML with all that is made of them (SVG), and WebAssembly.
    pub fn only(mut self, types: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.types = types.into_iter().map(|of| of.as_ref().to_ascii_lowercase().into()).collect();
        self
    }

    /// Packs this type as well.
    pub fn also(mut self, of: &str) -> Self {
        self.types.push(of.to_ascii_lowercase().into());
        self
    }

    /// How many replies may be packed piece by piece at a time; more are sent as they are. 128, which is 40 MiB.
    pub fn max_streams(mut self, streams: usize) -> Self {
        self.max_streams = streams;
        self
    }

    /// Whether a type is packed.
    pub(super) fn covers(&self, content_type: &[u8]) -> bool {
        let of = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
        let of = of.trim_ascii().to_ascii_lowercase();
        self.types.iter().any(|pattern| {
            let pattern = pattern.as_bytes();
            match (pattern, pattern.strip_suffix(b"*")) {
                ([b'*', end @ ..], _) => of.ends_with(end),
                (_, Some(begin)) => of.starts_with(begin) && of != EVENTS.as_bytes(),
                _ => of == pattern,
            }
        })
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression")
            .field("level", &self.level)
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

/// What a client would rather have than the body as it is.
pub(super) fn wanted(fields: &Fields) -> Option<Coding> {
    let best = accept::encodings(fields).best(Coding::ALL.map(Coding::as_str))?;
    Coding::named(best.as_bytes())
}

impl Routes {
    /// Packs replies for clients that can read them so: see [`Compression`]. For all [hosts](Self::host), so not in the
    /// routes of one; off unless it is said here.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.coding.compression = Some(compression);
        self
    }

    /// Unpacks the bodies of requests that have `Content-Encoding: gzip` or `deflate`. For all hosts, as
    /// [`compress`](Self::compress); off unless it is said here, and then bodies are handed on as they come.
    ///
    /// The handler has the body as if it had never been packed: gathered or [piece by piece](super::Request::receive), without
    /// `Content-Encoding`, and without `Content-Length`, since nobody has said how long it is. Hooks that are called before
    /// see it the same way. In a counter of bytes it has the size in which it came.
    ///
    /// What may come out is bounded by [`max_body`](super::ServerOptions::max_body), or what was
    /// [set](super::Request::set_max_body) instead, which what comes in must not exceed either, and by `limits`, also where a
    /// body is streamed. More than that is answered with 413; what cannot be unpacked with 400; other codings, and several at
    /// once, with 415 and an `Accept-Encoding` that says what is taken (RFC 9110 §15.5.16).
    ///
    /// ```
    /// use evloop::http::Routes;
    /// use evloop::wire::coding::DecodeLimits;
    ///
    /// let routes = Routes::new()
    ///     .post("/length", |ev, request, reply| reply.text(ev, request.body().len().to_string()))
    ///     .decompress(DecodeLimits::default());
    /// ```
    pub fn decompress(mut self, limits: DecodeLimits) -> Self {
        self.coding.decompression = Some(limits);
        self
    }
}

/// What of this routes have.
#[derive(Default)]
pub(super) struct Codings {
    pub(super) compression: Option<Compression>,
    pub(super) decompression: Option<DecodeLimits>,
}

impl Codings {
    pub(super) fn is_any(&self) -> bool {
        self.compression.is_some() || self.decompression.is_some()
    }
}
