//! What follows the last chunk: fields, and the empty line that ends the message (RFC 9112 §7.1.2).

use super::field_line::{FieldLine, field_line};
use super::{ChunkLimits, Fault, Fields};

/// Reads trailers, however they arrive.
#[derive(Default)]
pub(super) struct Trailers {
    fields: Fields,
    /// What is there of a line whose end is not. Its bytes are counted already.
    line: Vec<u8>,
    /// The lines so far, and their bytes with the ends. The empty line does not count.
    lines: usize,
    bytes: usize,
    /// The CR of the empty line was seen.
    closing: bool,
}

impl Trailers {
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) fn take(&mut self) -> Fields {
        std::mem::take(&mut self.fields)
    }

    /// Takes all of the input, or what of it is before the end of the message, and says where that is.
    /// Whoever calls it remembers that it failed or is done.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        limits: &ChunkLimits,
    ) -> Result<Option<usize>, Fault> {
        let mut rest = input;
        while let Some((first, behind)) = rest.split_first() {
            if self.closing {
                if *first != b'\n' {
                    return Err(Fault::BadLineEnd);
                }
                self.line = Vec::new();
                return Ok(Some(input.len() - behind.len()));
            }
            if self.line.is_empty() {
                if *first == b'\r' {
                    self.closing = true;
                    rest = behind;
                    continue;
                }
                if self.lines >= limits.trailer_fields {
                    return Err(Fault::TooManyTrailers);
                }
            }
            let room = limits.trailers.saturating_sub(self.bytes);
            let within = rest.get(..room).unwrap_or(rest);
            let end = within.iter().position(|byte| *byte == b'\n');
            let Some((part, behind)) = end.and_then(|at| rest.split_at_checked(at + 1)) else {
                if within.len() < rest.len() {
                    return Err(Fault::TrailersTooLong);
                }
                self.bytes += rest.len();
                self.line.extend_from_slice(rest);
                break;
            };
            self.bytes += part.len();
            self.lines += 1;
            if self.line.is_empty() {
                keep(&mut self.fields, part)?;
            } else {
                self.line.extend_from_slice(part);
                keep(&mut self.fields, &self.line)?;
                self.line.clear();
            }
            rest = behind;
        }
        Ok(None)
    }
}

fn keep(fields: &mut Fields, line: &[u8]) -> Result<(), Fault> {
    let line = line.strip_suffix(b"\r\n").ok_or(Fault::BadLineEnd)?;
    let FieldLine { name, value, .. } = field_line(line)?;
    if allowed_in_trailers(name) { fields.push_checked(name, value) } else { Ok(()) }
}

/// Names that decide something before the body is read, and thus mean nothing after it.
// Sorted by what they decide. Lower case.
const FORBIDDEN: &[&str] = &[
    // framing and the connection
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    // routing
    "expect",
    "forwarded",
    "host",
    "max-forwards",
    "origin",
    "via",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    // authentication and cookies
    "authorization",
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    // conditions and caches
    "age",
    "cache-control",
    "date",
    "expires",
    "pragma",
    "range",
    "vary",
    "warning",
    // what a client does next
    "location",
    "refresh",
    "retry-after",
];

/// The same, for families.
const FORBIDDEN_FAMILIES: &[&str] =
    &["access-control-", "content-", "if-", "proxy-", "sec-", "x-forwarded-"];

/// Those of the families that were made for trailers (RFC 9530 §2; RFC 9110 §11.6.3 says so of
/// `Authentication-Info`).
const MADE_FOR_TRAILERS: &[&str] = &["content-digest", "proxy-authentication-info"];

/// Whether a field may be a trailer (RFC 9110 §6.5.1).
pub(super) fn allowed_in_trailers(name: &[u8]) -> bool {
    let is = |other: &&str| name.eq_ignore_ascii_case(other.as_bytes());
    let of_family = |family: &&str| {
        name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family.as_bytes()))
    };
    MADE_FOR_TRAILERS.iter().any(is)
        || !FORBIDDEN.iter().any(is) && !FORBIDDEN_FAMILIES.iter().any(of_family)
}
