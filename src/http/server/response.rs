//! Replies as values: made anywhere, sent where there is a [`Reply`](super::Reply) for them.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use super::prepared::Parts;
use crate::net::Shared;
use crate::wire::cookie::{CookieFault, SetCookie};
use crate::wire::{Fault, Fields, Status, is_field_value, is_token};
use crate::{Error, ErrorKind, Result};

const BUILDING: &str = "building a reply";

/// A reply: status, fields and a body.
///
/// It knows no connection and no loop, and can be sent from one thread to another. Cloned it shares a
/// [`Shared`] body, so that one page can be queued on many connections at once (`MHD_Response`); whoever owns the
/// bytes is dropped when the last of them has sent them.
///
/// ```
/// use evloop::http::{Response, Status};
///
/// let page = Response::html("<p>no such page</p>").status(Status::NOT_FOUND).header("X-Reason", "moved");
/// assert!(page.check().is_ok());
/// assert!(Response::text("x").header("X-Reason", "a\r\nSet-Cookie: b").check().is_err());
/// ```
#[derive(Clone, Default)]
#[must_use = "a response goes nowhere until a `Reply` sends it"]
pub struct Response {
    pub(super) outline: Outline,
    pub(super) body: Body,
    pub(super) trailers: Option<Box<Fields>>,
}

/// Status and fields.
#[derive(Clone)]
pub(in crate::http) struct Outline {
    pub(super) status: Status,
    /// Whole lines.
    pub(in crate::http) lines: Vec<u8>,
    /// Which of the fields that the server adds itself are among them.
    pub(super) has: u8,
    /// `Connection: close` was asked for.
    pub(super) closes: bool,
    /// A `Content-Length` was given.
    pub(super) length: Option<u64>,
    /// The first thing that was wrong.
    pub(super) wrong: Option<Wrong>,
}

/// Bits of [`Outline::has`].
pub(super) const HAS_DATE: u8 = 1;
pub(super) const HAS_SERVER: u8 = 1 << 1;
pub(super) const HAS_TYPE: u8 = 1 << 2;
pub(super) const HAS_UPGRADE: u8 = 1 << 3;

#[derive(Clone, Copy, Debug)]
pub(super) enum Wrong {
    Field(Fault),
    Cookie(CookieFault),
    Framing,
}

#[derive(Clone, Default)]
pub(super) enum Body {
    #[default]
    Empty,
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Shared(Shared),
    File(Arc<File>, u64, u64),
    Parts(Arc<Parts>),
}

impl Response {
    /// An empty one, of status 200.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plain text, in UTF-8.
    pub fn text(body: impl Into<String>) -> Self {
        Self::of("text/plain; charset=utf-8", Body::Owned(body.into().into_bytes()))
    }

    /// HTML, in UTF-8.
    pub fn html(body: impl Into<String>) -> Self {
        Self::of("text/html; charset=utf-8", Body::Owned(body.into().into_bytes()))
    }

    /// JSON that was made already, by the crate `serde_json` say.
    pub fn json(body: impl Into<String>) -> Self {
        Self::of("application/json", Body::Owned(body.into().into_bytes()))
    }

    /// Bytes of a type.
    pub fn bytes(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::of(content_type, Body::Owned(body.into()))
    }

    /// Bytes that live as long as the program.
    pub fn fixed(content_type: &str, body: &'static [u8]) -> Self {
        Self::of(content_type, Body::Static(body))
    }

    /// Bytes that others hold too.
    pub fn shared(content_type: &str, body: impl Into<Shared>) -> Self {
        Self::of(content_type, Body::Shared(body.into()))
    }

    /// A part of a file, which is sent by the system itself where it can (`sendfile`), and read at once if it is no longer
    /// than 16 KiB. Should the file have become shorter when its turn comes, the connection is cut.
    pub fn file(content_type: &str, file: impl Into<Arc<File>>, offset: u64, len: u64) -> Self {
        Self::of(content_type, Body::File(file.into(), offset, len))
    }

    /// To another place, 302 unless it is given another [status](Self::status).
    pub fn redirect(location: &str) -> Self {
        Self::new().status(Status::FOUND).header("Location", location)
    }

    fn of(content_type: &str, body: Body) -> Self {
        let mut response = Self { body, ..Self::default() };
        response.outline.add("Content-Type", content_type.as_bytes());
        response
    }

    /// Gives it a status. Those below 200 are not replies: see [`Reply::interim`](super::Reply::interim).
    pub fn status(mut self, status: Status) -> Self {
        self.outline.set_status(status);
        self
    }

    /// Adds a field.
    ///
    /// What cannot be in one, a line break for example, and what contradicts the body is an error of
    /// [`check`](Self::check), and of sending it.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.outline.add(name, value.as_ref());
        self
    }

    /// Has the client keep a cookie. One that no client would keep is an error of [`check`](Self::check), and
    /// of sending it.
    ///
    /// ```
    /// use evloop::http::{Response, SetCookie};
    ///
    /// let response = Response::text("welcome").cookie(&SetCookie::new("seen", "yes").path("/"));
    /// assert!(response.check().is_ok());
    /// assert!(Response::text("welcome").cookie(&SetCookie::new("seen", "a;b")).check().is_err());
    /// ```
    pub fn cookie(mut self, cookie: &SetCookie) -> Self {
        self.outline.add_cookie(cookie);
        self
    }

    /// Sends fields after the body, to clients that take them (`TE: trailers`, RFC 9110 §6.5).
    pub fn trailers(mut self, trailers: Fields) -> Self {
        self.trailers = Some(Box::new(trailers));
        self
    }

    /// Its status.
    #[must_use]
    pub fn status_of(&self) -> Status {
        self.outline.status
    }

    /// Whether it can be sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a name or value that cannot be in a field, and for fields that say how
    /// the body is framed, which the server does.
    pub fn check(&self) -> Result<()> {
        self.outline.check()
    }
}

