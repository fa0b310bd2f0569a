//! Frames are written.

use super::{CloseCode, Frame, OpCode, WebSocketFault, mask};

/// Appends a frame, masked with `key` if there is one: clients mask, with a key that nobody can predict, a new one for
/// each frame; servers do not.
///
/// # Errors
///
/// Nothing is appended then: [`FragmentedControl`](WebSocketFault::FragmentedControl) and
/// [`ControlTooLong`](WebSocketFault::ControlTooLong) for control frames that must not be,
/// [`ReservedBit`](WebSocketFault::ReservedBit) for a compressed frame that does not begin a message.
///
/// ```
/// use evloop::wire::websocket::{Frame, frame};
///
/// let mut out = Vec::new();
/// frame(&mut out, Frame::TEXT, b"hello", None)?;
/// assert_eq!(out, b"\x81\x05hello");
/// # Ok::<(), evloop::wire::websocket::WebSocketFault>(())
/// ```
pub fn frame(
    out: &mut Vec<u8>,
    frame: Frame,
    payload: &[u8],
    key: Option<[u8; 4]>,
) -> Result<(), WebSocketFault> {
    frame_head(out, frame, payload.len() as u64, key)?;
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(payload)) = (key, out.get_mut(start..)) {
        mask(payload, key);
    }
    Ok(())
}

/// Appends what stands before `len` bytes of payload, which the caller masks, from its first byte, if there is a key.
/// At most 14 bytes.
///
/// # Errors
///
/// As for [`frame`].
pub fn frame_head(
    out: &mut Vec<u8>,
    frame: Frame,
    len: u64,
    key: Option<[u8; 4]>,
) -> Result<(), WebSocketFault> {
    if frame.opcode.is_control() {
        if !frame.is_last {
            return Err(WebSocketFault::FragmentedControl);
        }
        if len > 125 {
            return Err(WebSocketFault::ControlTooLong);
        }
    }
    if frame.is_compressed && !matches!(frame.opcode, OpCode::Text | OpCode::Binary) {
        return Err(WebSocketFault::ReservedBit);
    }
    let masked = u8::from(key.is_some()) << 7;
    if let (Ok(len @ 0..=125), first) = (u8::try_from(len), frame.first_byte()) {
        out.extend_from_slice(&[first, masked | len]);
    } else if let (Ok(len), first) = (u16::try_from(len), frame.first_byte()) {
        let [a, b] = len.to_be_bytes();
        out.extend_from_slice(&[first, masked | 126, a, b]);
    } else {
        out.extend_from_slice(&[frame.first_byte(), masked | 127]);
        out.extend_from_slice(&len.to_be_bytes());
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
    Ok(())
}

/// Appends a close frame; without a code its payload is empty, whatever the reason.
///
/// # Errors
///
/// [`BadCloseCode`](WebSocketFault::BadCloseCode) for one that [may not be sent](CloseCode::may_be_sent),
/// [`ControlTooLong`](WebSocketFault::ControlTooLong) for a reason of more than 123 bytes.
pub fn close_frame(
    out: &mut Vec<u8>,
    code: Option<CloseCode>,
    reason: &str,
    key: Option<[u8; 4]>,
) -> Result<(), WebSocketFault> {
    let opcode = Frame::whole(OpCode::Close);
    let Some(code) = code else { return frame(out, opcode, &[], key) };
    if !code.may_be_sent() {
        return Err(WebSocketFault::BadCloseCode);
    }
    frame_head(out, opcode, reason.len() as u64 + 2, key)?;
    let start = out.len();
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
    if let (Some(key), Some(payload)) = (key, out.get_mut(start..)) {
        mask(payload, key);
    }
    Ok(())
}
