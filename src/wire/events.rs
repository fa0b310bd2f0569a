//! Server-sent events: `text/event-stream`, written and read (WHATWG HTML §9.2).
//!
//! An event is a few lines and an empty one. [`Event`] puts it together and [encodes](Event::encode) it;
//! [`EventDecoder`] reads what a server sends, as a browser's `EventSource` would: for clients, and for tests of servers.
//!
//! ```
//! use evloop::wire::events::{Event, EventDecoder, EventLimits};
//!
//! let mut out = Vec::new();
//! Event::new("two\nlines").name("note").id("7").encode(&mut out)?;
//! assert_eq!(out, b"event: note\nid: 7\ndata: two\ndata: lines\n\n");
//!
//! let mut decoder = EventDecoder::new(EventLimits::default());
//! let (used, received) = decoder.next(&out)?;
//! let received = received.expect("an event");
//! assert_eq!((used, received.name.as_str(), received.data.as_str()), (out.len(), "note", "two\nlines"));
//! assert_eq!(decoder.last_event_id(), "7");
//! # Ok::<(), evloop::wire::events::EventFault>(())
//! ```
//!
//! # Sharp edges
//!
//! * **Line ends of data are all read as LF.** CR and CR LF in it end lines as well, and nobody can tell
//!   afterwards which it was.
//! * **What is not UTF-8 becomes U+FFFD**: the format knows nothing else.
//! * **An event without data is not told** to whoever listens: its id and its retry time count.

use std::time::Duration;
use std::{error, fmt, mem};

use crate::{Error, ErrorKind};

/// The type of a stream of events.
pub const EVENT_STREAM: &str = "text/event-stream";

/// A comment of no words, which keeps a connection from being taken for dead.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// What is wrong with an event, or with a stream of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventFault {
    /// A name with a line end in it, which cannot be sent.
    BadName,
    /// An id with a line end or a NUL in it: no client would take it.
    BadId,
    /// A line longer than [`EventLimits::line`].
    LineTooLong,
    /// An event longer than [`EventLimits::event`].
    EventTooLarge,
}

impl fmt::Display for EventFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadName => "an event's name has a line end in it",
            Self::BadId => "an event's id has a line end or a NUL in it",
            Self::LineTooLong => "a line of a stream of events is too long",
            Self::EventTooLarge => "an event is too large",
        })
    }
}

impl error::Error for EventFault {}

/// An error of the kind [`InvalidInput`](ErrorKind::InvalidInput) where an event was to be sent, and else
/// [`Protocol`](ErrorKind::Protocol), with the fault as its source.
impl From<EventFault> for Error {
    fn from(fault: EventFault) -> Self {
        let kind = match fault {
            EventFault::BadName | EventFault::BadId => ErrorKind::InvalidInput,
            EventFault::LineTooLong | EventFault::EventTooLarge => ErrorKind::Protocol,
        };
        Self::caused(kind, "writing or reading events", Box::new(fault))
    }
}

// --- written -------------------------------------------------------------------------------------

/// An event to be sent.
///
/// ```
/// use std::time::Duration;
/// use evloop::wire::events::Event;
///
/// let mut out = Vec::new();
/// Event::new("{}").name("tick").encode(&mut out)?;
/// // Only how long to wait before connecting again: nobody is told of an event.
/// Event::silent().retry(Duration::from_secs(5)).encode(&mut out)?;
/// assert_eq!(out, b"event: tick\ndata: {}\n\nretry: 5000\n\n");
/// # Ok::<(), evloop::wire::events::EventFault>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Event {
    data: Option<String>,
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
}

impl Event {
    /// An event with this data, which may have several lines, or be empty.
    #[must_use]
    pub fn new(data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// One without data: whoever listens is not told of it, but its id and its retry time count.
    #[must_use]
    pub fn silent() -> Self {
        Self::default()
    }

    /// Names its kind, which is `message` unless it is said: what `addEventListener` is given. No line ends.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Numbers it, in any way: the client that connects again says which was the
    /// [last](crate::http::Request::last_event_id). Empty forgets the last one. No line ends, no NUL.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Says how long the client is to wait before it connects again. In whole milliseconds.
    #[must_use]
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// Appends its lines, and the empty one that ends it.
    ///
    /// # Errors
    ///
    /// [`EventFault::BadName`] and [`EventFault::BadId`]; nothing was appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EventFault> {
        let ends_line = |byte| matches!(byte, b'\n' | b'\r');
        if self.name.as_ref().is_some_and(|name| name.bytes().any(ends_line)) {
            return Err(EventFault::BadName);
        }
        if self.id.as_ref().is_some_and(|id| id.bytes().any(|b| b == 0 || ends_line(b))) {
            return Err(EventFault::BadId);
        }
        if let Some(name) = &self.name {
            line(out, "event", name);
        }
        if let Some(id) = &self.id {
            line(out, "id", id);
        }
        if let Some(delay) = self.retry {
            let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            line(out, "retry", &delay.to_string());
        }
        if let Some(data) = &self.data {
            for text in lines(data) {
                line(out, "data", text);
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

/// Appends a comment, which clients pass over.
///
/// ```
/// let mut out = Vec::new();
/// evloop::wire::events::comment("still here", &mut out);
/// assert_eq!(out, b": still here\n\n");
/// ```
pub fn comment(text: &str, out: &mut Vec<u8>) {
    for text in lines(text) {
        line(out, "", text);
    }
    out.push(b'\n');
}

fn line(out: &mut Vec<u8>, field: &str, value: &str) {
    out.extend_from_slice(field.as_bytes());
    // The one space that readers take away, so that the value's own are left.
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// The lines of a text, by CR, LF or CR LF; at least one. What ends with a line end has an empty one behind it.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, behind)) = text.split_once(['\n', '\r']) else { return rest.take() };
        let is_pair = text.get(line.len()..).is_some_and(|end| end.starts_with("\r\n"));
        rest = if is_pair { behind.strip_prefix('\n') } else { Some(behind) };
        Some(line)
    })
}

// --- read ----------------------------------------------------------------------------------------

/// How long lines and events may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventLimits {
    /// Bytes of a line, comments too. 64 KiB.
    pub line: usize,
    /// Bytes of an event's data and name. 1 MiB.
    pub event: usize,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self { line: 64 * 1024, event: 1024 * 1024 }
    }
}

