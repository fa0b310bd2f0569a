//! Request heads: from bytes, in whatever pieces they come.
//!
//! A [`RequestParser`] is fed what has arrived and says how much of it belongs to the head, and when
//! that is complete. The outcome does not depend on how the bytes were divided.

use super::fields::Line;
use super::head::RequestHead;
use super::method::METHOD_MAX;
use super::stride::{self, RequestLine};
use super::syntax::{TARGET, TOKEN, VALUE, find_control, is, trim};
use super::{Fault, HeadLimits};

// Two ways through the same rules. `Step` and `step` are the rules: a machine that takes one byte after
// the other and can be left between any two. In front of it, `lines` goes through complete lines in
// strides; it only ever accepts, and leaves whatever it does not like, or does not see the end of, to the
// machine. So there is one place that knows the faults, and they are the same ones however the bytes come.

/// Reads one request's head after the other.
///
/// ```
/// use evloop::wire::{Fault, HeadLimits, RequestParser};
///
/// let mut parser = RequestParser::new(HeadLimits::default());
/// assert!(!parser.feed(b"GET / HTT")?.done);
/// let progress = parser.feed(b"P/1.1\r\nHost: a\r\n\r\nthe next")?;
/// assert!(progress.done);
/// assert_eq!(progress.used, 18);
/// assert_eq!(parser.head().target(), "/");
///
/// parser.reset();
/// assert_eq!(parser.feed(b"GET / HTTP/1.1\nHost: a\n\n"), Err(Fault::BadLineEnd));
/// # Ok::<(), Fault>(())
/// ```
#[derive(Debug, Clone)]
pub struct RequestParser {
    limits: HeadLimits,
    step: Step,
    /// Empty lines before the head.
    empty_lines: usize,
    /// Where in the head's block the current line begins, and where its first and second part end.
    line: usize,
    first: usize,
    second: usize,
    fault: Option<Fault>,
    head: RequestHead,
}

/// What [`RequestParser::feed`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes were taken, all of them if the head is not complete. Never more than belong to
    /// the head.
    pub used: usize,
    /// Whether the head is complete.
    pub done: bool,
}

/// What the next byte is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Before the request line.
    Start,
    /// The second byte of an empty line before it.
    EmptyEnd,
    Method,
    Target,
    Version,
    /// The line feed of the request line.
    RequestEnd,
    /// The first byte of a field line, or of the line that ends the head.
    FieldStart,
    Name,
    Value,
    /// The line feed of a field line.
    FieldEnd,
    /// The line feed of the head.
    HeadEnd,
    Done,
}

