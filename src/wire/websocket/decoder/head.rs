//! The head of a frame: its first bytes, each judged as it comes (RFC 6455 §5.2).

use super::super::{OpCode, Role, WebSocketFault};

/// A head that is coming, or has come.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Head {
    bytes: [u8; 14],
    len: u8,
}

/// What it depends on whether a head is right.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Who reads.
    pub(super) role: Role,
    /// A message has begun, and was not brought to its end.
    pub(super) in_message: bool,
    /// A message may be compressed.
    pub(super) may_compress: bool,
}

/// What a head announces.
#[derive(Clone, Copy)]
pub(super) struct Announced {
    /// Bytes of payload.
    pub(super) len: u64,
    /// What they are masked with, if they are.
    pub(super) key: Option<[u8; 4]>,
}

impl Head {
    /// Whether a part of it has come, or all.
    pub(super) fn is_begun(&self) -> bool {
        self.len > 0
    }

    /// Its first byte, when that has come.
    pub(super) fn first(&self) -> u8 {
        let [first, ..] = self.bytes;
        first
    }

    pub(super) fn is_control(&self) -> bool {
        self.first() & 0x08 != 0
    }

    pub(super) fn is_last(&self) -> bool {
        self.first() & 0x80 != 0
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.first() & 0x40 != 0
    }

    pub(super) fn opcode(&self) -> Option<OpCode> {
        OpCode::new(self.first() & 0x0F)
    }

    /// Waits for the next one. The first byte stays what it is until then.
    pub(super) fn end(&mut self) {
        self.len = 0;
    }

    /// Takes what there is of it. Says how much that was, and with its last byte what it announces.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        rules: Rules,
    ) -> Result<(usize, Option<Announced>), WebSocketFault> {
        let mut used = 0;
        while self.len < 2 {
            let Some(byte) = input.get(used).copied() else { return Ok((used, None)) };
            used += 1;
            self.len += 1;
            let [first, second, ..] = &mut self.bytes;
            if self.len == 1 {
                *first = byte;
                check_first(byte, rules)?;
            } else {
                *second = byte;
                check_second(*first, byte, rules.role)?;
            }
        }
        let of_length = self.bytes_of_length();
        let of_key = if rules.role == Role::Server { 4 } else { 0 };
        let (from, to) = (usize::from(self.len), 2 + of_length + of_key);
        let rest = input.get(used..).unwrap_or_default();
        let n = (to - from).min(rest.len());
        if let (Some(place), Some(bytes)) = (self.bytes.get_mut(from..from + n), rest.get(..n)) {
            place.copy_from_slice(bytes);
        }
        used += n;
        self.len += n as u8;
        if usize::from(self.len) < to {
            return Ok((used, None));
        }
        let len = self.length()?;
        let key = self.bytes.get(to - of_key..to).and_then(|key| key.first_chunk()).copied();
        Ok((used, Some(Announced { len, key })))
    }

    /// How many bytes the length has, beyond the second of the head.
    fn bytes_of_length(&self) -> usize {
        let [_, second, ..] = self.bytes;
        match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn length(&self) -> Result<u64, WebSocketFault> {
        let [_, second, a, b, c, d, e, f, g, h, ..] = self.bytes;
        let (len, least) = match self.bytes_of_length() {
            0 => (u64::from(second & 0x7F), 0),
            2 => (u64::from(u16::from_be_bytes([a, b])), 126),
            _ => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 0x1_0000),
        };
        if len >> 63 != 0 {
            return Err(WebSocketFault::BadLength);
        }
        if len < least {
            return Err(WebSocketFault::LongLength);
        }
        Ok(len)
    }
}

fn check_first(byte: u8, rules: Rules) -> Result<(), WebSocketFault> {
    let opcode = OpCode::new(byte & 0x0F).ok_or(WebSocketFault::ReservedOpCode);
    let begins = matches!(opcode, Ok(OpCode::Text | OpCode::Binary));
    let reserved = byte & 0x70;
    if reserved != 0 && !(reserved == 0x40 && begins && rules.may_compress) {
        return Err(WebSocketFault::ReservedBit);
    }
    if opcode?.is_control() {
        return if byte & 0x80 == 0 { Err(WebSocketFault::FragmentedControl) } else { Ok(()) };
    }
    match (begins, rules.in_message) {
        (true, true) => Err(WebSocketFault::MessageInMessage),
        (false, false) => Err(WebSocketFault::NothingToContinue),
        _ => Ok(()),
    }
}

fn check_second(first: u8, byte: u8, role: Role) -> Result<(), WebSocketFault> {
    match (role, byte & 0x80 != 0) {
        (Role::Server, false) => return Err(WebSocketFault::NotMasked),
        (Role::Client, true) => return Err(WebSocketFault::Masked),
        _ => {}
    }
    if first & 0x08 != 0 {
        let len = byte & 0x7F;
        if len > 125 {
            return Err(WebSocketFault::ControlTooLong);
        }
        if first & 0x0F == 8 && len == 1 {
            return Err(WebSocketFault::BadClosePayload);
        }
    }
    Ok(())
}
