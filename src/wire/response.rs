//! Response heads: from bytes, in whatever pieces they come (RFC 9112 §4, §5, §6.3).
//!
//! The other side of [`RequestParser`](super::RequestParser), of the same shape and as strict. What a
//! response's head says of its body depends on the request too: see [`ResponseHead::framing`].

// The status line is looked at byte by byte, so that whatever speaks another protocol is found out at
// once. Field lines are taken when their LF arrives; until then nothing of them but their number and
// length can be wrong, so the fault is at the same byte however the input was divided.

use super::field_line::{FieldLine, field_line};
use super::fields::Line;
use super::head::Span;
use super::special::{foreign_coding, length};
use super::syntax::{VALUE, is, members};
use super::{Fault, Fields, HeadLimits, Method, Progress, Status, Version};

/// Reads one response's head after the other.
///
/// ```
/// use evloop::wire::{Fault, Method, ResponseFraming, ResponseParser, Status};
///
/// let mut parser = ResponseParser::default();
/// assert!(!parser.feed(b"HTTP/1.1 200 O")?.done);
/// let progress = parser.feed(b"K\r\nContent-Length: 5\r\n\r\nhello")?;
/// assert!(progress.done);
/// assert_eq!(progress.used, 24);
///
/// let head = parser.head();
/// assert_eq!(head.status(), Status::OK);
/// assert_eq!(head.framing(&Method::GET), ResponseFraming::Length(5));
/// assert_eq!(head.framing(&Method::HEAD), ResponseFraming::None);
/// # Ok::<(), Fault>(())
/// ```
///
/// Interim responses (1xx) are heads like others: [`reset`](Self::reset), and feed what comes next.
///
/// # Sharp edges
///
/// A line that continues the one before it (`obs-fold`) is refused. So are several lengths, even if they
/// are equal, and a length beside a transfer coding.
#[derive(Debug, Clone)]
pub struct ResponseParser {
    limits: HeadLimits,
    step: Step,
    /// Where in the head's block the current field line begins.
    line: usize,
    fault: Option<Fault>,
    head: ResponseHead,
}

/// What the next byte is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The status line, up to the reason.
    Status,
    Reason,
    /// The line feed of the status line.
    StatusEnd,
    /// The first byte of a field line, or of the line that ends the head.
    FieldStart,
    Field,
    /// The line feed of the head.
    HeadEnd,
    Done,
}

impl ResponseParser {
    /// What a client accepts unless it is told otherwise: heads of 64 KiB with 256 fields.
    pub const LIMITS: HeadLimits =
        HeadLimits { target: 0, head: 64 * 1024, fields: 256, empty_lines: 0 };

