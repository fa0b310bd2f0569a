//! Frames read the plain way: all bytes at once, one rule after the other. What the decoder is compared with, here
//! and by the fuzzer.

#![allow(dead_code)]

use evloop::wire::websocket::{
    CloseCode, Decoder, DecoderLimits, Message, MessageKind, Role, WebSocketFault as Fault,
};

/// A message that owns what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
    Fragment(MessageKind, Vec<u8>, bool, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseCode>, String),
}

/// All that was said, and why nothing follows.
pub type Outcome = (Vec<Said>, Option<Fault>);

fn owned(message: Message<'_>) -> Said {
    match message {
        Message::Text(text) => Said::Text(text.to_owned()),
        Message::Binary(bytes) => Said::Binary(bytes.to_owned()),
        Message::Fragment(f) => Said::Fragment(f.kind, f.bytes.to_owned(), f.is_first, f.is_last),
        Message::Ping(bytes) => Said::Ping(bytes.to_owned()),
        Message::Pong(bytes) => Said::Pong(bytes.to_owned()),
        Message::Close(code, reason) => Said::Close(code, reason.to_owned()),
        _ => unreachable!(),
    }
}

/// What a decoder makes of pieces.
pub fn decode(mut decoder: Decoder, pieces: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let mut said = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.next(piece) {
                Ok(decoded) => {
                    assert!(decoded.used > 0 && decoded.used <= piece.len(), "no progress");
                    said.extend(decoded.message.map(owned));
                    if decoded.message.is_none() {
                        assert_eq!(decoded.used, piece.len(), "bytes are left and nothing came");
                    }
                    piece = &piece[decoded.used..];
                }
                Err(fault) => {
                    assert_eq!(decoder.next(b"x"), Err(fault), "a fault is the end");
                    return (said, Some(fault));
                }
            }
        }
    }
    (said, None)
}

/// What the same bytes are, read the plain way.
pub fn naively(bytes: &[u8], role: Role, limits: DecoderLimits, fragments: bool) -> Outcome {
    let mut said = Vec::new();
    let fault = read(bytes, role, limits, fragments, &mut said).err();
    (said, fault)
}

fn read(
    bytes: &[u8],
    role: Role,
    limits: DecoderLimits,
    fragments: bool,
    said: &mut Vec<Said>,
) -> Result<(), Fault> {
    let mut at = 0;
    // Kind, all bytes so far, frames so far.
    let mut message: Option<(MessageKind, Vec<u8>, u32)> = None;
    let byte = |at: usize| bytes.get(at).copied();
    loop {
        let Some(first) = byte(at) else { return Ok(()) };
        if first & 0x70 != 0 {
            return Err(Fault::ReservedBit);
        }
        let (last, opcode) = (first >= 0x80, first & 15);
        match opcode {
            0 if message.is_none() => return Err(Fault::NothingToContinue),
            1 | 2 if message.is_some() => return Err(Fault::MessageInMessage),
            0..=2 => {}
            8..=10 if !last => return Err(Fault::FragmentedControl),
            8..=10 => {}
            _ => return Err(Fault::ReservedOpCode),
        }
        let Some(second) = byte(at + 1) else { return Ok(()) };
        if (second >= 0x80) != (role == Role::Server) {
            return Err(if second < 0x80 { Fault::NotMasked } else { Fault::Masked });
        }
        let short = usize::from(second & 127);
        if opcode >= 8 && short > 125 {
            return Err(Fault::ControlTooLong);
        }
        if opcode == 8 && short == 1 {
            return Err(Fault::BadClosePayload);
        }
        let extra = [0, 2, 8][usize::from(short == 126) + 2 * usize::from(short == 127)];
        let head = 2 + extra + if role == Role::Server { 4 } else { 0 };
        let Some(rest) = bytes.get(at + head..) else { return Ok(()) };
        let long = bytes[at + 2..at + 2 + extra].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        let len = if extra == 0 { short as u64 } else { long };
        if len >= 1 << 63 {
            return Err(Fault::BadLength);
        }
        if extra == 2 && len < 126 || extra == 8 && len < 65536 {
            return Err(Fault::LongLength);
        }
        if opcode < 8 && len > limits.frame as u64 {
            return Err(Fault::FrameTooBig);
        }
        let len = len as usize;
        if opcode < 8 {
            let kind = if opcode == 1 { MessageKind::Text } else { MessageKind::Binary };
            let (_, so_far, frames) = message.get_or_insert((kind, Vec::new(), 0));
            *frames += 1;
            if *frames > limits.fragments {
                return Err(Fault::TooManyFragments);
            }
            if so_far.len() + len > limits.message {
                return Err(Fault::MessageTooBig);
            }
        }
        let key = if role == Role::Server { &bytes[at + head - 4..at + head] } else { &[0; 4] };
        let there = rest.len().min(len);
        let payload: Vec<u8> =
            rest[..there].iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
        let whole = there == len;
        at += head + len;
        let wrong_text = |text: &[u8], ended: bool| match std::str::from_utf8(text) {
            Ok(_) => false,
            Err(error) => ended || error.error_len().is_some(),
        };
        if opcode >= 8 {
            if opcode == 8 && payload.len() >= 2 {
                let code = CloseCode(u16::from_be_bytes([payload[0], payload[1]]));
                if ![1000..=1003, 1007..=1014, 3000..=4999].iter().any(|of| of.contains(&code.0)) {
                    return Err(Fault::BadCloseCode);
                }
                if wrong_text(&payload[2..], whole) {
                    return Err(Fault::BadUtf8);
                }
            }
            if !whole {
                return Ok(());
            }
            said.push(match opcode {
                9 => Said::Ping(payload),
                10 => Said::Pong(payload),
                _ if payload.is_empty() => Said::Close(None, String::new()),
                _ => Said::Close(
                    Some(CloseCode(u16::from_be_bytes([payload[0], payload[1]]))),
                    String::from_utf8(payload[2..].to_vec()).unwrap(),
                ),
            });
            if opcode == 8 {
                return Ok(());
            }
            continue;
        }
        let (kind, so_far, frames) = message.as_mut().expect("one has begun");
        so_far.extend_from_slice(&payload);
        if *kind == MessageKind::Text && wrong_text(so_far, whole && last) {
            return Err(Fault::BadUtf8);
        }
        if !whole {
            return Ok(());
        }
        if fragments {
            said.push(Said::Fragment(*kind, payload, *frames == 1, last));
        } else if last {
            said.push(match kind {
                MessageKind::Text => Said::Text(String::from_utf8(so_far.clone()).unwrap()),
                MessageKind::Binary => Said::Binary(so_far.clone()),
            });
        }
        if last {
            message = None;
        }
    }
}
