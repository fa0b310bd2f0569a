//! Heads, written (RFC 9112 §3, §4, §5).
//!
//! A head is written line by line to the end of a block of bytes: the first line, the fields, and
//! [`end_of_head`]. What a program gives for a line is checked before the first byte of the line is
//! written, so no value can end its line and begin another.

use super::syntax::{find_control, is_token, trim};
use super::{Fault, Method, Status};

/// Appends the first line of a reply, `HTTP/1.1 200 OK`.
///
/// ```
/// use evloop::wire::{self, Status};
///
/// let mut head = Vec::new();
/// wire::status_line(&mut head, Status::NOT_FOUND);
/// wire::field(&mut head, "Content-Type", b"text/plain")?;
/// wire::number_field(&mut head, "Content-Length", 9)?;
/// wire::end_of_head(&mut head);
/// assert_eq!(
///     head,
///     b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n"
/// );
/// # Ok::<(), wire::Fault>(())
/// ```
pub fn status_line(out: &mut Vec<u8>, status: Status) {
    if status == Status::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, u64::from(status.code()));
    // The space belongs to the line also where there is no reason (RFC 9112 §4).
    out.push(b' ');
    out.extend_from_slice(status.reason().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends the first line of a request, `GET / HTTP/1.1`.
///
/// # Errors
///
/// [`Fault::BadTarget`] if the target is empty or has a byte that is not printable ASCII or a space: escape
/// those. Nothing is appended then.
///
/// ```
/// use evloop::wire::{self, Fault, Method};
///
/// let mut head = Vec::new();
/// wire::request_line(&mut head, &Method::GET, "/a%20b?c")?;
/// assert_eq!(head, b"GET /a%20b?c HTTP/1.1\r\n");
/// assert_eq!(wire::request_line(&mut head, &Method::GET, "/a b"), Err(Fault::BadTarget));
/// # Ok::<(), Fault>(())
/// ```
pub fn request_line(out: &mut Vec<u8>, method: &Method, target: &str) -> Result<(), Fault> {
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::BadTarget);
    }
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    Ok(())
}

/// Appends a field line. White space around the value is left out, as it would not arrive anyway.
///
/// # Errors
///
/// [`Fault::BadFieldName`] if the name is not a token, [`Fault::BadFieldValue`] if the value has a control
/// byte other than a tab: CR, LF and NUL among them. Nothing is appended then.
///
/// ```
/// use evloop::wire::{self, Fault};
///
/// let mut head = Vec::new();
/// wire::field(&mut head, "Server", b"mine")?;
/// assert_eq!(wire::field(&mut head, "X", b"a\r\nSet-Cookie: b"), Err(Fault::BadFieldValue));
/// assert_eq!(wire::field(&mut head, "X y", b"a"), Err(Fault::BadFieldName));
/// assert_eq!(head, b"Server: mine\r\n");
/// # Ok::<(), Fault>(())
/// ```
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), Fault> {
    if !is_token(name.as_bytes()) {
        return Err(Fault::BadFieldName);
    }
    if find_control(value).is_some() {
        return Err(Fault::BadFieldValue);
    }
    let value = trim(value);
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends a field line whose value is a number in decimal, such as `Content-Length`.
///
/// # Errors
///
/// [`Fault::BadFieldName`] as for [`field`].
pub fn number_field(out: &mut Vec<u8>, name: &str, value: u64) -> Result<(), Fault> {
    if !is_token(name.as_bytes()) {
        return Err(Fault::BadFieldName);
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    number(out, value);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends the empty line that ends a head.
pub fn end_of_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
pub(crate) fn number(out: &mut Vec<u8>, mut value: u64) {
    // Lengths of two and three digits are what most replies have.
    if value < 1000 {
        let digit = |of: u64| b'0' + (of % 10) as u8;
        match value {
            0..=9 => out.push(digit(value)),
            10..=99 => out.extend_from_slice(&[digit(value / 10), digit(value)]),
            _ => out.extend_from_slice(&[digit(value / 100), digit(value / 10), digit(value)]),
        }
        return;
    }
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        first = at;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or(&[]));
}