    /// A parser that accepts heads within these limits. There is no target, and no empty line may come
    /// before a response.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        // Places in the head are kept in 32 bits.
        let limits = HeadLimits { head: limits.head.min(u32::MAX as usize), ..limits };
        Self { limits, step: Step::Status, line: 0, fault: None, head: ResponseHead::default() }
    }

    /// Takes the next bytes, up to the end of the head.
    ///
    /// Once the head is complete nothing more is taken, until [`reset`](Self::reset) or
    /// [`swap_head`](Self::swap_head).
    ///
    /// # Errors
    ///
    /// The first rule that is broken. What follows on the connection means nothing; every further call
    /// fails in the same way.
    pub fn feed(&mut self, input: &[u8]) -> Result<Progress, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match self.advance(input) {
            Ok(used) => Ok(Progress { used, done: self.step == Step::Done }),
            Err(fault) => {
                self.fault = Some(fault);
                Err(fault)
            }
        }
    }

    /// The head, complete if [`feed`](Self::feed) said so.
    #[must_use]
    pub fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Makes ready for the next head, in the memory of this one.
    pub fn reset(&mut self) {
        self.head.clear();
        self.step = Step::Status;
        self.fault = None;
    }

    /// Gives the head away and takes the memory of another for the next. As [`reset`](Self::reset)
    /// otherwise.
    pub fn swap_head(&mut self, other: &mut ResponseHead) {
        std::mem::swap(&mut self.head, other);
        self.reset();
    }

    /// Whether a head has begun.
    #[must_use]
    pub fn started(&self) -> bool {
        !self.head.fields.bytes().is_empty()
    }

    fn advance(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let mut rest = input;
        while let Some((byte, behind)) = rest.split_first() {
            if self.step == Step::Done {
                break;
            }
            // What is left of the limit; at least one byte of the input is needed.
            let room = self.limits.head - self.head.fields.bytes().len();
            if room == 0 {
                return Err(Fault::HeadTooLong);
            }
            if self.step == Step::Field {
                rest = self.field(rest, room)?;
                continue;
            }
            self.step = self.step(*byte)?;
            if self.step == Step::Field {
                continue; // with the line's first byte
            }
            self.head.fields.append(&[*byte]);
            rest = behind;
        }
        Ok(input.len() - rest.len())
    }

    /// Takes one byte of anything but a field line.
    fn step(&mut self, byte: u8) -> Result<Step, Fault> {
        let here = self.head.fields.bytes().len();
        match self.step {
            Step::Status => self.status_line(here, byte),
            Step::Reason => match byte {
                b'\r' => {
                    self.head.reason.to = here as u32;
                    Ok(Step::StatusEnd)
                }
                b'\n' => Err(Fault::BadLineEnd),
                b'\t' => Ok(Step::Reason),
                _ if is(byte, VALUE) => Ok(Step::Reason),
                _ => Err(Fault::ControlByte),
            },
            Step::FieldStart if byte == b'\r' => Ok(Step::HeadEnd),
            Step::FieldStart if self.head.fields.len() >= self.limits.fields => {
                Err(Fault::TooManyFields)
            }
            Step::FieldStart | Step::Field => {
                self.line = here;
                Ok(Step::Field)
            }
            Step::StatusEnd if byte == b'\n' => Ok(Step::FieldStart),
            Step::HeadEnd if byte == b'\n' => Ok(Step::Done),
            Step::StatusEnd | Step::HeadEnd => Err(Fault::BadLineEnd),
            Step::Done => Ok(Step::Done),
        }
    }

    /// Takes the byte at this place of `HTTP/1.1 200 `.
    fn status_line(&mut self, place: usize, byte: u8) -> Result<Step, Fault> {
        let head = &mut self.head;
        match (place, byte) {
            (0, b'H') | (1 | 2, b'T') | (3, b'P') | (4, b'/') | (6, b'.') | (8, b' ') => {}
            (5, b'0'..=b'9') => {}
            (7, b'0'..=b'9') => {
                head.version = match (head.fields.bytes().get(5), byte) {
                    (Some(b'1'), b'0') => Version::Http10,
                    (Some(b'1'), b'1') => Version::Http11,
                    _ => return Err(Fault::UnsupportedVersion),
                };
            }
            (9, b'1'..=b'9') | (10 | 11, b'0'..=b'9') => {
                head.code = head.code * 10 + u16::from(byte - b'0');
            }
            // The space belongs there also without a reason; not everybody knows.
            (12, b' ' | b'\r') => {
                let reason = place as u32 + 1;
                head.reason = Span { from: reason, to: reason };
                return Ok(if byte == b' ' { Step::Reason } else { Step::StatusEnd });
            }
            (_, b'\r' | b'\n') => return Err(Fault::BadLineEnd),
            (5..=7, _) => return Err(Fault::BadVersion),
            _ => return Err(Fault::BadStatusLine),
        }
        Ok(Step::Status)
    }

    /// Takes what is there of a field line, and returns the rest.
    fn field<'a>(&mut self, input: &'a [u8], room: usize) -> Result<&'a [u8], Fault> {
        let within = input.get(..room).unwrap_or(input);
        let end = within.iter().position(|byte| *byte == b'\n');
        let Some((part, rest)) = end.and_then(|at| input.split_at_checked(at + 1)) else {
            if within.len() < input.len() {
                return Err(Fault::HeadTooLong);
            }
            self.head.fields.append(input);
            return Ok(&[]);
        };
        self.head.fields.append(part);
        self.head.field_line(self.line)?;
        self.step = Step::FieldStart;
        Ok(rest)
    }
}