impl Default for Outline {
    fn default() -> Self {
        Self {
            status: Status::OK,
            lines: Vec::new(),
            has: 0,
            closes: false,
            length: None,
            wrong: None,
        }
    }
}

impl Outline {
    /// Whether nothing was said that is not said of every reply.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.lines.is_empty()
            && self.status == Status::OK
            && self.has == 0
            && !self.closes
            && self.length.is_none()
            && self.wrong.is_none()
    }

    /// Becomes like another, in the memory that it has.
    pub(in crate::http) fn copy_from(&mut self, other: &Self) {
        let Self { status, lines, has, closes, length, wrong } = other;
        self.lines.clear();
        self.lines.extend_from_slice(lines);
        (self.status, self.has, self.closes) = (*status, *has, *closes);
        (self.length, self.wrong) = (*length, *wrong);
    }

    pub(in crate::http) fn set_status(&mut self, status: Status) {
        if status.is_informational() {
            self.wrong.get_or_insert(Wrong::Framing);
        } else {
            self.status = status;
        }
    }

    pub(in crate::http) fn add(&mut self, name: &str, value: &[u8]) {
        if !is_token(name.as_bytes()) {
            self.wrong.get_or_insert(Wrong::Field(Fault::BadFieldName));
            return;
        }
        if !is_field_value(value) {
            self.wrong.get_or_insert(Wrong::Field(Fault::BadFieldValue));
            return;
        }
        if !self.is_special(name, value) {
            self.lines.extend_from_slice(name.as_bytes());
            self.lines.extend_from_slice(b": ");
            self.lines.extend_from_slice(value);
            self.lines.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn add_cookie(&mut self, cookie: &SetCookie) {
        match cookie.to_value() {
            Ok(value) => self.add("Set-Cookie", value.as_bytes()),
            Err(fault) => {
                self.wrong.get_or_insert(Wrong::Cookie(fault));
            }
        }
    }

    /// Fields that are not simply sent on.
    fn is_special(&mut self, name: &str, value: &[u8]) -> bool {
        if name.eq_ignore_ascii_case("content-type") {
            // The last one counts.
            if self.has & HAS_TYPE != 0 {
                self.remove("content-type");
            }
            self.has |= HAS_TYPE;
        } else if name.eq_ignore_ascii_case("date") {
            self.has |= HAS_DATE;
        } else if name.eq_ignore_ascii_case("server") {
            self.has |= HAS_SERVER;
        } else if name.eq_ignore_ascii_case("upgrade") {
            // `Connection` names it too.
            self.has |= HAS_UPGRADE;
        } else if name.eq_ignore_ascii_case("connection") {
            // How the connection goes on is for the server to say; that it should not is for anybody.
            if value.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            } else if !value.eq_ignore_ascii_case(b"keep-alive") {
                self.wrong.get_or_insert(Wrong::Framing);
            }
            return true;
        } else if name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(value).ok();
            let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(length) if self.length.is_none_or(|before| before == length) => {
                    self.length = Some(length);
                }
                _ => {
                    self.wrong.get_or_insert(Wrong::Framing);
                }
            }
            return true;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.wrong.get_or_insert(Wrong::Framing);
            return true;
        }
        false
    }

    /// The value of the first field of that name.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The values of all fields of that name.
    pub(super) fn values<'a, 'b>(
        &'a self,
        name: &'b str,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'b> {
        self.lines.split_inclusive(|&byte| byte == b'\n').filter_map(move |line| {
            let (of, value) = line.split_at_checked(name.len())?;
            let value =
                value.strip_prefix(b": ").filter(|_| of.eq_ignore_ascii_case(name.as_bytes()))?;
            Some(value.strip_suffix(b"\r\n").unwrap_or(value))
        })
    }

    pub(super) fn drop_type(&mut self) {
        if self.has & HAS_TYPE != 0 {
            self.remove("content-type");
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        let mut kept = Vec::with_capacity(self.lines.len());
        for line in self.lines.split_inclusive(|&byte| byte == b'\n') {
            let of = line.split(|&byte| byte == b':').next().unwrap_or_default();
            if !of.eq_ignore_ascii_case(name.as_bytes()) {
                kept.extend_from_slice(line);
            }
        }
        self.lines = kept;
    }

    pub(in crate::http) fn check(&self) -> Result<()> {
        match self.wrong {
            None => Ok(()),
            Some(Wrong::Field(fault)) => {
                Err(Error::caused(ErrorKind::InvalidInput, BUILDING, Box::new(fault)))
            }
            Some(Wrong::Cookie(fault)) => {
                Err(Error::caused(ErrorKind::InvalidInput, BUILDING, Box::new(fault)))
            }
            Some(Wrong::Framing) => {
                let cause = "status and fields that say how a reply is framed are the server's";
                Err(Error::caused(ErrorKind::InvalidInput, BUILDING, cause.into()))
            }
        }
    }
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        let len = match self {
            Self::Empty => 0,
            Self::Static(bytes) => bytes.len(),
            Self::Owned(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::File(_, _, len) => return *len,
            Self::Parts(parts) => return parts.len(),
        };
        len as u64
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.outline.status)
            .field("fields", &String::from_utf8_lossy(&self.outline.lines))
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}
