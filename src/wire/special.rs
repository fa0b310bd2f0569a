//! The lines of a request that its reader must understand itself: where the body ends, which host is
//! meant, what becomes of the connection. Every rule here is one that request smuggling has gone through.

use super::authority::{divide, is_authority};
use super::fields::Line;
use super::head::Span;
use super::stride::{FieldLine, RequestLine};
use super::syntax::{is_name, is_token, members};
use super::{Fault, Framing, Method, TargetForm, Version};

/// What the lines that have gone by say.
#[derive(Debug, Clone, Default)]
pub(super) struct Meaning {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) form: TargetForm,
    pub(super) secure: bool,
    seen: Seen,
    pub(super) target: Span,
    /// Its query, if there is one, is what follows behind the byte at its end.
    pub(super) path: Span,
    authority: Span,
    upgrade: Span,
    pub(super) framing: Framing,
}

/// What has been said, a bit each.
#[derive(Debug, Clone, Copy, Default)]
struct Seen(u16);

const HOST: u16 = 1;
const LENGTH: u16 = 1 << 1;
const CODING: u16 = 1 << 2;
const CLOSE: u16 = 1 << 3;
const KEEP_ALIVE: u16 = 1 << 4;
const TO_UPGRADE: u16 = 1 << 5;
const UPGRADE: u16 = 1 << 6;
const CONTINUE: u16 = 1 << 7;
const OTHER_EXPECTATION: u16 = 1 << 8;
const TRAILERS: u16 = 1 << 9;
const AUTHORITY: u16 = 1 << 10;

impl Seen {
    #[inline]
    fn has(self, what: u16) -> bool {
        self.0 & what == what
    }

    #[inline]
    fn add(&mut self, what: u16) {
        self.0 |= what;
    }
}

