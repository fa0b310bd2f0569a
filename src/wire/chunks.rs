//! The chunked coding, written (RFC 9112 §7.1).
//!
//! A chunk is its size in hexadecimal on a line of its own, the data, and a line end. Data that is somewhere
//! else already need not be moved: [`chunk_head`] goes before it and [`CHUNK_END`] behind.

use super::Fields;
use super::trailers::allowed_in_trailers;

/// What ends a body that has no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What comes after the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The most bytes that [`chunk_head`] appends.
pub const CHUNK_HEAD: usize = 18;

/// Appends the size line of a chunk of `len` bytes. The data comes next, then [`CHUNK_END`].
///
/// For no bytes it appends nothing: a chunk of size zero would end the body. There is nothing to send
/// then, [`CHUNK_END`] neither; [`chunk`] knows.
///
/// ```
/// use evloop::wire::{CHUNK_END, LAST_CHUNK, chunk_head};
///
/// let mut out = Vec::new();
/// chunk_head(26, &mut out);
/// out.extend_from_slice(b"abcdefghijklmnopqrstuvwxyz");
/// out.extend_from_slice(CHUNK_END);
/// out.extend_from_slice(LAST_CHUNK);
/// assert_eq!(out, b"1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n");
/// ```
pub fn chunk_head(len: usize, out: &mut Vec<u8>) {
    if len == 0 {
        return;
    }
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        let value = (len >> (4 * digit)) as u8 & 15;
        out.push(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a whole chunk; nothing if there is no data.
///
/// ```
/// let mut out = Vec::new();
/// evloop::wire::chunk(b"hello", &mut out);
/// evloop::wire::chunk(b"", &mut out);
/// assert_eq!(out, b"5\r\nhello\r\n");
/// ```
pub fn chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    out.reserve(data.len() + CHUNK_HEAD + CHUNK_END.len());
    chunk_head(data.len(), out);
    out.extend_from_slice(data);
    out.extend_from_slice(CHUNK_END);
}

/// Appends the end of a body with trailers. Fields that have no place there are left out, as
/// [`ChunkDecoder`](super::ChunkDecoder) would.
///
/// Send trailers to those who asked for them: `TE: trailers` (RFC 9110 §6.5.1).
///
/// ```
/// use evloop::wire::{Fields, last_chunk};
///
/// let mut trailers = Fields::default();
/// trailers.push("Digest", b"x")?;
/// trailers.push("Content-Length", b"17")?;
/// let mut out = Vec::new();
/// last_chunk(&trailers, &mut out);
/// assert_eq!(out, b"0\r\nDigest: x\r\n\r\n");
/// # Ok::<(), evloop::wire::Fault>(())
/// ```
pub fn last_chunk(trailers: &Fields, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter() {
        if allowed_in_trailers(name.as_bytes()) {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
}
