//! Bodies of replies go out piece by piece, framed.

use super::connection::At;
use super::exchange::Framing;
use super::sending::{SHARED, SMALL, note_written};
use super::service::State;
use crate::net::{Buffer, Written};
use crate::wire;
use crate::{EvLoop, Result};

/// While no more than so many bytes wait, a piece of any length is taken.
pub(super) const TAKEN_WHOLE: usize = 256 * 1024;

/// One piece of a body, framed; `Err` if it cannot be.
pub(super) fn write_piece(
    ev: &mut EvLoop,
    state: &mut State,
    at: At,
    framing: Framing,
    piece: Piece<'_>,
) -> Result<Written> {
    let stream = at.stream;
    let len = piece.len();
    let result = match framing {
        Framing::Length(_) | Framing::UntilClose => match piece {
            Piece::Bytes(bytes) => stream.write(ev, bytes),
            Piece::Owned(bytes) => stream.write_owned(ev, bytes),
            Piece::Asked(bytes) => stream.append_anyway(ev, |output| append_asked(output, bytes)),
            Piece::Buffer(buffer) => stream.write_buffer(ev, buffer),
        },
        Framing::Chunked if len == 0 => Ok(Written::Room),
        Framing::Chunked => {
            let out = &mut state.scratch;
            out.clear();
            wire::chunk_head(len, out);
            match piece {
                Piece::Bytes(bytes) => {
                    out.extend_from_slice(bytes);
                    out.extend_from_slice(b"\r\n");
                    stream.write(ev, out)
                }
                Piece::Asked(bytes) => stream.append_anyway(ev, |output| {
                    output.append(&*out);
                    append_asked(output, bytes);
                    output.append(wire::CHUNK_END);
                }),
                Piece::Owned(bytes) => {
                    let mut whole = Buffer::new();
                    whole.append(&*out);
                    if bytes.len() >= SHARED && stream.output_len(ev) < TAKEN_WHOLE {
                        // One that is handed over is taken whatever its length, as without chunks.
                        whole.append_shared(bytes);
                    } else {
                        whole.append_owned(bytes);
                    }
                    whole.append(b"\r\n");
                    stream.write_buffer(ev, &mut whole)
                }
                Piece::Buffer(buffer) => {
                    buffer.prepend(&*out);
                    buffer.append(b"\r\n");
                    let result = stream.write_buffer(ev, buffer);
                    if result.is_err() {
                        buffer.drain(out.len());
                        let mut body = Buffer::new();
                        buffer.move_to(len, &mut body);
                        *buffer = body;
                    }
                    result
                }
            }
        }
    };
    note_written(ev, state, at, &result);
    result
}

/// A long one changes hands, a short one is copied, and one that has much more memory than it needs.
fn append_asked(output: &mut Buffer, bytes: &mut Vec<u8>) {
    if bytes.len() > SMALL && bytes.len() >= bytes.capacity() / 2 {
        output.append_owned(std::mem::take(bytes));
    } else {
        output.append(&*bytes);
    }
}

/// Bytes of a body.
pub(super) enum Piece<'a> {
    Bytes(&'a [u8]),
    Owned(Vec<u8>),
    /// Such as the server has asked for because there was room: they are taken, however much waits by now.
    Asked(&'a mut Vec<u8>),
    Buffer(&'a mut Buffer),
}

impl Piece<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Owned(bytes) => bytes.len(),
            Self::Asked(bytes) => bytes.len(),
            Self::Buffer(buffer) => buffer.len(),
        }
    }
}