impl RequestParser {
    /// A parser that accepts heads within these limits.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        let limits = HeadLimits { head: limits.head.min(u32::MAX as usize), ..limits };
        Self {
            limits,
            step: Step::Start,
            empty_lines: 0,
            line: 0,
            first: 0,
            second: 0,
            fault: None,
            head: RequestHead::default(),
        }
    }

    /// Takes the next bytes, up to the end of the head.
    ///
    /// Once the head is complete nothing more is taken, until [`reset`](Self::reset) or
    /// [`swap_head`](Self::swap_head).
    ///
    /// # Errors
    ///
    /// The first rule that is broken, as soon as the byte is there that breaks it. What follows it on the
    /// connection means nothing; every further call fails in the same way.
    pub fn feed(&mut self, input: &[u8]) -> Result<Progress, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let result = match self.step {
            // Most heads come whole.
            Step::Start => match self.lines(input) {
                Ok(used) if self.step != Step::Done => self.advance(input, used),
                result => result,
            },
            _ => self.advance(input, 0),
        };
        match result {
            Ok(used) => Ok(Progress { used, done: self.step == Step::Done }),
            Err(fault) => Err(self.fail(fault, input)),
        }
    }

    /// It ends here. The request line is kept, for those who say what was refused.
    #[cold]
    fn fail(&mut self, fault: Fault, input: &[u8]) -> Fault {
        let RequestHead { fields, meaning } = &mut self.head;
        // Lines that come whole are kept together, and these were not.
        if fields.bytes().is_empty() {
            let line = input.get(..meaning.target.to as usize);
            fields.append(line.unwrap_or_default());
        }
        self.fault = Some(fault);
        fault
    }

    /// The head, complete if [`feed`](Self::feed) said so.
    #[must_use]
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// Makes ready for the next head, in the memory of this one.
    pub fn reset(&mut self) {
        self.head.clear();
        self.step = Step::Start;
        self.empty_lines = 0;
        self.fault = None;
    }

    /// Gives the head away and takes the memory of another for the next. As [`reset`](Self::reset)
    /// otherwise.
    pub fn swap_head(&mut self, other: &mut RequestHead) {
        std::mem::swap(&mut self.head.fields, &mut other.fields);
        other.meaning = std::mem::take(&mut self.head.meaning);
        self.head.fields.clear();
        self.step = Step::Start;
        self.empty_lines = 0;
        self.fault = None;
    }

    /// Whether nothing was fed since the beginning or the last head, not even an empty line.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.step == Step::Start && self.empty_lines == 0 && self.fault.is_none()
    }

    /// Whether the whole request line has come, which may be long before the rest: [`head`](Self::head) knows the
    /// method and the target then.
    #[must_use]
    pub fn has_line(&self) -> bool {
        use Step::{EmptyEnd, Method, RequestEnd, Start, Target, Version};
        !matches!(self.step, Start | EmptyEnd | Method | Target | Version | RequestEnd)
    }

    /// Whether a head has begun: there was more than empty lines.
    #[must_use]
    pub fn started(&self) -> bool {
        !matches!(self.step, Step::Start | Step::EmptyEnd)
    }

    #[inline(never)]
    fn advance(&mut self, input: &[u8], mut at: usize) -> Result<usize, Fault> {
        while self.step != Step::Done {
            let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) else { break };
            let used = match self.step {
                Step::Start | Step::FieldStart => self.lines(rest)?,
                _ => 0,
            };
            at += match used {
                0 => self.walk(rest)?,
                _ => used,
            };
        }
        Ok(at)
    }

    /// Takes complete lines, and returns how many bytes they are.
    #[inline(never)]
    fn lines(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let RequestHead { fields, meaning } = &mut self.head;
        let base = fields.bytes().len();
        let input = input.get(..self.limits.head.saturating_sub(base)).unwrap_or(input);
        let end = (base + input.len()) as u32;
        let mut rest = input;
        if self.step == Step::Start {
            let Some((line, tail)) = stride::request_line(input, self.limits.target) else {
                return Ok(0);
            };
            meaning.request_line(input, line)?;
            self.step = Step::FieldStart;
            rest = tail;
            if let Some((value, tail)) = stride::host_line(rest).filter(|_| self.limits.fields > 0)
            {
                let name = end - rest.len() as u32;
                let line = Line::new(name, 4, name + 6, value);
                meaning.first_host(&line);
                fields.push_line(line);
                rest = tail;
            }
        }
        if !rest.starts_with(b"\r\n") {
            rest = field_lines(&mut self.head, rest, end, self.limits.fields)?;
        }
        if let [b'\r', b'\n', tail @ ..] = rest {
            self.head.meaning.end()?;
            self.step = Step::Done;
            rest = tail;
        }
        let used = input.len() - rest.len();
        self.head.fields.append(input.get(..used).unwrap_or_default());
        Ok(used)
    }

    /// Takes bytes one by one, up to the end of a line, and returns how many.
    fn walk(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        while let Some(byte) = input.get(at) {
            let len = self.head.fields.bytes().len();
            if len >= self.limits.head && self.started() {
                return Err(Fault::HeadTooLong);
            }
            if self.step == Step::Value {
                // What is nothing but value goes in one piece.
                let rest = input.get(at..).unwrap_or_default();
                let rest = rest.get(..self.limits.head - len).unwrap_or(rest);
                let run = find_control(rest).unwrap_or(rest.len());
                if run > 0 {
                    self.head.fields.append(rest.get(..run).unwrap_or_default());
                    at += run;
                    continue;
                }
            }
            self.step(*byte)?;
            at += 1;
            if matches!(self.step, Step::Start | Step::FieldStart | Step::Done) {
                break;
            }
        }
        Ok(at)
    }

    /// Takes one byte.
    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        let here = self.head.fields.bytes().len();
        let next = match self.step {
            Step::Start => return self.start(byte),
            Step::EmptyEnd if byte == b'\n' => {
                self.step = Step::Start;
                return Ok(());
            }
            Step::Method => match byte {
                b' ' => {
                    self.first = here;
                    Step::Target
                }
                _ if !is(byte, TOKEN) => return Err(bad(byte, Fault::BadRequestLine)),
                _ if here >= METHOD_MAX => return Err(Fault::MethodTooLong),
                _ => Step::Method,
            },
            Step::Target => {
                let len = here - self.first - 1;
                match byte {
                    b' ' if len > 0 => {
                        self.second = here;
                        Step::Version
                    }
                    b' ' => return Err(Fault::BadRequestLine),
                    b'\r' => return Err(Fault::BadVersion),
                    _ if !is(byte, TARGET) => return Err(bad(byte, Fault::BadTarget)),
                    _ if len >= self.limits.target => return Err(Fault::TargetTooLong),
                    _ => Step::Target,
                }
            }
            Step::Version => match (here - self.second - 1, byte) {
                (0, b'H') | (1 | 2, b'T') | (3, b'P') | (4, b'/') | (6, b'.') => Step::Version,
                (5 | 7, b'0'..=b'9') => Step::Version,
                (8, b'\r') => Step::RequestEnd,
                _ => return Err(bad(byte, Fault::BadVersion)),
            },
            Step::FieldStart => {
                if byte == b'\r' {
                    Step::HeadEnd
                } else if self.head.fields.len() >= self.limits.fields {
                    return Err(Fault::TooManyFields);
                } else if matches!(byte, b' ' | b'\t') {
                    return Err(Fault::FoldedField);
                } else if is(byte, TOKEN) {
                    self.line = here;
                    Step::Name
                } else {
                    return Err(bad(byte, Fault::BadFieldName));
                }
            }
            Step::Name => match byte {
                b':' => {
                    self.first = here;
                    Step::Value
                }
                b'\r' => return Err(Fault::MissingColon),
                _ if !is(byte, TOKEN) => return Err(bad(byte, Fault::BadFieldName)),
                _ => Step::Name,
            },
            Step::Value => match byte {
                b'\r' => {
                    self.second = here;
                    Step::FieldEnd
                }
                b'\t' => Step::Value,
                _ if !is(byte, VALUE) => return Err(bad(byte, Fault::BadFieldValue)),
                _ => Step::Value,
            },
            Step::RequestEnd | Step::FieldEnd | Step::HeadEnd if byte == b'\n' => {
                self.head.fields.append(&[byte]);
                return self.line_end();
            }
            Step::EmptyEnd | Step::RequestEnd | Step::FieldEnd | Step::HeadEnd => {
                return Err(Fault::BadLineEnd);
            }
            Step::Done => return Ok(()),
        };
        self.step = next;
        self.head.fields.append(&[byte]);
        Ok(())
    }

    fn start(&mut self, byte: u8) -> Result<(), Fault> {
        if byte == b'\r' {
            self.empty_lines += 1;
            if self.empty_lines > self.limits.empty_lines {
                return Err(Fault::TooManyEmptyLines);
            }
            self.step = Step::EmptyEnd;
        } else if is(byte, TOKEN) {
            self.step = Step::Method;
            self.head.fields.append(&[byte]);
        } else {
            return Err(bad(byte, Fault::BadRequestLine));
        }
        Ok(())
    }

    /// Takes the line that is complete now.
    fn line_end(&mut self) -> Result<(), Fault> {
        let RequestHead { fields, meaning } = &mut self.head;
        let (line, first, second) = (self.line, self.first, self.second);
        match self.step {
            Step::RequestEnd => {
                let line = RequestLine::new(first, second, fields.bytes());
                meaning.request_line(fields.bytes(), line)?;
                self.step = Step::FieldStart;
            }
            Step::FieldEnd => {
                let text = fields.bytes();
                let name = text.get(line..first).unwrap_or_default();
                let value = text.get(first + 1..second).unwrap_or_default();
                let start = first + 1 + (value.len() - value.trim_ascii_start().len());
                let value = trim(value);
                let line = Line {
                    name: line as u32,
                    name_end: first as u32,
                    value: start as u32,
                    value_end: (start + value.len()) as u32,
                };
                meaning.special(name, value, line.value)?;
                fields.push_line(line);
                self.step = Step::FieldStart;
            }
            _ => {
                meaning.end()?;
                self.step = Step::Done;
            }
        }
        Ok(())
    }
}

/// Takes complete field lines, and returns what follows them. `end` is where in the head's block the text
/// will end, or would if it were added as a whole.
// Called, not inlined: together with what is before it, it needs more registers than there are.
#[inline(never)]
fn field_lines<'a>(
    head: &mut RequestHead,
    text: &'a [u8],
    end: u32,
    limit: usize,
) -> Result<&'a [u8], Fault> {
    let RequestHead { fields, meaning } = head;
    let mut rest = text;
    for _ in fields.len()..limit {
        let Some(found) = stride::field_line(rest) else { break };
        let (name, value) = (end - rest.len() as u32, end - found.at_value.len() as u32);
        let line = Line::new(name, found.name, value, found.value);
        meaning.field(rest, found, &line)?;
        fields.push_line(line);
        rest = found.tail;
    }
    Ok(rest)
}

/// The fault of a byte that must not be here: some are worse than out of place.
#[cold]
fn bad(byte: u8, otherwise: Fault) -> Fault {
    match byte {
        b'\n' => Fault::BadLineEnd,
        b'\t' | b'\r' | 0x20.. if byte != 0x7F => otherwise,
        _ => Fault::ControlByte,
    }
}