/// An event that has come.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Received {
    /// Its kind: `message` if it has no other.
    pub name: String,
    /// Its lines, with LF between them.
    pub data: String,
    /// The last id that was said, by this event or by one before.
    pub last_event_id: String,
}

/// Reads a stream of events, as it comes.
///
/// The outcome is the same however the bytes are cut. An event that the end of the stream leaves incomplete is
/// never told, as the standard has it.
///
/// ```
/// use evloop::wire::events::{EventDecoder, EventLimits};
///
/// let mut decoder = EventDecoder::new(EventLimits::default());
/// let mut all = Vec::new();
/// for mut bytes in [b"data: on".as_slice(), b"e\r", b"\n\r\ndata: two\n\nda"] {
///     while !bytes.is_empty() {
///         let (used, received) = decoder.next(bytes)?;
///         all.extend(received.map(|event| event.data));
///         bytes = &bytes[used..];
///     }
/// }
/// assert_eq!(all, ["one", "two"]);
/// # Ok::<(), evloop::wire::events::EventFault>(())
/// ```
#[derive(Clone, Debug)]
pub struct EventDecoder {
    limits: EventLimits,
    /// A line that is not complete.
    line: Vec<u8>,
    /// The last byte was the CR of what may be CR LF.
    after_cr: bool,
    /// No line was complete yet: a byte order mark is passed over.
    is_first: bool,
    name: String,
    /// Each line with an LF behind it.
    data: String,
    /// The id of the event that is coming, and then of the last that came.
    id: String,
    last_id: String,
    retry: Option<Duration>,
    fault: Option<EventFault>,
}

impl EventDecoder {
    /// One for a new stream.
    #[must_use]
    pub fn new(limits: EventLimits) -> Self {
        Self {
            limits,
            line: Vec::new(),
            after_cr: false,
            is_first: true,
            name: String::new(),
            data: String::new(),
            id: String::new(),
            last_id: String::new(),
            retry: None,
            fault: None,
        }
    }

    /// Goes on in the input, up to the end of the next event. Says how many bytes it has used: all of them, unless
    /// there is an event.
    ///
    /// # Errors
    ///
    /// [`EventFault::LineTooLong`] and [`EventFault::EventTooLarge`], from then on each time.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Received>), EventFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut used = 0;
        while let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) {
            if mem::take(&mut self.after_cr) && rest.first() == Some(&b'\n') {
                used += 1;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if self.line.len() + text.len() > self.limits.line {
                return Err(self.fail(EventFault::LineTooLong));
            }
            used += text.len();
            if end.is_none() {
                self.line.extend_from_slice(text);
                break;
            }
            self.after_cr = rest.get(text.len()) == Some(&b'\r');
            used += 1;
            let received = if self.line.is_empty() {
                self.end_of_line(text)
            } else {
                self.line.extend_from_slice(text);
                let line = mem::take(&mut self.line);
                let received = self.end_of_line(&line);
                self.line = line;
                self.line.clear();
                received
            };
            match received {
                Ok(None) => {}
                Ok(received) => return Ok((used, received)),
                Err(fault) => return Err(self.fail(fault)),
            }
        }
        Ok((used, None))
    }

    /// The id of the last event that was complete: what a client says when it connects again.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_id
    }

    /// How long the server has asked to wait before connecting again.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn fail(&mut self, fault: EventFault) -> EventFault {
        self.fault = Some(fault);
        fault
    }

    fn end_of_line(&mut self, mut line: &[u8]) -> Result<Option<Received>, EventFault> {
        if mem::take(&mut self.is_first) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.end_of_event());
        }
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let field = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        // Line ends are no part of any sequence of UTF-8: line by line is as good as all at once.
        let text = String::from_utf8_lossy(value);
        match field {
            b"data" => {
                if self.data.len() + self.name.len() + text.len() >= self.limits.event {
                    return Err(EventFault::EventTooLarge);
                }
                self.data.push_str(&text);
                self.data.push('\n');
            }
            b"event" => {
                if self.data.len() + text.len() > self.limits.event {
                    return Err(EventFault::EventTooLarge);
                }
                self.name.clear();
                self.name.push_str(&text);
            }
            b"id" if !value.contains(&0) => {
                self.id.clear();
                self.id.push_str(&text);
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                // What is too large for a number is no time to wait.
                if let Ok(delay) = text.parse() {
                    self.retry = Some(Duration::from_millis(delay));
                }
            }
            // Comments have the empty name; what is not known is passed over.
            _ => {}
        }
        Ok(None)
    }

    fn end_of_event(&mut self) -> Option<Received> {
        self.last_id.clone_from(&self.id);
        if self.data.is_empty() {
            self.name.clear();
            return None;
        }
        let mut data = mem::take(&mut self.data);
        data.pop();
        let mut name = mem::take(&mut self.name);
        if name.is_empty() {
            name.push_str("message");
        }
        Some(Received { name, data, last_event_id: self.last_id.clone() })
    }
}
