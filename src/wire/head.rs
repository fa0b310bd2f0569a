//! The head of a request: what its lines say, and what follows from that.

use std::fmt;

use super::special::Meaning;
use super::{Fields, Method};

/// A version of HTTP. A later 1.x counts as 1.1, as RFC 9110 §2.5 wants it.
///
/// ```
/// assert_eq!(evloop::wire::Version::Http11.to_string(), "HTTP/1.1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`
    #[default]
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        })
    }
}

/// In which form a request names its target (RFC 9112 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, only with `CONNECT`.
    Authority,
    /// `*`, only with `OPTIONS`.
    Asterisk,
}

/// What of the bytes behind a head is its body (RFC 9112 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, up to one of size zero.
    Chunked,
}

/// The head of a request.
///
/// Made by a [`RequestParser`](super::RequestParser). What decides about the connection and the body was
/// read off its fields while they went by, so that asking costs nothing.
///
/// ```
/// use evloop::wire::{Fault, Framing, HeadLimits, Method, RequestParser};
///
/// let mut parser = RequestParser::new(HeadLimits::default());
/// let progress = parser.feed(b"POST /a?b=c HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhello")?;
/// assert!(progress.done);
///
/// let head = parser.head();
/// assert_eq!(*head.method(), Method::POST);
/// assert_eq!(head.raw_path(), "/a");
/// assert_eq!(head.query(), Some("b=c"));
/// assert_eq!(head.authority(), Some("d"));
/// assert_eq!(head.framing(), Framing::Length(5));
/// assert!(head.keeps_alive());
/// # Ok::<(), Fault>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// Its block has all of the head, from the first byte of the request line on.
    pub(super) fields: Fields,
    pub(super) meaning: Meaning,
}

impl RequestHead {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.meaning.method
    }

    /// The target as it was sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.text(self.meaning.target)
    }

    /// The target, not looked at again.
    pub(crate) fn target_bytes(&self) -> &[u8] {
        let span = self.meaning.target;
        self.fields.slice(span.from, span.to)
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.meaning.version
    }

    /// All field lines, as they were sent.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Its body is unpacked on the way: nobody has said how long it is then, nor that it was packed.
    #[cfg(feature = "compress")]
    pub(crate) fn unpack(&mut self) {
        self.fields.remove("content-encoding");
        self.fields.remove("content-length");
        self.meaning.framing = Framing::Chunked;
    }

    /// The form of the target.
    #[must_use]
    pub fn form(&self) -> TargetForm {
        self.meaning.form
    }

    /// The path as it was sent, with escapes and dot segments; [`decode_path`](super::decode_path) makes
    /// of it what can be compared. `/` if an absolute target has none, `*` for the asterisk form, empty
    /// for the authority form.
    #[must_use]
    pub fn raw_path(&self) -> &str {
        let Span { from, to } = self.meaning.path;
        if from == to && self.meaning.form == TargetForm::Absolute {
            return "/";
        }
        self.text(Span { from, to })
    }

    /// The same, not looked at again.
    #[inline]
    pub(crate) fn raw_path_bytes(&self) -> &[u8] {
        let Span { from, to } = self.meaning.path;
        if from == to && self.meaning.form == TargetForm::Absolute {
            return b"/";
        }
        self.fields.slice(from, to)
    }

    /// What follows the first `?` of the target, as it was sent; `Some("")` if nothing does.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.meaning.query().map(|span| self.text(span))
    }

    /// Which host, and port, is meant: the target's, where it names one, else that of `Host`. `None` only
    /// in HTTP/1.0; may be empty. [`split_authority`](super::split_authority) takes it apart.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.meaning.authority().map(|span| self.text(span))
    }

    /// Whether it is a request for a path in HTTP/1.1, without a body, that says nothing of its connection but perhaps that it
    /// is to be kept, and expects nothing: as most are.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.meaning.is_plain()
    }

    /// `http` or `https`, if the target is in absolute form.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        match self.meaning.form {
            TargetForm::Absolute => Some(if self.meaning.secure { "https" } else { "http" }),
            _ => None,
        }
    }

    /// What of the bytes behind the head is its body.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.meaning.framing
    }

    /// Whether another request may follow on this connection (RFC 9112 §9.3): in HTTP/1.1 unless
    /// `Connection` has `close`, in HTTP/1.0 only if it has `keep-alive` and not `close`.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.meaning.keeps_alive()
    }

    /// Whether the sender waits for `100 Continue` before it sends the body that it announces
    /// (RFC 9110 §10.1.1). Not so in HTTP/1.0, and not without a body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.meaning.expects_continue()
    }

    /// Whether the sender expects something else than `100-continue`, which is answered 417. Not so in
    /// HTTP/1.0.
    #[must_use]
    pub fn has_other_expectation(&self) -> bool {
        self.meaning.has_other_expectation()
    }

    /// Whether `TE` has `trailers` (RFC 9110 §10.1.4).
    #[must_use]
    pub fn accepts_trailers(&self) -> bool {
        self.meaning.accepts_trailers()
    }

    /// The value of the first `Upgrade`, if `Connection` has `upgrade` too (RFC 9110 §7.8): protocols
    /// that the sender would like to change to. Not in HTTP/1.0.
    #[must_use]
    pub fn upgrade(&self) -> Option<&[u8]> {
        let span = self.meaning.upgrade()?;
        Some(self.fields.slice(span.from, span.to))
    }

    /// How many bytes of memory it holds, used or not. Whoever keeps heads for reuse may want to let go
    /// of one that has become large.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.fields.memory()
    }

    /// Forgets everything but the memory.
    pub(super) fn clear(&mut self) {
        self.fields.clear();
        self.meaning = Meaning::default();
    }

    // Only ASCII is let into what is asked for as text. That it is can be seen sixteen bytes at a time where
    // these begin at a word's address, as the block does, and end with it: what is asked for is not far behind
    // the beginning. If something else than text is at its end, then without it.
    fn text(&self, span: Span) -> &str {
        let (from, to) = (span.from as usize, span.to as usize);
        let chunks = self.fields.bytes().get(..(to + 15) & !15);
        if let Some(Ok(text)) = chunks.map(std::str::from_utf8) {
            if let Some(text) = text.get(from..to) {
                return text;
            }
        }
        self.text_alone(span)
    }

    #[cold]
    fn text_alone(&self, span: Span) -> &str {
        std::str::from_utf8(self.fields.slice(span.from, span.to)).unwrap_or_default()
    }
}

/// Part of a head's block.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) to: u32,
}