impl Default for ResponseParser {
    /// With [`LIMITS`](Self::LIMITS).
    fn default() -> Self {
        Self::new(Self::LIMITS)
    }
}

/// How the body of a response ends (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ResponseFraming {
    /// There is no body.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, up to one of size zero.
    Chunked,
    /// With the connection.
    UntilEnd,
}

/// The head of a response, made by a [`ResponseParser`].
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// Its block has all of the head, from the first byte of the status line on.
    fields: Fields,
    version: Version,
    code: u16,
    reason: Span,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl ResponseHead {
    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        // Any three digits of which the first is not zero are one.
        Status::from_code(self.code).unwrap_or(Status::OK)
    }

    /// The reason as it was sent, which may be anything. It has no meaning: the status has.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.fields.slice(self.reason.from, self.reason.to)
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// All field lines, as they were sent.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// How the body ends, in a response to a request of this method (RFC 9112 §6.3).
    ///
    /// There is none in a response to `HEAD`, with an informational status, 204 or 304, whatever the fields
    /// say. Nor in a success of `CONNECT`: what follows that is no longer HTTP.
    ///
    /// ```
    /// use evloop::wire::{Fault, Method, ResponseFraming, ResponseParser};
    ///
    /// let mut parser = ResponseParser::default();
    /// parser.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    /// assert_eq!(parser.head().framing(&Method::GET), ResponseFraming::Chunked);
    /// assert_eq!(parser.head().framing(&Method::CONNECT), ResponseFraming::None);
    ///
    /// parser.reset();
    /// parser.feed(b"HTTP/1.0 200 OK\r\n\r\n")?;
    /// assert_eq!(parser.head().framing(&Method::GET), ResponseFraming::UntilEnd);
    /// # Ok::<(), Fault>(())
    /// ```
    #[must_use]
    pub fn framing(&self, request: &Method) -> ResponseFraming {
        if *request == Method::HEAD
            || self.status().forbids_body()
            || *request == Method::CONNECT && self.status().is_success()
        {
            return ResponseFraming::None;
        }
        match self.length {
            _ if self.chunked => ResponseFraming::Chunked,
            Some(length) => ResponseFraming::Length(length),
            None => ResponseFraming::UntilEnd,
        }
    }

    /// Whether the connection is said to persist (RFC 9112 §9.3): in HTTP/1.1 unless `Connection` has
    /// `close`, in HTTP/1.0 only if it has `keep-alive` and not `close`.
    ///
    /// After a body [until the end](ResponseFraming::UntilEnd) there is no connection left, whatever was said.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        !self.close && (self.version == Version::Http11 || self.keep_alive)
    }

    /// How many bytes of memory it holds, used or not.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.fields.memory()
    }

    /// Takes the line that begins here and ends where the block does.
    fn field_line(&mut self, from: usize) -> Result<(), Fault> {
        let block = self.fields.bytes();
        let line = block.get(from..).unwrap_or_default();
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::BadLineEnd)?;
        let FieldLine { name, value, value_at } = field_line(line)?;
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for member in members(value) {
                    self.close |= member.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                match (self.chunked, self.length) {
                    (true, _) => return Err(Fault::LengthAndCoding),
                    (false, Some(_)) => return Err(Fault::SeveralLengths),
                    (false, None) => self.length = Some(length(value)?),
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.version == Version::Http10 {
                    return Err(Fault::CodingIn10);
                }
                if self.length.is_some() {
                    return Err(Fault::LengthAndCoding);
                }
                if self.chunked {
                    return Err(Fault::BadCoding);
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(foreign_coding(value));
                }
                self.chunked = true;
            }
            _ => {}
        }
        // The head's limit keeps all of these in 32 bits.
        let value_from = from + value_at;
        let line = Line {
            name: from as u32,
            name_end: (from + name.len()) as u32,
            value: value_from as u32,
            value_end: (value_from + value.len()) as u32,
        };
        self.fields.push_line(line);
        Ok(())
    }

    /// Forgets everything but the memory.
    fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }
}
