//! What a request is for: the path as it is meant.
//!
//! A target comes as it was typed, copied or forged: `/a/%2e%2e/b`, `/%41`, `//x`. [`decode_path`] says which
//! path that is, once and for all, so that routing, access rules and files never disagree about it.

// Plain paths are on the way of every request: they are looked at eight bytes at a time, for what could mean work,
// and handed back as they are.

use std::borrow::Cow;

use super::fault::Fault;

/// The path a request means (RFC 3986 §2.1, §5.2.4; RFC 9110 §4.2.3): escapes decoded, dot segments removed.
///
/// `raw` is the path of a target as it came, without the query: [`RequestHead::raw_path`](super::RequestHead::raw_path).
/// It begins with `/`; an empty one means `/`, and `*`, which asks about the server as a whole, stays as it is.
/// Borrowed if there is nothing to do, and linear in its length.
///
/// | raw | decoded | |
/// |---|---|---|
/// | `/a%20b`, `/%61` | `/a b`, `/a` | `%XX` is a byte, of UTF-8 |
/// | `/a/./b`, `/a/../b`, `/a/%2e%2E/b` | `/a/b`, `/b`, `/b` | dot segments, after decoding |
/// | `/a/.`, `/a/b/..` | `/a/`, `/a/` | they leave their slash behind |
/// | `/a%2fb` | `/a%2Fb` | an escaped slash separates nothing, and so stays escaped |
/// | `//a///b` | `//a///b` | empty segments are segments; `..` removes one |
/// | `/a%5Cb`, `/a+b` | `/a\b`, `/a+b` | a backslash is no slash, a plus is no space |
/// | `/..`, `/a/../..` | `OutsideRoot` | |
/// | `/%00`, `/%zz`, `/%4`, `/%c0%ae` | `BadEscape` | a zero byte, no escape, not UTF-8 |
/// | `a/b` | `BadTarget` | not a path |
///
/// ```
/// use evloop::wire::{Fault, decode_path};
///
/// assert_eq!(decode_path("/caf%C3%A9/./menu")?, "/café/menu");
/// assert_eq!(decode_path("/static/..%2f..%2fetc/passwd")?, "/static/..%2F..%2Fetc/passwd");
/// assert_eq!(decode_path("/static/%2e%2e/%2e%2e/etc/passwd"), Err(Fault::OutsideRoot));
/// # Ok::<(), Fault>(())
/// ```
///
/// # Sharp edges
///
/// * **Decode once.** `/%252e%252e` is the path `/%2e%2e`, whose segment is a name of six letters. Decoded again it
///   would be another path; and since an escaped slash stays escaped, `/a%252Fb` reads as `/a%2Fb` does.
/// * **The result is text, not a file's name.** It may have control characters, backslashes and segments such
///   as `..\..`; what opens files has its own rules.
pub fn decode_path(raw: &str) -> Result<Cow<'_, str>, Fault> {
    if raw.as_bytes().first() != Some(&b'/') {
        return match raw {
            "" => Ok(Cow::Borrowed("/")),
            "*" => Ok(Cow::Borrowed(raw)),
            _ => Err(Fault::BadTarget),
        };
    }
    if is_plain(raw.as_bytes()) || !has_work(raw.as_bytes()) {
        return Ok(Cow::Borrowed(raw));
    }
    rewrite(raw).map(Cow::Owned)
}

/// Whether there is certainly nothing to do: no `%`, and no `.` that begins a segment. The first byte is a slash.
// Each eight bytes are looked at beside the eight that begin one byte earlier. The last overlap those before, which
// is cheaper than to look at a rest byte by byte.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        return is_short_and_plain(bytes);
    };
    let found = marked_in(first) | marked_in(last);
    found == 0 && (bytes.len() <= 17 || is_long_and_plain(bytes))
}

#[inline(never)]
fn is_long_and_plain(bytes: &[u8]) -> bool {
    let mut found = 0;
    let mut rest = bytes;
    while let Some(nine) = rest.first_chunk() {
        found |= marked_in(nine);
        rest = rest.get(8..).unwrap_or_default();
    }
    found == 0
}

#[inline]
fn marked_in(nine: &[u8; 9]) -> u64 {
    match (nine.first_chunk(), nine.last_chunk()) {
        (Some(before), Some(after)) => marked(*before, *after),
        _ => 1,
    }
}

#[inline]
fn is_short_and_plain(bytes: &[u8]) -> bool {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some([a, b, c, d]), Some([e, f, g, h])) => {
            marked([b'/'; 8], [*a, *b, *c, *d, *e, *f, *g, *h]) == 0
        }
        _ => !bytes.iter().any(|&byte| byte == b'%' || byte == b'.'),
    }
}

/// Not zero if one byte of `after` is a `%`, or is a `.` and the one at its place in `before` a slash; and perhaps in
/// other cases, when such bytes are there without being neighbours.
#[inline]
fn marked(before: [u8; 8], after: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let (before, after) = (u64::from_le_bytes(before), u64::from_le_bytes(after));
    let slash = before ^ (ONES * b'/' as u64);
    let dot = after ^ (ONES * b'.' as u64);
    let percent = after ^ (ONES * b'%' as u64);
    // The high bit of each byte that is zero, and perhaps of bytes above one that is.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    ((zero(slash) & zero(dot)) | zero(percent)) & (ONES << 7)
}

/// Whether there is an escape, or a segment that is `.` or `..`.
#[inline(never)]
fn has_work(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => return true,
            b'/' => match after {
                [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..] => return true,
                _ => {}
            },
            _ => {}
        }
    }
    false
}

#[cold]
fn rewrite(raw: &str) -> Result<String, Fault> {
    let mut path = Vec::with_capacity(raw.len());
    let mut segments = raw.as_bytes().split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let before = path.len();
        path.push(b'/');
        decode_segment(segment, &mut path)?;
        match path.get(before..) {
            Some(b"/.") => path.truncate(before),
            Some(b"/..") => {
                path.truncate(before);
                // Only what is removed is looked at, so that many of them are no more than linear.
                let parent = path.iter().rposition(|&byte| byte == b'/');
                path.truncate(parent.ok_or(Fault::OutsideRoot)?);
            }
            _ => continue,
        }
        if segments.peek().is_none() {
            path.push(b'/');
        }
    }
    String::from_utf8(path).map_err(|_| Fault::BadEscape)
}

fn decode_segment(segment: &[u8], path: &mut Vec<u8>) -> Result<(), Fault> {
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            path.push(byte);
            rest = after;
            continue;
        }
        let [high, low, after @ ..] = after else { return Err(Fault::BadEscape) };
        match hex_pair(*high, *low) {
            None | Some(0) => return Err(Fault::BadEscape),
            Some(b'/') => path.extend_from_slice(b"%2F"),
            Some(byte) => path.push(byte),
        }
        rest = after;
    }
    Ok(())
}

/// The byte that two hexadecimal digits write.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
