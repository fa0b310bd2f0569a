//! Complete lines of a head, gone through eight bytes at a time. Only what is faultless is found here.

use super::method::METHOD_MAX;
use super::syntax::{HOST, PATH, TOKEN, after, after_value, find_control};

/// The longest version there with what is around it.
const TAIL: &[u8; 11] = b" HTTP/1.1\r\n";

/// Where the parts of a request line are.
#[derive(Clone, Copy)]
pub(super) struct RequestLine {
    /// Behind the method.
    pub(super) method_end: u32,
    /// Behind the target, which begins one byte behind the method.
    pub(super) target_end: u32,
    /// The question mark of the target's query; at the target's end if there is none.
    pub(super) query: u32,
    /// Known to be `GET` of a path in HTTP/1.1.
    pub(super) plain: bool,
}

impl RequestLine {
    /// For a text whose ends of method and target are known.
    pub(super) fn new(method_end: usize, target_end: usize, text: &[u8]) -> Self {
        let target = text.get(method_end..target_end).unwrap_or_default();
        let query = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
        Self {
            method_end: method_end as u32,
            target_end: target_end as u32,
            query: (method_end + query) as u32,
            plain: false,
        }
    }
}

/// The request line that the input begins with, if it is complete and faultless.
#[inline(always)]
pub(super) fn request_line(input: &[u8], limit: usize) -> Option<(RequestLine, &[u8])> {
    let mut plain = input.first_chunk() == Some(b"GET /");
    let target = if plain { input.get(4..)? } else { after_method(input)? };
    let path = after(target, PATH)?;
    let rest = match path {
        [b'?', query @ ..] => after_query(query)?,
        _ => path,
    };
    let len = target.len() - rest.len();
    let (end, tail) = rest.split_first_chunk()?;
    if len == 0 || len > limit {
        return None;
    }
    if end != TAIL {
        plain = false;
        if !is_tail(end) {
            return None;
        }
    }
    let start = input.len() - target.len();
    let line = RequestLine {
        method_end: start as u32 - 1,
        target_end: (start + len) as u32,
        query: (input.len() - path.len()) as u32,
        plain,
    };
    Some((line, tail))
}

#[inline(never)]
fn after_method(input: &[u8]) -> Option<&[u8]> {
    if let Some((b"POST ", rest)) = input.split_first_chunk() {
        return Some(rest);
    }
    let rest = after(input, TOKEN)?;
    let [b' ', target @ ..] = rest else { return None };
    (1..=METHOD_MAX).contains(&(input.len() - rest.len())).then_some(target)
}

#[inline(never)]
fn after_query(query: &[u8]) -> Option<&[u8]> {
    let mut rest = after(query, PATH)?;
    while let [b'?', query @ ..] = rest {
        rest = after(query, PATH)?;
    }
    Some(rest)
}

#[cold]
fn is_tail(tail: &[u8; 11]) -> bool {
    matches!(
        tail,
        [b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9', b'\r', b'\n']
    )
}

/// A field line, and what follows it.
#[derive(Clone, Copy)]
pub(super) struct FieldLine<'a> {
    pub(super) name: usize,
    /// Without the white space behind it.
    pub(super) value: usize,
    /// From the value's first byte on.
    pub(super) at_value: &'a [u8],
    pub(super) tail: &'a [u8],
}

/// The field line that the text begins with, if it is complete and faultless.
#[inline(always)]
pub(super) fn field_line(text: &[u8]) -> Option<FieldLine<'_>> {
    let end = after(text, TOKEN)?;
    let name = text.len() - end.len();
    let (b':', mut at_value) = end.split_first()? else { return None };
    if name == 0 {
        return None;
    }
    if let [b' ', rest @ ..] = at_value {
        at_value = rest;
    }
    if at_value.first().is_none_or(|byte| *byte <= b' ') {
        at_value = after_blanks(at_value);
    }
    let mut end = after_value(at_value)?;
    let tail = match end.split_first_chunk() {
        Some((b"\r\n", tail)) => tail,
        _ => {
            end = after_tab(end)?;
            end.get(2..)?
        }
    };
    let mut value = at_value.len() - end.len();
    match at_value.get(value.wrapping_sub(1)) {
        Some(last) if *last > b' ' => {}
        _ => value = without_blanks(at_value, value),
    }
    Some(FieldLine { name, value, at_value, tail })
}

#[cold]
fn after_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

#[cold]
fn without_blanks(text: &[u8], len: usize) -> usize {
    let mut value = text.get(..len).unwrap_or_default();
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value.len()
}

/// The line end, if a tab is what comes before it.
#[cold]
fn after_tab(text: &[u8]) -> Option<&[u8]> {
    text.get(find_control(text)?..).filter(|end| end.starts_with(b"\r\n"))
}

/// How long the value if the text begins with a line that is `Host` in its usual form.
#[inline(always)]
pub(super) fn host_line(text: &[u8]) -> Option<(usize, &[u8])> {
    let (name, text) = text.split_first_chunk()?;
    if name != b"Host: " {
        return None;
    }
    let mut end = after(text, HOST)?;
    if let [b':', port @ ..] = end {
        if port.len() + 1 == text.len() {
            return None;
        }
        end = port;
        // Four digits are no port that is too large.
        for _ in 0..4 {
            let [b'0'..=b'9', rest @ ..] = end else { break };
            end = rest;
        }
    }
    let [b'\r', b'\n', tail @ ..] = end else { return None };
    Some((text.len() - end.len(), tail))
}