impl Meaning {
    /// Whether it is of HTTP/1.1, and no line says anything of what this is about, but for `Host`, and that the connection
    /// is to be kept.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let Seen(seen) = self.seen;
        self.version == Version::Http11
            && self.form == TargetForm::Origin
            && seen & !(HOST | AUTHORITY | KEEP_ALIVE) == 0
    }

    pub(super) fn keeps_alive(&self) -> bool {
        !self.seen.has(CLOSE) && (self.version == Version::Http11 || self.seen.has(KEEP_ALIVE))
    }

    pub(super) fn expects_continue(&self) -> bool {
        self.version == Version::Http11
            && self.seen.has(CONTINUE)
            && !matches!(self.framing, Framing::None | Framing::Length(0))
    }

    pub(super) fn has_other_expectation(&self) -> bool {
        self.version == Version::Http11 && self.seen.has(OTHER_EXPECTATION)
    }

    pub(super) fn accepts_trailers(&self) -> bool {
        self.seen.has(TRAILERS)
    }

    pub(super) fn upgrade(&self) -> Option<Span> {
        (self.version == Version::Http11 && self.seen.has(UPGRADE | TO_UPGRADE))
            .then_some(self.upgrade)
    }

    pub(super) fn query(&self) -> Option<Span> {
        let (from, to) = (self.path.to, self.target.to);
        (from < to).then_some(Span { from: from + 1, to })
    }

    pub(super) fn authority(&self) -> Option<Span> {
        self.seen.has(AUTHORITY).then_some(self.authority)
    }

    fn name_authority(&mut self, span: Span) {
        self.seen.add(AUTHORITY);
        self.authority = span;
    }

    /// Takes a request line whose parts are well-formed each, at the beginning of the head.
    #[inline(always)]
    pub(super) fn request_line(&mut self, text: &[u8], line: RequestLine) -> Result<(), Fault> {
        let RequestLine { method_end, target_end, query, plain } = line;
        let start = method_end + 1;
        self.target = Span { from: start, to: target_end };
        self.path = Span { from: start, to: query };
        if plain { Ok(()) } else { self.other_line(text) }
    }

    /// What is left of a request line that is not just `GET` of a path.
    #[inline(never)]
    fn other_line(&mut self, text: &[u8]) -> Result<(), Fault> {
        let Span { from, to } = self.target;
        self.version = match text.get(to as usize + 1..).and_then(<[u8]>::first_chunk::<8>) {
            Some([.., b'1', _, b'0']) => Version::Http10,
            Some([.., b'1', _, _]) => Version::Http11,
            _ => return Err(Fault::UnsupportedVersion),
        };
        let method = text.get(..from as usize - 1).unwrap_or_default();
        let target = text.get(from as usize..to as usize).unwrap_or_default();
        self.method = Method::from_bytes(method)?;
        if target.first() == Some(&b'/') && self.method != Method::CONNECT {
            return Ok(());
        }
        self.other_form(target)
    }

    #[cold]
    fn other_form(&mut self, target: &[u8]) -> Result<(), Fault> {
        let Span { from: at, to: end } = self.target;
        if self.method == Method::CONNECT {
            // A port has to be named (RFC 9112 §3.2.3).
            return match divide(target) {
                Some((1.., Some(_))) => {
                    self.form = TargetForm::Authority;
                    self.name_authority(self.target);
                    self.path = Span { from: end, to: end };
                    Ok(())
                }
                _ => Err(Fault::BadTarget),
            };
        }
        if target == b"*" && self.method == Method::OPTIONS {
            self.form = TargetForm::Asterisk;
            self.path = self.target;
            return Ok(());
        }
        let prefix = |scheme: &[u8]| {
            target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        let skipped = match (prefix(b"http://"), prefix(b"https://")) {
            (true, _) => 7,
            (_, true) => 8,
            _ => return Err(Fault::BadTarget),
        };
        let rest = target.get(skipped..).ok_or(Fault::BadTarget)?;
        let len = rest.iter().take_while(|b| !matches!(b, b'/' | b'?')).count();
        let authority = rest.get(..len).ok_or(Fault::BadTarget)?;
        // One without a host is not of these schemes (RFC 9110 §4.2.1).
        if !matches!(divide(authority), Some((1.., _))) {
            return Err(Fault::BadHost);
        }
        self.form = TargetForm::Absolute;
        self.secure = skipped == 8;
        let from = at + skipped as u32;
        let to = from + len as u32;
        self.name_authority(Span { from, to });
        self.path = Span { from: to, to: self.path.to };
        Ok(())
    }

    /// Takes a field line that is well-formed, and found at the beginning of the text.
    // Told apart by length and first letter: most fields are none of these.
    #[inline(always)]
    pub(super) fn field(
        &mut self,
        text: &[u8],
        line: FieldLine<'_>,
        place: &Line,
    ) -> Result<(), Fault> {
        const FIRST: &[u8; 18] = b"\0\0t\0h\0eu\0\0c\0\0\0c\0\0t";
        let special = match (FIRST.get(line.name), text.first()) {
            (Some(special), Some(first)) => *special == first | 0x20,
            _ => false,
        };
        if !special {
            return Ok(());
        }
        let (Some(name), Some(value)) = (text.get(..line.name), line.at_value.get(..line.value))
        else {
            return Ok(());
        };
        self.special(name, value, place.value)
    }

    /// Takes a `Host` that is sound, if there was none yet.
    #[inline(always)]
    pub(super) fn first_host(&mut self, line: &Line) {
        // The target's own goes before it.
        if !self.seen.has(AUTHORITY) {
            self.authority = Span { from: line.value, to: line.value_end };
        }
        self.seen.add(HOST | AUTHORITY);
    }

    /// Takes a field line that is well-formed; the value is trimmed, and begins at `at`.
    #[inline(never)]
    pub(super) fn special(&mut self, name: &[u8], value: &[u8], at: u32) -> Result<(), Fault> {
        match name.len() {
            4 if is_name(name, b"host") => self.host(value, at),
            2 if is_name(name, b"te") => self.te(value),
            6 if is_name(name, b"expect") => self.expect(value),
            7 if is_name(name, b"upgrade") => self.upgrade_to(value, at),
            10 if is_name(name, b"connection") => self.connection(value),
            14 if is_name(name, b"content-length") => self.content_length(value),
            17 if is_name(name, b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// Takes the empty line that ends the head.
    #[inline]
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.version == Version::Http11 && !self.seen.has(HOST) {
            return Err(Fault::MissingHost);
        }
        Ok(())
    }

    fn host(&mut self, value: &[u8], at: u32) -> Result<(), Fault> {
        if self.seen.has(HOST) {
            return Err(Fault::SeveralHosts);
        }
        if !is_authority(value) {
            return Err(Fault::BadHost);
        }
        // The target's own goes before it.
        if !self.seen.has(AUTHORITY) {
            self.authority = Span { from: at, to: at + value.len() as u32 };
        }
        self.seen.add(HOST | AUTHORITY);
        Ok(())
    }

    #[inline(never)]
    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.seen.has(CODING) {
            return Err(Fault::LengthAndCoding);
        }
        if self.seen.has(LENGTH) {
            return Err(Fault::SeveralLengths);
        }
        self.framing = Framing::Length(length(value)?);
        self.seen.add(LENGTH);
        Ok(())
    }

    #[inline(never)]
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.version == Version::Http10 {
            return Err(Fault::CodingIn10);
        }
        if self.seen.has(LENGTH) {
            return Err(Fault::LengthAndCoding);
        }
        if self.seen.has(CODING) {
            return Err(Fault::BadCoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(foreign_coding(value));
        }
        self.framing = Framing::Chunked;
        self.seen.add(CODING);
        Ok(())
    }

    #[inline(never)]
    fn connection(&mut self, value: &[u8]) -> Result<(), Fault> {
        // What is nearly always said.
        let seen = match value.len() {
            10 if is_name(value, b"keep-alive") => KEEP_ALIVE,
            5 if is_name(value, b"close") => CLOSE,
            _ => 0,
        };
        if seen != 0 {
            self.seen.add(seen);
            return Ok(());
        }
        for member in members(value) {
            match member.len() {
                5 if member.eq_ignore_ascii_case(b"close") => self.seen.add(CLOSE),
                7 if member.eq_ignore_ascii_case(b"upgrade") => self.seen.add(TO_UPGRADE),
                10 if member.eq_ignore_ascii_case(b"keep-alive") => self.seen.add(KEEP_ALIVE),
                _ => {}
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn expect(&mut self, value: &[u8]) -> Result<(), Fault> {
        for member in members(value) {
            self.seen.add(match member.eq_ignore_ascii_case(b"100-continue") {
                true => CONTINUE,
                false => OTHER_EXPECTATION,
            });
        }
        Ok(())
    }

    #[inline(never)]
    fn upgrade_to(&mut self, value: &[u8], at: u32) -> Result<(), Fault> {
        if !self.seen.has(UPGRADE) {
            self.seen.add(UPGRADE);
            self.upgrade = Span { from: at, to: at + value.len() as u32 };
        }
        Ok(())
    }

    #[inline(never)]
    fn te(&mut self, value: &[u8]) -> Result<(), Fault> {
        if members(value).any(|member| member.eq_ignore_ascii_case(b"trailers")) {
            self.seen.add(TRAILERS);
        }
        Ok(())
    }
}

/// The value of `Content-Length`: digits and nothing else.
pub(super) fn length(value: &[u8]) -> Result<u64, Fault> {
    let mut length = 0_u64;
    // So many digits cannot be too large.
    if (1..=18).contains(&value.len()) {
        for byte in value {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return Err(Fault::BadLength);
            }
            length = length * 10 + u64::from(digit);
        }
        return Ok(length);
    }
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault::BadLength);
    }
    for digit in value {
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit - b'0')))
            .filter(|length| *length <= i64::MAX as u64)
            .ok_or(Fault::LengthTooLarge)?;
    }
    Ok(length)
}

/// What is wrong with a `Transfer-Encoding` that is not `chunked`: where other codings are under it,
/// they cannot be undone here; anything else could mean something else to somebody else.
#[cold]
pub(super) fn foreign_coding(value: &[u8]) -> Fault {
    let mut last = &b""[..];
    let mut chunked = 0;
    for member in members(value) {
        if !is_token(member) {
            return Fault::BadCoding;
        }
        chunked += usize::from(member.eq_ignore_ascii_case(b"chunked"));
        last = member;
    }
    let sound = chunked == 1 && last.eq_ignore_ascii_case(b"chunked") && value != last;
    match sound && members(value).count() > 1 {
        true => Fault::UnknownCoding,
        false => Fault::BadCoding,
    }
}
