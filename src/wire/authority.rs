//! Authorities: `host`, or `host:port` (RFC 3986 §3.2, without the user information that HTTP forbids).

use std::net::Ipv6Addr;

use super::syntax::{HOST, after, is};

/// Divides an authority into host and port: `None` if it is not a valid one.
///
/// The host is a name, an IPv4 address, or an IPv6 address in brackets, which stay; it may be empty, but
/// not with a port. A port has at most the value 65 535; a colon without one is as none. User
/// information, a path, white space and the comma of a list make it invalid.
///
/// ```
/// use evloop::wire::split_authority;
///
/// assert_eq!(split_authority("example.org:8080"), Some(("example.org", Some(8080))));
/// assert_eq!(split_authority("[::1]"), Some(("[::1]", None)));
/// assert_eq!(split_authority("user@example.org"), None);
/// assert_eq!(split_authority("a, b"), None);
/// ```
#[must_use]
pub fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = divide(authority.as_bytes())?;
    Some((authority.get(..host)?, port))
}

/// How long the host is, and the port.
#[inline]
pub(crate) fn divide(authority: &[u8]) -> Option<(usize, Option<u16>)> {
    let Some(rest) = after(authority, HOST) else { return Some((authority.len(), None)) };
    let host = authority.len() - rest.len();
    match rest {
        [b':', digits @ ..] if host > 0 => Some((host, port(digits)?)),
        _ => divide_odd(authority),
    }
}

/// Whether it can be divided.
#[inline]
pub(crate) fn is_authority(text: &[u8]) -> bool {
    match after(text, HOST) {
        None => true,
        // Four digits are no port that is too large.
        Some([b':', digits @ ..]) if digits.len() <= 4 && digits.len() + 1 < text.len() => {
            digits.iter().all(u8::is_ascii_digit)
        }
        _ => divide(text).is_some(),
    }
}

/// As [`divide`], for addresses in brackets and names with escapes.
#[cold]
fn divide_odd(authority: &[u8]) -> Option<(usize, Option<u16>)> {
    let host = if authority.first() == Some(&b'[') {
        let len = authority.iter().position(|b| *b == b']')?;
        let address = std::str::from_utf8(authority.get(1..len)?).ok()?;
        address.parse::<Ipv6Addr>().ok()?;
        len + 1
    } else {
        let mut len = 0;
        loop {
            match authority.get(len..)? {
                [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    len += 3;
                }
                [byte, ..] if is(*byte, HOST) => len += 1,
                _ => break len,
            }
        }
    };
    match authority.get(host..)? {
        [] => Some((host, None)),
        [b':', digits @ ..] if host > 0 => Some((host, port(digits)?)),
        _ => None,
    }
}

/// `Some(None)` for no digits at all.
#[inline]
fn port(digits: &[u8]) -> Option<Option<u16>> {
    let mut port = 0_u32;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        port = port * 10 + u32::from(digit);
        if port > u32::from(u16::MAX) {
            return None;
        }
    }
    Some((!digits.is_empty()).then_some(port as u16))
}
